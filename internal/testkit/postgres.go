package testkit

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stella-ops/exportcenter/internal/pgchild"
)

// PG is a private, volatile PostgreSQL cluster, shared by the tests of one
// test binary. It ends with the process: the kernel tells it to quit. What it
// leaves on disk is removed by Main, or else by the next test binary.
type PG struct {
	server *pgchild.Server
	dir    string
}

var cluster struct {
	once sync.Once
	pg   *PG
	err  error
}

// Postgres gives the test binary's cluster, starting it on the first call.
// Without PostgreSQL on the machine the test is skipped, or fails when
// REQUIRE_TOOLS=1.
func Postgres(t testing.TB) *PG {
	t.Helper()
	cluster.once.Do(func() { cluster.pg, cluster.err = startCluster() })
	if errors.Is(cluster.err, pgchild.ErrNoBinaries) {
		Missing(t, "PostgreSQL: "+cluster.err.Error())
	}
	if cluster.err != nil {
		t.Fatalf("start PostgreSQL for tests: %v", cluster.err)
	}
	return cluster.pg
}

// Main runs a package's tests and removes the cluster behind them, and Temporal:
//
//	func TestMain(m *testing.M) { os.Exit(testkit.Main(m)) }
func Main(m *testing.M) int {
	code := m.Run()
	if temporal.server != nil {
		temporal.server.stop()
	}
	if pg := cluster.pg; pg != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := errors.Join(pg.server.Stop(ctx), os.RemoveAll(pg.dir)); err != nil {
			fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
		}
	}
	return code
}

// AdminDSN is the superuser's connection string.
func (p *PG) AdminDSN() string { return p.server.Config.AdminDSN() }

// DSN is the connection string of user for database.
func (p *PG) DSN(user, password, database string) string {
	return p.server.Config.DSN(user, password, database)
}

// Server is the running server, for tests that stop it.
func (p *PG) Server() *pgchild.Server { return p.server }

// FreePort is a port that was free on 127.0.0.1 a moment ago.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close() //nolint:errcheck // nothing was sent
	return l.Addr().(*net.TCPAddr).Port, nil
}

// startCluster tries a few ports: between finding a free one and using it
// another process may take it.
func startCluster() (*PG, error) {
	if _, err := pgchild.FindBinaries(os.Getenv("PG_BIN")); err != nil {
		return nil, err
	}
	removeAbandoned()
	dir, err := os.MkdirTemp("", fmt.Sprintf("%s%d-", clusterPrefix, os.Getpid()))
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o711); err != nil { // the server's user passes through
		return nil, err
	}
	var last error
	for range 5 {
		port, err := FreePort()
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		server, err := pgchild.Start(ctx, pgchild.Config{
			Bin: os.Getenv("PG_BIN"), Data: filepath.Join(dir, "pg"), Port: port,
			Superuser: "postgres", Password: "test", Log: filepath.Join(dir, "log"), Volatile: true,
		})
		cancel()
		if err == nil {
			return &PG{server: server, dir: dir}, nil
		}
		last = err
	}
	return nil, errors.Join(last, os.RemoveAll(dir))
}

const clusterPrefix = "exportcenter-pg-"

// removeAbandoned removes the clusters of test binaries that are gone. Their
// servers may still be on the way out; those are left for the next time.
func removeAbandoned() {
	dirs, _ := filepath.Glob(filepath.Join(os.TempDir(), clusterPrefix+"*")) // only a bad pattern fails
	for _, dir := range dirs {
		owner, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), clusterPrefix), "-")
		pid, err := strconv.Atoi(owner)
		if err != nil || !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "pg", "postmaster.pid")); err == nil {
			continue
		}
		os.RemoveAll(dir) //nolint:errcheck // a leftover is tried again next time
	}
}
