package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// called is a server that notes how it was called last and refuses everything.
type called struct {
	*httptest.Server
	token, tenant string
	calls         int
}

func newCalled(t *testing.T) *called {
	c := &called{}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.calls++
		c.token, c.tenant = strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), r.Header.Get("X-Stella-Tenant")
		w.WriteHeader(http.StatusNotFound)
	}))
	t.Cleanup(c.Close)
	return c
}

// clean is a user with an empty configuration and an empty environment.
func clean(t *testing.T) (dir string) {
	t.Helper()
	for _, name := range []string{"STELLA_TOKEN", "STELLA_TENANT", "STELLA_SERVER", "STELLA_CONTEXT", "STELLA_PROFILE", "STELLA_OFFLINE", "STELLA_TRUST", "STELLA_TRUST_ROOTS"} {
		t.Setenv(name, "")
	}
	dir = t.TempDir()
	t.Setenv("STELLA_CONFIG_DIR", dir)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "profiles"), 0o700))
	return dir
}

// profile writes a profile file.
func profile(t *testing.T, dir, name string, lines ...string) string {
	t.Helper()
	path := filepath.Join(dir, "profiles", name+".toml")
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600))
	return path
}

func secretOf(t *testing.T, dir, text string) string {
	t.Helper()
	file, err := os.CreateTemp(dir, "secret")
	require.NoError(t, err)
	defer file.Close()
	_, err = file.WriteString(text + "\n")
	require.NoError(t, err)
	return file.Name()
}

// A flag wins over the environment, that over the profile file, that over the default:
// for each setting the layers are put on one after the other, the strongest last.
func TestPrecedence(t *testing.T) {
	dir := clean(t)
	a, b, c := newCalled(t), newCalled(t), newCalled(t)
	lines := func(extra ...string) {
		profile(t, dir, "default", append([]string{`server = "` + a.URL + `"`, `token_file = "` + secretOf(t, dir, "of-the-profile") + `"`}, extra...)...)
	}
	ask := func(s *called, args ...string) {
		t.Helper()
		before := s.calls
		_, err := stella(t, append([]string{"export", "list"}, args...)...)
		require.Equal(t, exitNotFound, exitCode(err), "%v", err)
		require.Equal(t, before+1, s.calls, "another server was asked")
	}
	require.Equal(t, defaultServer, (&connection{}).address(), "nobody names a server")

	lines()
	ask(a)
	require.Equal(t, "of-the-profile", a.token)
	require.Empty(t, a.tenant)
	lines(`tenant = "of-the-profile"`)
	ask(a)
	require.Equal(t, "of-the-profile", a.tenant)

	t.Setenv("STELLA_SERVER", b.URL)
	_, err := stella(t, "export", "list")
	require.Equal(t, exitInput, exitCode(err))
	require.ErrorContains(t, err, "the profile's token is for "+a.URL)
	require.Zero(t, b.calls, "another server learns the profile's token")
	t.Setenv("STELLA_TENANT", "of-the-environment")
	t.Setenv("STELLA_TOKEN", "of-the-environment")
	ask(b)
	require.Equal(t, "of-the-environment", b.tenant)
	require.Equal(t, "of-the-environment", b.token)
	ask(c, "--server", c.URL, "--tenant", "of-the-flag", "--token-file", secretOf(t, dir, "of-the-flag"))
	require.Equal(t, "of-the-flag", c.tenant)
	require.Equal(t, "of-the-flag", c.token)
}

// Which profile is meant follows the same order. --profile and STELLA_PROFILE are
// older names, where the flag does not mean an export profile.
func TestWhichProfile(t *testing.T) {
	dir := clean(t)
	servers := map[string]*called{}
	for _, name := range []string{"default", "env", "old", "flag"} {
		servers[name] = newCalled(t)
		profile(t, dir, name, `server = "`+servers[name].URL+`"`)
	}
	t.Setenv("STELLA_TOKEN", "token")
	ask := func(name string, args ...string) {
		t.Helper()
		_, err := stella(t, args...)
		require.Equal(t, exitNotFound, exitCode(err), "%v", err)
		require.Equal(t, 1, servers[name].calls)
		servers[name].calls = 0
	}
	ask("default", "whoami")
	t.Setenv("STELLA_PROFILE", "old")
	ask("old", "whoami")
	t.Setenv("STELLA_CONTEXT", "env")
	ask("env", "whoami")
	ask("flag", "whoami", "--context", "flag")
	ask("flag", "whoami", "--profile", "flag")
	ask("flag", "ledger", "stats", "--profile", "flag")
	ask("env", "export", "list", "--profile", "flag") // an export profile
	_, err := stella(t, "whoami", "--context", "absent")
	require.ErrorContains(t, err, `there is no context "absent"`)
	require.Equal(t, exitInput, exitCode(err))
}

func TestFormatAndTrustOfAProfile(t *testing.T) {
	dir := clean(t)
	bundle, key := filepath.Join(dir, "absent.tar"), filepath.Join(dir, "absent.pub")
	out := func(args ...string) string {
		t.Helper()
		out, err := stella(t, append([]string{"verify", bundle}, args...)...)
		require.Equal(t, exitNotFound, exitCode(err), "absent is 4 here too: %v", err)
		return out + err.Error()
	}
	_, err := stella(t, "verify", bundle)
	require.ErrorContains(t, err, "no key to trust")
	require.Equal(t, 5, exitCode(err))
	profile(t, dir, "default", `trust_roots = "/of/the/profile"`, `format = "json"`)
	require.Contains(t, out(), "/of/the/profile")
	t.Setenv("STELLA_TRUST_ROOTS", "/of/the/other/variable")
	require.Contains(t, out(), "/of/the/other/variable")
	t.Setenv("STELLA_TRUST", "/of/the/variable")
	require.Contains(t, out(), "/of/the/variable")
	require.Contains(t, out("--trust", "/of/the/flag"), "/of/the/flag")
	require.Contains(t, out("--trust-roots", "/of/the/flag"), "/of/the/flag")
	require.Contains(t, out("--key", key), key)

	profile(t, dir, "default", `format = "jsn"`)
	_, err = stella(t, "verify", bundle, "--key", key)
	require.Equal(t, 5, exitCode(err), "usage, by the table of the verifiers")
	require.ErrorContains(t, err, "default.toml: format: want table, json or yaml")
}

// The format of the profile is that of every command, until a flag says another.
func TestFormatOfAProfile(t *testing.T) {
	w, _ := loginWorld(t)
	dir := os.Getenv("STELLA_CONFIG_DIR")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "profiles"), 0o700))
	profile(t, dir, "work", `server = "`+w.URL+`"`, `format = "json"`)
	_, err := stella(t, "login", "--client-id", "ci", "--context", "work")
	require.NoError(t, err, "the profile names the server")
	out, err := stella(t, "whoami", "--context", "work")
	require.NoError(t, err)
	require.Contains(t, out, `"tenant": "acme"`)
	out, err = stella(t, "whoami", "--context", "work", "--format", "yaml")
	require.NoError(t, err)
	require.Contains(t, out, "tenant: acme\n")
	// Several profiles may use one login.
	profile(t, dir, "other", `login = "work"`)
	out, err = stella(t, "whoami", "--context", "other")
	require.NoError(t, err)
	require.Regexp(t, `tenant +acme`, out)
}

// Offline means that nothing is looked up and no connection is made.
func TestOffline(t *testing.T) {
	dir := clean(t)
	server := newCalled(t)
	t.Setenv("STELLA_SERVER", server.URL)
	t.Setenv("STELLA_TOKEN", "token")
	code := func(args ...string) int {
		t.Helper()
		_, err := stella(t, args...)
		return exitCode(err)
	}
	require.Equal(t, exitNotFound, code("export", "list"))
	require.Equal(t, 1, server.calls)
	profile(t, dir, "default", "offline = true # at sea")
	require.Equal(t, exitOffline, code("export", "list"))
	t.Setenv("STELLA_OFFLINE", "0")
	require.Equal(t, exitNotFound, code("export", "list"), "the environment wins over the profile")
	require.Equal(t, 2, server.calls)
	profile(t, dir, "default")
	for _, yes := range []string{"1", "true", "TRUE"} {
		t.Setenv("STELLA_OFFLINE", yes)
		require.Equal(t, exitOffline, code("export", "list"))
		require.Equal(t, exitOffline, code("login", "--server", server.URL, "--client-id", "x"))
	}
	require.Equal(t, exitNotFound, code("export", "list", "--offline=false"), "a flag wins")
	t.Setenv("STELLA_OFFLINE", "perhaps")
	require.Equal(t, exitInput, code("export", "list"), "what is neither yes nor no is not taken for no")
	t.Setenv("STELLA_OFFLINE", "")
	require.Equal(t, exitOffline, code("export", "list", "--offline"))
	require.Equal(t, 3, server.calls)
	require.Equal(t, 5, code("verify", "absent.tar"), "usage: this command is offline in any case")
}

// Who can write a profile says where tokens go; who can read a secret has it.
func TestModesOfFiles(t *testing.T) {
	dir := clean(t)
	server := newCalled(t)
	token := secretOf(t, dir, "token")
	file := profile(t, dir, "default", `server = "`+server.URL+`"`, `token_file = "`+token+`"`)
	list := func(args ...string) (string, error) { return stella(t, append([]string{"export", "list"}, args...)...) }
	for _, bad := range []struct {
		path string
		mode os.FileMode
		says string
	}{
		{file, 0o620, "can be written by others: chmod go-w"}, {file, 0o602, "can be written by others"},
		{token, 0o640, "can be read by others: chmod 600"}, {token, 0o604, "can be read by others"}, {token, 0o622, "can be written by others"},
	} {
		require.NoError(t, os.Chmod(bad.path, bad.mode))
		_, err := list()
		require.Equal(t, exitInput, exitCode(err), "%o", bad.mode)
		require.ErrorContains(t, err, bad.says)
		require.NoError(t, os.Chmod(bad.path, 0o600))
	}
	require.Zero(t, server.calls)
	require.NoError(t, os.Chmod(file, 0o644))
	_, err := list()
	require.Equal(t, exitNotFound, exitCode(err), "a profile is no secret")

	// What a flag names may be mounted by others: it is warned of, unless they can change it.
	require.NoError(t, os.Chmod(token, 0o444))
	out, err := list("--token-file", token)
	require.Equal(t, exitNotFound, exitCode(err))
	require.Contains(t, out, "warning: "+token+" can be read by others")
	require.NoError(t, os.Chmod(token, 0o646))
	_, err = list("--token-file", token)
	require.Equal(t, exitInput, exitCode(err))
	require.NoError(t, os.Remove(file))
	require.NoError(t, os.Mkdir(file, 0o700))
	_, err = list()
	require.ErrorContains(t, err, "is not a file")
}

func TestTrace(t *testing.T) {
	clean(t)
	server := newCalled(t)
	t.Setenv("STELLA_SERVER", server.URL)
	t.Setenv("STELLA_TOKEN", "hidden")
	out, err := stella(t, "export", "list", "--trace")
	require.Equal(t, exitNotFound, exitCode(err))
	require.Regexp(t, `^stella: trace [0-9a-f]{32} GET /api/export/runs 404 in [0-9.]+m?s\n$`, out)
	require.NotContains(t, out, "hidden")
	out, _ = stella(t, "export", "list")
	require.Empty(t, out)
}

func TestParseSettings(t *testing.T) {
	s, err := parseSettings([]byte("# work\r\n\n server = \"https://\\u0065xport.example\" # here\ntenant='a\\c'\n\ttoken_file\t=\t\"/a \\\"b\\\" # c\"\noffline=true#yes\nformat = \"yaml\"\nlogin = ''\ntrust_roots = \"\\U0001F600\""))
	require.NoError(t, err)
	require.Equal(t, settings{Server: "https://export.example", Tenant: `a\c`, TokenFile: `/a "b" # c`, Offline: true, Format: "yaml", TrustRoots: "😀"}, s)
	for text, want := range map[string]string{
		"\nservr = \"x\"":                      `line 2: unknown key "servr"; the keys are format, login, offline, server, tenant, token_file, trust_roots`,
		"server = \"a\"\n\nserver = \"b\"":     `line 3: key server is already defined`,
		"server = \"a\"\n'server' = \"b\"":     `line 2: key server is already defined`,
		"server = \"a\"\nServer = \"b\"":       `unknown key "Server"`,
		"SERVER = \"a\"":                       `unknown key "SERVER"`,
		"file = \"a\"":                         `line 1: unknown key "file"`,
		"[work]":                               `line 1: unknown key "work"`,
		"[[work]]":                             `line 1: unknown key "work"`,
		"[work]\nserver = \"a\"":               `line 1: unknown key "work"`,
		"[server]":                             "line 1: cannot store a table",
		"server":                               "line 1: expected '=' after key",
		"a.b = \"c\"":                          `unknown key "a.b"`,
		"server.b = \"c\"":                     "line 1: server.b: cannot decode TOML table, want a text in quotes",
		"= \"a\"":                              "line 1: invalid character",
		"server = a":                           "line 1: unexpected character",
		"server = 1":                           "line 1: server: cannot decode TOML integer, want a text in quotes",
		"server = true":                        "line 1: server: cannot decode TOML boolean, want a text in quotes",
		"server =":                             "line 1: expected value",
		"server = \"a":                         "line 1: unterminated",
		"server = \"a\\":                       "line 1: ",
		"server = 'a":                          "line 1: unterminated",
		"server = \"a\" b":                     "line 1: expected newline",
		"server = [\"a\"]":                     "server: cannot decode TOML array, want a text in quotes",
		"tenant = \"a\"\nserver = {a = \"b\"}": "line 2: server",
		"server = \"\\ud800\"":                 "not a valid unicode code point",
		"server = \"\\U00110000\"":             "line 1: ",
		"server = \"\\u12\"":                   "line 1: ",
		"server = \"a\\nb\"":                   "server: the value has control characters",
		"server = \"\"\"a\nb\"\"\"":            "server: the value has control characters",
		"server = 'a	b'":                       "server: the value has control characters",
		"offline = \"true\"":                   "line 1: offline: cannot decode TOML string, want true or false without quotes",
		"offline = 1":                          "offline: cannot decode TOML integer, want true or false",
		"offline = yes":                        "line 1: unexpected character",
		"format = \"xml\"":                     "format: want table, json or yaml",
		"\ufeffserver = \"a\"":                 "line 1: invalid character",
		"server = \"\xff\"":                    "line 1: invalid UTF-8",
		"# \xff":                               "line 1: invalid UTF-8",
		strings.Repeat("#", maxSettings+1):     "more than 65536 bytes",
		"a = " + strings.Repeat("[", 60_000):   "line 1: ",
	} {
		_, err := parseSettings([]byte(text))
		require.ErrorContains(t, err, want, "%.40q", text)
	}
}

// What is read back after it was written is the same, and nothing ends the reader.
func FuzzParseSettings(f *testing.F) {
	for _, seed := range []string{"server = \"a\"\noffline = true", "tenant = 'x' # y", "server = \"\\u0041\\\"\"", "[a]", "format=\"json\""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := parseSettings(raw)
		if err != nil {
			return
		}
		quote := func(text string) string {
			return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
		}
		lines := []string{"server = " + quote(s.Server), "tenant = " + quote(s.Tenant), "login = " + quote(s.Login), "token_file = " + quote(s.TokenFile), "trust_roots = " + quote(s.TrustRoots)}
		if s.Format != "" {
			lines = append(lines, "format = "+quote(s.Format))
		}
		if s.Offline {
			lines = append(lines, "offline = true")
		}
		again, err := parseSettings([]byte(strings.Join(lines, "\n")))
		require.NoError(t, err)
		require.Equal(t, s, again)
	})
}
