package pgchild_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/pgchild"
	"github.com/stella-ops/exportcenter/internal/testkit"
)

// childConfig in the environment makes the test binary a parent that starts
// the cluster, says "ready <pid>" and waits to be killed.
const childConfig = "PGCHILD_TEST_CONFIG"

func TestMain(m *testing.M) {
	if raw := os.Getenv(childConfig); raw != "" {
		beParent(raw)
	}
	os.Exit(m.Run())
}

func beParent(raw string) {
	var c pgchild.Config
	if err := json.Unmarshal([]byte(raw), &c); err != nil {
		panic(err)
	}
	s, err := pgchild.Start(context.Background(), c)
	if err != nil {
		panic(err)
	}
	fmt.Printf("ready %d\n", s.PID())
	<-s.Wait()
	os.Exit(3)
}

func config(t *testing.T) pgchild.Config {
	t.Helper()
	if _, err := pgchild.FindBinaries(os.Getenv("PG_BIN")); err != nil {
		testkit.Missing(t, "PostgreSQL: "+err.Error())
	}
	dir, err := os.MkdirTemp("", "exportcenter-pgchild-")
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o711))
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return pgchild.Config{
		Bin: os.Getenv("PG_BIN"), Data: filepath.Join(dir, "pg"), Port: l.Addr().(*net.TCPAddr).Port,
		Superuser: "postgres", Password: "secret word", Log: filepath.Join(dir, "log"), Volatile: true,
	}
}

func start(t *testing.T, c pgchild.Config) *pgchild.Server {
	t.Helper()
	s, err := pgchild.Start(t.Context(), c)
	if err != nil {
		log, _ := os.ReadFile(c.Log)
		t.Fatalf("%v\n%s", err, log)
	}
	t.Cleanup(func() { s.Stop(context.Background()) }) //nolint:errcheck // most tests have stopped it
	return s
}

func query(t *testing.T, c pgchild.Config, sql string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), c.AdminDSN())
	require.NoError(t, err)
	defer conn.Close(t.Context())
	var value string
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&value))
	return value
}

func TestStartStopAndReopen(t *testing.T) {
	c := config(t)
	s := start(t, c)
	require.Equal(t, "on", query(t, c, "show data_checksums"))
	require.Equal(t, "127.0.0.1", query(t, c, "show listen_addresses"))
	require.Equal(t, "C", query(t, c, "select datcollate from pg_database where datname = 'postgres'"))
	require.Equal(t, "lz4", query(t, c, "show default_toast_compression"))
	_, err := pgx.Connect(t.Context(), c.DSN("postgres", "wrong", "postgres"))
	require.Error(t, err, "a wrong password was accepted")
	_, err = pgchild.Command(c)
	require.ErrorContains(t, err, "already running")
	require.NoError(t, s.Stop(t.Context()))
	require.NoError(t, s.Err())
	require.NoFileExists(t, c.Data+".password")

	s = start(t, c) // the same cluster
	require.NoError(t, s.Stop(t.Context()))
}

func TestInterruptedInitIsBegunAgain(t *testing.T) {
	c := config(t)
	require.NoError(t, os.MkdirAll(filepath.Join(c.Data+".new", "base"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(c.Data+".new", "PG_VERSION"), []byte("15\n"), 0o600))
	require.NoError(t, pgchild.Init(t.Context(), c))
	require.NoDirExists(t, c.Data+".new")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c.Data += "2"
	require.Error(t, pgchild.Init(ctx, c))
	require.NoDirExists(t, c.Data)
}

func TestServerDiesWithItsParent(t *testing.T) {
	c := config(t)
	raw, err := json.Marshal(c)
	require.NoError(t, err)
	exe, err := os.Executable()
	require.NoError(t, err)
	parent := exec.Command(exe)
	parent.Env = append(os.Environ(), childConfig+"="+string(raw))
	out, err := parent.StdoutPipe()
	require.NoError(t, err)
	parent.Stderr = os.Stderr
	require.NoError(t, parent.Start())
	var pid int
	_, err = fmt.Fscanf(out, "ready %d\n", &pid)
	require.NoError(t, err)
	query(t, c, "select 'up'")

	require.NoError(t, parent.Process.Kill())
	parent.Wait() //nolint:errcheck // it was killed
	require.Eventually(t, func() bool { return gone(pid) }, 5*time.Second, 20*time.Millisecond, "PostgreSQL outlived its parent")
	start(t, c) // and its data are good
}

// gone also counts a zombie that nobody has reaped yet.
func gone(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return errors.Is(err, os.ErrNotExist) || strings.Contains(string(stat), ") Z ")
}

func TestKilledServerStartsAgain(t *testing.T) {
	c := config(t)
	s := start(t, c)
	require.NoError(t, syscall.Kill(s.PID(), syscall.SIGKILL))
	<-s.Wait()
	require.Error(t, s.Err())
	require.FileExists(t, filepath.Join(c.Data, "postmaster.pid"))
	require.Eventually(t, func() bool { // its own children need a moment to notice
		again, err := pgchild.Start(t.Context(), c)
		if err != nil {
			return false
		}
		return again.Stop(t.Context()) == nil
	}, 10*time.Second, 50*time.Millisecond)
}

func TestPIDOfAnotherProcessIsStale(t *testing.T) {
	c := config(t)
	require.NoError(t, pgchild.Init(t.Context(), c))
	for _, content := range []string{strconv.Itoa(os.Getpid()) + "\n" + c.Data + "\n", "999999999\n", "", "no number"} {
		require.NoError(t, os.WriteFile(filepath.Join(c.Data, "postmaster.pid"), []byte(content), 0o600))
		_, err := pgchild.Command(c)
		require.NoError(t, err)
		require.NoFileExists(t, filepath.Join(c.Data, "postmaster.pid"))
	}
}

func TestClearErrors(t *testing.T) {
	good := config(t)
	closed := good
	closed.Data = filepath.Join(filepath.Dir(good.Data), "closed", "pg")
	require.NoError(t, os.Mkdir(filepath.Dir(closed.Data), 0o600))
	tests := []struct {
		name string
		edit func(*pgchild.Config)
		want string
	}{
		{"relative directory", func(c *pgchild.Config) { c.Data = "pg" }, "absolute"},
		{"no password", func(c *pgchild.Config) { c.Password = "" }, "password"},
		{"wrong programs", func(c *pgchild.Config) { c.Bin = "/usr/share" }, "does not hold initdb"},
		{"closed directory", func(c *pgchild.Config) { c.Data = closed.Data }, "cannot enter " + filepath.Dir(closed.Data)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := good
			tt.edit(&c)
			require.ErrorContains(t, pgchild.Init(t.Context(), c), tt.want)
		})
	}
}

func TestLongPathHasNoSocket(t *testing.T) {
	c := config(t)
	long := filepath.Join(filepath.Dir(c.Data), strings.Repeat("d", 100))
	require.NoError(t, os.Mkdir(long, 0o755))
	c.Data = filepath.Join(long, "pg")
	start(t, c)
	require.Empty(t, query(t, c, "show unix_socket_directories"))
}

func TestTakenPort(t *testing.T) {
	c := config(t)
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.Port)))
	require.NoError(t, err)
	defer l.Close()
	begin := time.Now()
	_, err = pgchild.Start(t.Context(), c)
	require.ErrorContains(t, err, c.Log)
	require.Less(t, time.Since(begin), 20*time.Second)
}
