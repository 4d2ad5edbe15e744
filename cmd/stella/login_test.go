package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/internal/devissuer"
	"github.com/stella-ops/exportcenter/signing/dpop"
)

// stella runs a command in this process and gives what it said.
func stella(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	command := rootCommand()
	command.SetArgs(args)
	command.SetOut(&out)
	command.SetErr(&out)
	err := command.ExecuteContext(t.Context())
	return out.String(), err
}

// loginWorld takes bound tokens only; secret is that of its client "ci".
func loginWorld(t *testing.T) (w *frontendtest.World, secret string) {
	w, register := frontendtest.WithLogin(t, func(c *frontend.Config) { c.RequireDPoP, c.PublicURL = true, "http://127.0.0.1" })
	for _, name := range []string{"STELLA_TOKEN", "STELLA_TENANT", "STELLA_SERVER", "STELLA_CONTEXT"} {
		t.Setenv(name, "")
	}
	t.Setenv("STELLA_CONFIG_DIR", filepath.Join(t.TempDir(), "stella"))
	secret = register(devissuer.Client{ID: "ci", Tenant: "acme", Roles: []export.Role{export.RoleOperator}})
	t.Setenv("STELLA_CLIENT_SECRET", secret)
	return w, secret
}

func TestLogin(t *testing.T) {
	w, secret := loginWorld(t)
	out, err := stella(t, "login", "--server", w.URL, "--client-id", "ci")
	require.NoError(t, err)
	require.Contains(t, out, "client:ci of tenant acme")
	t.Setenv("STELLA_CLIENT_SECRET", "")

	dir := filepath.Join(os.Getenv("STELLA_CONFIG_DIR"), "contexts", "default")
	out, err = stella(t, "export", "list")
	require.NoError(t, err)
	require.Contains(t, out, "RUN")
	first, err := os.ReadFile(filepath.Join(dir, tokenFile))
	require.NoError(t, err)
	out, err = stella(t, "whoami", "--format", "json")
	require.NoError(t, err)
	require.Contains(t, out, `"dpopBound": true`)
	second, err := os.ReadFile(filepath.Join(dir, tokenFile))
	require.NoError(t, err)
	require.Equal(t, first, second, "the token serves until it ends")

	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 4)
	for _, entry := range entries {
		info, err := entry.Info()
		require.NoError(t, err)
		require.EqualValues(t, 0o600, info.Mode().Perm(), entry.Name())
		raw, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		require.NoError(t, err)
		require.Equal(t, entry.Name() == secretFile, strings.Contains(string(raw), secret), entry.Name())
	}
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.EqualValues(t, 0o700, info.Mode().Perm())

	// A token that has ended, or is not readable, is replaced.
	require.NoError(t, os.WriteFile(filepath.Join(dir, tokenFile), []byte("{"), 0o600))
	_, err = stella(t, "whoami")
	require.NoError(t, err)
	// The key is what counts: a token is not used with another, and without one nothing is.
	key, err := dpop.NewKey()
	require.NoError(t, err)
	pem, err := key.PEM()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, keyFile), pem, 0o600))
	_, err = stella(t, "whoami")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, keyFile), []byte("x"), 0o600))
	_, err = stella(t, "whoami")
	require.Equal(t, exitAuth, exitCode(err))

	_, err = stella(t, "logout")
	require.NoError(t, err)
	require.NoDirExists(t, dir)
	_, err = stella(t, "whoami", "--server", w.URL)
	require.Equal(t, exitAuth, exitCode(err))
	_, err = stella(t, "logout")
	require.Equal(t, exitNotFound, exitCode(err))
}

func TestALoginIsForItsServerAlone(t *testing.T) {
	w, _ := loginWorld(t)
	_, err := stella(t, "login", "--server", w.URL, "--client-id", "ci", "--context", "work")
	require.NoError(t, err)
	_, err = stella(t, "whoami", "--context", "work")
	require.NoError(t, err)
	_, err = stella(t, "whoami")
	require.Equal(t, exitAuth, exitCode(err), "there is no default")
	t.Setenv("STELLA_CONTEXT", "work")
	_, err = stella(t, "whoami")
	require.NoError(t, err)
	_, err = stella(t, "whoami", "--server", "http://127.0.0.1:1")
	require.Equal(t, exitInput, exitCode(err))
	require.ErrorContains(t, err, "the login is for "+w.URL)
	_, err = stella(t, "whoami", "--tenant", "globex")
	require.Equal(t, exitAuth, exitCode(err))
	t.Setenv("STELLA_CONTEXT", "play")
	_, err = stella(t, "whoami")
	require.ErrorContains(t, err, `there is no context "play"`)
	for _, name := range []string{"../x", "a/b", "A", ".."} {
		_, err = stella(t, "whoami", "--context", name)
		require.Equal(t, exitInput, exitCode(err), name)
	}
}

func TestALoginThatDoesNotWorkLeavesNothing(t *testing.T) {
	w, _ := loginWorld(t)
	for name, args := range map[string][]string{
		"unknown client": {"--server", w.URL, "--client-id", "who"},
		"too much":       {"--server", w.URL, "--client-id", "ci", "--scope", "audit:read"},
		"no server":      {"--client-id", "ci"},
		"no issuer":      {"--server", w.URL, "--client-id", "ci", "--token-url", w.URL + "/health/live"},
		"plain http":     {"--server", w.URL, "--client-id", "ci", "--token-url", "http://issuer.example/token"},
		"no client":      {"--server", w.URL},
	} {
		_, err := stella(t, append([]string{"login"}, args...)...)
		require.Error(t, err, name)
		require.NoDirExists(t, os.Getenv("STELLA_CONFIG_DIR"), name)
	}
}

func TestTenantCommands(t *testing.T) {
	w, register := frontendtest.WithLogin(t)
	for _, name := range []string{"STELLA_TOKEN", "STELLA_SERVER", "STELLA_CONTEXT"} {
		t.Setenv(name, "")
	}
	t.Setenv("STELLA_TENANT", "demo") // of another login; it is not the administrator's
	t.Setenv("STELLA_CONFIG_DIR", filepath.Join(t.TempDir(), "stella"))
	t.Setenv("STELLA_CLIENT_SECRET", register(devissuer.Client{ID: "root", Tenant: export.Installation, Scopes: []string{export.ScopeTenantManage}}))
	out, err := stella(t, "login", "--server", w.URL, "--client-id", "root")
	require.NoError(t, err, out)
	run := func(code int, args ...string) string {
		t.Helper()
		out, err := stella(t, append([]string{"tenant"}, args...)...)
		require.Equal(t, code, exitCode(err), "%v: %v", args, err)
		return out
	}
	run(exitInput, "create", "acme", "--display-name", "Acme\x1b[31m")
	require.Contains(t, run(0, "create", "acme", "--display-name", "Acme Corporation"), "Acme Corporation")
	run(exitInput, "create", "acme")
	run(exitInput, "create", "../x")
	run(exitInput, "create")
	require.Contains(t, run(0, "suspend", "acme", "--reason", "unpaid"), "unpaid")
	require.Regexp(t, `acme +suspended`, run(0, "list"))
	require.Contains(t, run(0, "show", "acme", "--format", "json"), `"state": "suspended"`)
	run(exitInput, "quotas", "acme")
	run(exitInput, "quotas", "acme", "--runs-per-day", "many")
	run(exitInput, "quotas", "acme", "--bytes", "0")
	run(exitInput, "quotas", "acme", "--runs-per-day", "1000001")
	require.Regexp(t, `runs per day +at most 7\n`, run(0, "quotas", "acme", "--runs-per-day", "7"))
	require.Regexp(t, `runs per day +at most 7\nbytes +no bound`, run(0, "quotas", "acme", "--bytes", "none"), "what is not said stays")
	require.NotContains(t, run(0, "quotas", "acme", "--runs-per-day", "default"), "runs per day")
	run(exitNotFound, "quotas", "nobody", "--bytes", "1")
	run(0, "resume", "acme")
	require.Regexp(t, `state +active`, run(0, "show", "acme"))
	run(exitNotFound, "show", "nobody")
	require.Equal(t, exitAuth, exitCode(func() error { _, err := stella(t, "export", "list"); return err }()), "and nothing else")
}
