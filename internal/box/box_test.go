package box

import (
	"bytes"
	"crypto/rand"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/config"
)

// quiet opens a box on dir without starting children.
func quiet(t *testing.T, dir, listen string) (*box, string) {
	t.Helper()
	var out bytes.Buffer
	self, err := os.Executable()
	require.NoError(t, err)
	b, err := open(Options{
		Data: dir, Listen: listen, Exportcenter: self, Temporal: self,
		Clock: clock.System, Random: rand.Reader, Out: &out,
	})
	require.NoError(t, err)
	t.Cleanup(b.lock.release)
	return b, out.String()
}

func TestWhatIsMadeOnceStays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, _ := quiet(t, dir, "127.0.0.1:0")
	first.lock.clean()
	first.lock.release()
	second, said := quiet(t, dir, "127.0.0.1:0")
	require.Empty(t, said)
	require.Equal(t, first.state, second.state)
	require.Equal(t, first.keyID, second.keyID)

	cfg, err := config.Load(second.layout.config())
	require.NoError(t, err)
	require.Equal(t, second.apiAddress(), cfg.Listen)
	require.Contains(t, cfg.Database.App, second.state.Passwords.App)
	require.NotContains(t, cfg.Database.App, second.state.Passwords.Owner)
}

func TestSecretsAreReadableByTheirOwnerOnly(t *testing.T) {
	b, _ := quiet(t, filepath.Join(t.TempDir(), "data"), "127.0.0.1:0")
	require.NoError(t, b.writeEnv())
	for _, path := range []string{
		b.layout.state(), b.layout.config(), b.layout.env(), b.layout.temporalConfig(),
		b.layout.signingKey(), b.layout.signingPassword(), b.layout.tokenIssuer(), b.layout.rootKey(), b.layout.rootPassword(),
	} {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm(), path)
	}
}

func TestASecondUpIsRefusedAndNamesTheFirst(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, _ := quiet(t, dir, "127.0.0.1:0")
	self, err := os.Executable()
	require.NoError(t, err)
	_, err = open(Options{Data: dir, Listen: "127.0.0.1:0", Exportcenter: self, Temporal: self,
		Clock: clock.System, Random: rand.Reader, Out: &bytes.Buffer{}})
	require.ErrorContains(t, err, "pid "+strconv.Itoa(os.Getpid()))
	require.ErrorContains(t, err, first.layout.lock())
}

func TestAKilledHolderIsNoticed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, _ := quiet(t, dir, "127.0.0.1:0")
	first.lock.release() // as the kernel does
	second, said := quiet(t, dir, "127.0.0.1:0")
	require.True(t, second.lock.resumed)
	require.Contains(t, said, "was killed")
	require.Equal(t, first.state.Ports, second.state.Ports)
}

func TestATakenPortIsReplacedAndSaid(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	first, _ := quiet(t, dir, "127.0.0.1:0")
	first.lock.clean()
	first.lock.release()
	var squatters []net.Listener
	for _, port := range []int{first.state.Ports.API, first.state.Ports.Postgres} {
		l, err := net.Listen("tcp", net.JoinHostPort(loopback, strconv.Itoa(port)))
		require.NoError(t, err)
		defer l.Close()
		squatters = append(squatters, l)
	}
	require.Len(t, squatters, 2)

	second, said := quiet(t, dir, "127.0.0.1:0")
	before, now := first.state.Ports, second.state.Ports
	require.NotEqual(t, before.API, now.API)
	require.NotEqual(t, before.Postgres, now.Postgres)
	require.Equal(t, before.Temporal, now.Temporal)
	require.Contains(t, said, "Port "+strconv.Itoa(before.API)+" is taken; the API uses "+strconv.Itoa(now.API))
	require.Contains(t, said, "Port "+strconv.Itoa(before.Postgres)+" is taken; PostgreSQL uses "+strconv.Itoa(now.Postgres))

	// A wanted port that is taken gives way to the remembered one.
	second.lock.clean()
	second.lock.release()
	third, said := quiet(t, dir, "127.0.0.1:"+strconv.Itoa(before.API))
	require.Equal(t, now.API, third.state.Ports.API)
	require.Contains(t, said, "Port "+strconv.Itoa(before.API)+" is taken; the API uses "+strconv.Itoa(now.API))
}

func TestListenIsLoopbackOnly(t *testing.T) {
	good := map[string]string{"127.0.0.1:0": "127.0.0.1", "localhost:8480": "127.0.0.1", "[::1]:1": "::1", "127.0.0.2:65535": "127.0.0.2"}
	for listen, host := range good {
		got, _, err := splitListen(listen)
		require.NoError(t, err, listen)
		require.Equal(t, host, got)
	}
	for _, listen := range []string{"", "8480", ":8480", "0.0.0.0:1", "[::]:1", "10.0.0.1:1", "example.org:1", "127.0.0.1:x", "127.0.0.1:65536", "127.0.0.1:-1"} {
		_, _, err := splitListen(listen)
		require.Error(t, err, listen)
		require.Contains(t, err.Error(), "--listen")
	}
}

func TestLostFilesAreNamedInsteadOfReplaced(t *testing.T) {
	cases := []struct {
		name string
		lose func(l layout) string // gives what the error must name
	}{
		{"passwords of a database", func(l layout) string {
			require.NoError(t, os.Mkdir(l.postgres(), 0o700))
			require.NoError(t, os.Remove(l.state()))
			return l.state()
		}},
		{"password of the signing key", func(l layout) string {
			require.NoError(t, os.Remove(l.signingPassword()))
			return l.signingPassword()
		}},
		{"state of another program", func(l layout) string {
			require.NoError(t, os.WriteFile(l.state(), []byte(`{"ports":{},"surprise":1}`), 0o600))
			return l.state()
		}},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			b, _ := quiet(t, dir, "127.0.0.1:0")
			b.lock.clean()
			b.lock.release()
			named := tc.lose(b.layout)
			_, err := open(b.options)
			require.ErrorContains(t, err, named)
			again, err := acquire(b.layout.lock())
			require.NoError(t, err, "a refused start holds nothing")
			require.False(t, again.resumed, "and leaves no trace")
			again.release()
		})
	}
}

func TestMissingProgramsAreNamed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	_, err := open(Options{Data: dir, Listen: "127.0.0.1:0", Exportcenter: "/nonexistent/exportcenter"})
	require.ErrorContains(t, err, "/nonexistent/exportcenter")
	require.NoDirExists(t, dir)
}

// TestEnvIsAShellFile reads it with the machine's shell, from a directory
// whose name needs every kind of quoting.
func TestEnvIsAShellFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), `it's a "place" for $HOME`)
	b, _ := quiet(t, dir, "127.0.0.1:0")
	require.NoError(t, b.writeEnv())
	script := ". " + shellWord(b.layout.env()) + ` && printf '%s\n' "$STELLA_SERVER" "$STELLA_TENANT" "$STELLA_TRUST" "${#STELLA_TOKEN}"`
	out, err := exec.Command("/bin/sh", "-c", script).CombinedOutput()
	require.NoError(t, err, string(out))
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	require.Equal(t, []string{b.apiURL(), "demo", b.layout.trust()}, lines[:3])
	require.NotEqual(t, "0", lines[3])
	require.FileExists(t, filepath.Join(b.layout.trust(), "signing.pub"))
}

func TestAnEmptyNameIsNotTheCurrentDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	_, err := makeLayout("")
	require.EqualError(t, err, "data directory: its name is empty")
	made, err := os.ReadDir(".")
	require.NoError(t, err)
	require.Empty(t, made)
}

func TestOnlyOurOwnDirectoriesAreOpened(t *testing.T) {
	t.Setenv("TMPDIR", "/var/tmp")
	for dir, want := range map[string]bool{
		"/var/tmp/a": true, "/var/tmp/a/b": true, "/var/tmp": false, "/var": false, "/": false, "/root": false, "/var/tmpx": false,
	} {
		require.Equal(t, want, isTemporary(dir), dir)
	}
}
