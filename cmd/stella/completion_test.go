package main

import (
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
)

// complete gives what a shell would offer for the last word, without descriptions.
func complete(t *testing.T, words ...string) []string {
	t.Helper()
	out, err := stella(t, append([]string{"__complete"}, words...)...)
	require.NoError(t, err)
	var offered []string
	for line := range strings.Lines(out) {
		if line[0] == ':' {
			break
		}
		word, _, _ := strings.Cut(strings.TrimSpace(line), "\t")
		offered = append(offered, word)
	}
	return offered
}

func TestCompletionOfWhatIsThere(t *testing.T) {
	dir := clean(t)
	w := newWorld(t)
	run, other := w.Run("acme", export.StatePending), w.Run("globex", export.StatePending)
	t.Setenv("STELLA_SERVER", w.URL)
	t.Setenv("STELLA_TOKEN", w.Token(t, "acme"))
	for _, command := range []string{"status", "cancel", "events", "verify", "attestation", "download", "plan"} {
		require.Equal(t, []string{run.ID}, complete(t, "export", command, ""), command)
		require.Empty(t, complete(t, "export", command, run.ID, ""), "one is enough")
	}
	require.Equal(t, []string{run.ID}, complete(t, "export", "status", "--format", "json", run.ID[:8]))
	require.Empty(t, complete(t, "export", "status", "x"))
	require.NotContains(t, complete(t, "export", "status", ""), other.ID)
	var builtin []string // by name, as the list has them
	for _, p := range export.BuiltinProfiles() {
		builtin = append(builtin, p.Name)
	}
	slices.Sort(builtin)
	require.Equal(t, builtin[:2], complete(t, "export", "run", "json"))
	require.Equal(t, builtin, complete(t, "export", "profile", "show", ""))
	require.Equal(t, builtin, complete(t, "export", "list", "--profile", ""))
	for _, line := range [][]string{{"policy", "show", ""}, {"policy", "download", "p"}, {"policy", "archive", "policy"}, {"export", "run", "json-raw", "--policy-snapshot", ""}} {
		require.Equal(t, []string{"policy-baseline"}, complete(t, line...), line)
	}
	require.Equal(t, []string{"table", "json", "yaml"}, complete(t, "whoami", "--format", ""))
	require.Equal(t, runStates(), complete(t, "export", "list", "--status", ""))
	require.Empty(t, complete(t, "tenant", "show", ""), "this token may not list tenants")

	require.Empty(t, complete(t, "whoami", "--context", ""))
	profile(t, dir, "work", `format = "json"`)
	profile(t, dir, "play")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "contexts", "work"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "contexts", "admin"), 0o700))
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "contexts", "Not one"), 0o700))
	require.Equal(t, []string{"admin", "play", "work"}, complete(t, "whoami", "--context", ""))
	require.Equal(t, []string{"work"}, complete(t, "export", "list", "--context", "w"))
	require.Equal(t, []string{"work"}, complete(t, "login", "--context", "w"))
}

// Whatever stands in the way, there is nothing to offer: no error, and no long wait.
func TestCompletionSaysNothing(t *testing.T) {
	dir := clean(t)
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, says nothing
	require.NoError(t, err)
	t.Cleanup(func() { silent.Close() })
	open := filepath.Join(dir, "open")
	require.NoError(t, os.WriteFile(open, []byte("token"), 0o644))
	offers := func(args ...string) {
		t.Helper()
		begun := time.Now()
		out, err := stella(t, append(append([]string{"__complete", "export", "status"}, args...), "")...)
		require.NoError(t, err)
		require.Equal(t, ":4\n", out, "%v", args)
		require.Less(t, time.Since(begun), 10*time.Second)
	}
	t.Setenv("STELLA_SERVER", "http://"+silent.Addr().String())
	offers() // no token
	t.Setenv("STELLA_TOKEN", "token")
	offers()
	offers("--token-file", open)
	offers("--token-file", "absent")
	offers("--server", "nonsense")
	offers("--context", "../x")
	t.Setenv("STELLA_OFFLINE", "1")
	offers()
	t.Setenv("STELLA_OFFLINE", "perhaps")
	offers()
	t.Setenv("STELLA_OFFLINE", "")
	profile(t, dir, "default", "nonsense")
	offers()
}

// A server's words are not the shell's.
func TestCompletionOfferedByAHostileServer(t *testing.T) {
	require.Equal(t, []string{"good\tgood\\x1b[31m\\nmore"},
		beginning([]string{"good\tgood\x1b[31m\nmore", "evil\x1b[31m\t", "evil\nline\t", "\u202eevil\t"}, ""))
}
