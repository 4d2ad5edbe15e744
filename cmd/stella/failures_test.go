package main

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
)

// online are lines of every command that speaks to a server: those that print, and the
// others.
func online(t *testing.T) map[string][]string {
	t.Helper()
	lines := map[string][]string{
		"stella audit export":    {"audit", "export", "--output", "out.jsonl"},
		"stella tenant record":   {"tenant", "record", "acme", "--output", "out.jsonl"},
		"stella policy download": {"policy", "download", aRun, "--output", "out.jsonl"},
		"stella ledger get":      {"ledger", "get", "sha256:" + strings.Repeat("0", 64)},
	}
	for path, args := range printed {
		lines[path] = args
	}
	for _, command := range everyCommand(rootCommand()) {
		path := command.CommandPath()
		switch server := command.Flags().Lookup("server") != nil || command.InheritedFlags().Lookup("server") != nil; {
		case isGroup(command), path == "stella login", path == "stella export approve": // no token yet, and nothing that is sent; their scripts have their failures
			delete(lines, path)
		case !server || command.Flags().Lookup("trust") != nil: // offline
			delete(lines, path)
		default:
			require.NotEmpty(t, lines[path], "%s: give it a line", path)
		}
	}
	return lines
}

// Every command that speaks to a server says in the same way what is wrong, and ends
// with the code that the table has for it.
func TestEveryWayToFail(t *testing.T) {
	clean(t)
	workplace(t)
	w := newWorld(t)
	t.Setenv("STELLA_SERVER", w.URL)
	t.Setenv("STELLA_TOKEN", "")
	secrets := t.TempDir()
	scopeless := secretOf(t, secrets, w.Issuer.Token(t, "acme", "timeline:read"))
	empty := secretOf(t, secrets, " ")
	wrong := secretOf(t, secrets, "nonsense")
	installation := secretOf(t, secrets, w.Issuer.Token(t, export.Installation, "tenant:manage", "tenant:offboard"))
	tenant := secretOf(t, secrets, w.Token(t, "acme"))

	fails := func(code int, says string, args ...string) {
		t.Helper()
		out, err := stella(t, args...)
		require.Equal(t, code, exitCode(err), "%v: %v", args, err)
		if err != nil {
			out += err.Error()
		}
		require.Contains(t, out, says, "%v", args)
		require.NoFileExists(t, "out.tar")
		require.NoFileExists(t, "out.jsonl")
	}
	for path, line := range online(t) {
		command, _, err := rootCommand().Find(line)
		require.NoError(t, err)
		require.Equal(t, path, command.CommandPath())
		token := tenant
		if strings.HasPrefix(path, "stella tenant") {
			token = installation
		}
		with := func(words ...string) []string { return append(slices.Clone(line), words...) }

		fails(exitInput, "unknown flag: --no-such-flag; see "+path+" --help", with("--no-such-flag")...)
		fails(exitInput, "", with("--token-file", token, "--limit=x")...)
		if words := strings.Fields(command.Use); len(words) > 1 && words[1] == strings.ToUpper(words[1]) {
			fails(exitInput, command.UseLine(), append(strings.Fields(path)[1:], "--token-file", token)...)
		}
		if !strings.Contains(command.Use, "...") {
			fails(exitInput, command.UseLine(), with("more", "than", "it", "takes")...)
		}
		fails(exitAuth, "no token: log in", line...)
		fails(exitInput, "the token is empty", with("--token-file", empty)...)
		fails(exitAuth, "ERR_EXPORT_AUTH", with("--token-file", wrong)...)
		if path != "stella whoami" { // open to any token
			require.NotEmpty(t, scopes[path], path)
			fails(exitAuth, "lacks the scope "+scopes[path], with("--token-file", scopeless)...)
		}
		if !strings.HasPrefix(path, "stella tenant") {
			fails(exitAuth, "ERR_EXPORT_008", with("--token-file", token, "--tenant", "globex")...)
		}
		if strings.Contains(command.Use, " RUN") || strings.Contains(command.Use, " SNAPSHOT") || strings.HasSuffix(command.Use, " PROFILE") && path != "stella export run" || strings.Contains(command.Use, " NAME") && path != "stella tenant create" || strings.Contains(command.Use, " DIGEST") {
			fails(exitNotFound, "(HTTP 404, trace ", with("--token-file", token)...)
		}
		fails(exitOffline, "offline mode", with("--token-file", token, "--offline")...)
	}

	// A server that does not answer is asked again before a command gives up: all at once.
	var all sync.WaitGroup
	for path, line := range online(t) {
		all.Go(func() {
			command := rootCommand()
			command.SetArgs(append(slices.Clone(line), "--token-file", tenant, "--server", "http://127.0.0.1:1"))
			command.SetOut(&strings.Builder{})
			command.SetErr(&strings.Builder{})
			if err := command.ExecuteContext(t.Context()); exitCode(err) != exitTransient {
				t.Errorf("%s: exit code %d, want %d: %v", path, exitCode(err), exitTransient, err)
			}
		})
	}
	all.Wait()
}

// scopes are what a command needs, so that its message can be checked: the API's own
// table is docs/scopes.md.
var scopes = map[string]string{
	"stella audit export": "audit:read", "stella audit list": "audit:read",
	"stella policy archive": "export:profile:manage", "stella policy import": "export:profile:manage",
	"stella policy download": "export:read", "stella policy list": "export:read", "stella policy show": "export:read",
	"stella export attestation": "export:read", "stella export cancel": "export:run", "stella export download": "export:download",
	"stella export diff": "export:read", "stella export guard": "export:read", "stella export latest": "export:read", "stella export rebuild": "export:run", "stella export release": "export:approve", "stella export reject": "export:approve",
	"stella export events": "export:read", "stella export list": "export:read", "stella export plan": "export:read",
	"stella export run": "export:run", "stella export status": "export:read", "stella export verify": "export:read",
	"stella export profile archive": "export:profile:manage", "stella export profile create": "export:profile:manage",
	"stella export profile list": "export:read", "stella export profile show": "export:read", "stella export profile update": "export:read",
	"stella ledger get": "ledger:read", "stella ledger import": "ledger:import", "stella ledger list": "ledger:read", "stella ledger remove": "ledger:import", "stella ledger stats": "ledger:read",
	"stella tenant offboard": "tenant:offboard", "stella tenant record": "tenant:manage", "stella tenant quotas": "tenant:manage",
	"stella tenant create": "tenant:manage", "stella tenant list": "tenant:manage", "stella tenant resume": "tenant:manage",
	"stella tenant show": "tenant:manage", "stella tenant suspend": "tenant:manage",
}
