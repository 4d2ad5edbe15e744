package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/config"
	"github.com/stella-ops/exportcenter/internal/pgchild"
	"github.com/stella-ops/exportcenter/internal/supervise"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// apart is a house whose parts were started one by one, as on several machines:
// between each of api and worker and each of PostgreSQL and Temporal is a link
// that can be disturbed.
type apart struct {
	*house
	proxies *proxies
	admin   string // the superuser's connection string, past the links

	mu    sync.Mutex
	exits []string // of api and worker, which nobody asked for
}

const apartPassword = "apart"

// openApart starts a house apart; it ends with the test.
func openApart(t *testing.T) *apart {
	t.Helper()
	program(t, "exportcenter-temporal")
	a := &apart{proxies: startProxies(t)}
	dir, err := os.MkdirTemp("", "exportcenter-apart-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755), "PostgreSQL drops root and must get in")
	a.house = &house{dir: filepath.Join(dir, "data")}
	requireRuns(t, dir, program(t, "exportcenter"), "init", "--data", a.dir)

	database := a.startPostgres(t, filepath.Join(dir, "postgres"))
	a.admin = database.DSN(database.Superuser, database.Password, postgres.DatabaseName)
	temporal := a.startTemporal(t, database)
	servers := map[string]string{"postgres": net.JoinHostPort("127.0.0.1", strconv.Itoa(database.Port)), "temporal": temporal}
	listen := freeAddress(t)
	direct := a.configure(listen, servers["postgres"], temporal)
	require.NoError(t, direct.Write(filepath.Join(a.dir, "config.yaml"))) // fsck and tests see both stores as they are
	admin := filepath.Join(dir, "admin")
	require.NoError(t, os.WriteFile(admin, []byte(database.AdminDSN()), 0o600))
	requireRuns(t, dir, program(t, "exportcenter"), "migrate", "--config", filepath.Join(a.dir, "config.yaml"), "--admin", admin)

	for _, part := range []string{"api", "worker"} {
		through := a.configure(listen, a.proxies.link(t, part+"-postgres", servers["postgres"]), a.proxies.link(t, part+"-temporal", servers["temporal"]))
		require.NoError(t, through.Write(filepath.Join(a.dir, part+".yaml")))
		a.run(t, part, program(t, "exportcenter"), part, "--config", filepath.Join(a.dir, part+".yaml"))
	}
	a.env = map[string]string{"STELLA_SERVER": "http://" + listen, "STELLA_TRUST": filepath.Join(a.dir, "trust")}
	a.env["STELLA_TOKEN"] = a.tokenFor(t, "demo")
	a.waitServing(t, time.Minute)
	awaitFile(t, a, direct.WorkerReady)
	return a
}

func (a *apart) startPostgres(t *testing.T, data string) pgchild.Config {
	t.Helper()
	c := pgchild.Config{
		Bin: os.Getenv("PG_BIN"), Data: data, Port: freePort(t), Superuser: "postgres", Password: apartPassword,
		Log: filepath.Join(a.dir, "logs", "postgres.log"),
	}
	server, err := pgchild.Start(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		require.NoError(t, server.Stop(ctx))
	})
	conn, err := pgx.Connect(t.Context(), c.AdminDSN())
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // everything was committed
	_, err = conn.Exec(t.Context(), `create role temporal login createdb password '`+apartPassword+`'`)
	require.NoError(t, err)
	return c
}

// startTemporal starts the embedded cluster and gives its address.
func (a *apart) startTemporal(t *testing.T, database pgchild.Config) string {
	t.Helper()
	frontend, ui := freePort(t), freePort(t)
	ready, path := filepath.Join(a.dir, "run", "temporal.ready"), filepath.Join(a.dir, "temporal", "config.json")
	raw, err := json.Marshal(map[string]any{
		"postgres": map[string]string{
			"address": net.JoinHostPort("127.0.0.1", strconv.Itoa(database.Port)), "user": "temporal", "password": apartPassword,
			"database": "temporal", "visibilityDatabase": "temporal_visibility",
		},
		"frontendPort": frontend, "uiPort": ui, "namespace": "exportcenter", "readyFile": ready,
		"searchAttributes": map[string]string{export.AttributeTenant: "Keyword", export.AttributeProfile: "Keyword"},
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, raw, 0o600))
	a.run(t, "temporal", program(t, "exportcenter-temporal"), "--config", path)
	awaitFile(t, a, ready)
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(frontend))
}

// configure makes the configuration of a process that reaches the servers at
// these addresses.
func (a *apart) configure(listen, database, temporal string) config.Config {
	dsn := func(role string) string {
		return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", role, apartPassword, database, postgres.DatabaseName)
	}
	keys := func(name string) string { return filepath.Join(a.dir, "keys", name) }
	return config.Config{
		Listen: listen, PublicURL: "http://" + listen,
		Database:    config.Database{Owner: dsn(postgres.OwnerRole), App: dsn(postgres.AppRole), Dispatch: dsn(postgres.DispatchRole)},
		Temporal:    config.Temporal{Address: temporal, Namespace: "exportcenter", TaskQueue: "exports"},
		Blobs:       config.Blobs{Dir: filepath.Join(a.dir, "blobs")},
		Signing:     config.Signing{Key: keys("signing.key"), PasswordFile: keys("password")},
		Auth:        config.Auth{Issuer: "exportcenter-dev:apart", Audience: "exportcenter", JWKS: keys("jwks.json")},
		WorkerReady: filepath.Join(a.dir, "run", "worker.ready"),
	}
}

// run keeps a program running until the test ends, and notes each end that
// nobody asked for.
func (a *apart) run(t *testing.T, name, path string, args ...string) {
	t.Helper()
	child := supervise.Start(supervise.Spec{
		Name: name, Log: filepath.Join(a.dir, "logs", name+".log"), StopSignal: syscall.SIGTERM, Grace: 15 * time.Second,
		Command: func() (*exec.Cmd, error) { return exec.Command(path, args...), nil },
	}, func(e supervise.Exit) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.exits = append(a.exits, e.Child+": "+e.Reason)
	})
	t.Cleanup(child.Stop)
}

// ended gives the ends of processes that nobody asked for.
func (a *apart) ended() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.exits
}

func freeAddress(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(freePort(t)))
}

// takenPorts are those that freePort gave.
var takenPorts sync.Map

// freePort gives a port that stays free until its program listens: from below
// the range that Linux gives to outgoing connections, and each to one asker.
func freePort(t testing.TB) int {
	t.Helper()
	for range 200 {
		port := 20000 + rand.IntN(12000)
		if _, taken := takenPorts.LoadOrStore(port, true); taken {
			continue
		}
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("found no free port on 127.0.0.1 between 20000 and 32000")
	return 0
}

func awaitFile(t *testing.T, a *apart, path string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no %s after a minute:\n%s", filepath.Base(path), a.tail())
		}
	}
}
