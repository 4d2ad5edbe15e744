package testkit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TemporalServer is a real Temporal, bin/exportcenter-temporal, on the test
// binary's PostgreSQL. It ends with the process.
type TemporalServer struct {
	Address   string // host:port of its frontend
	Namespace string

	dir  string
	cmd  *exec.Cmd
	done chan struct{}
}

var temporal struct {
	once   sync.Once
	server *TemporalServer
	err    error
}

// temporalWithin bounds its first start: it makes two databases and a namespace.
const temporalWithin = 90 * time.Second

// Temporal gives the test binary's Temporal, starting it on the first call;
// attributes are its search attributes, name to type. Without its program the
// test is skipped by name, or fails when REQUIRE_TOOLS=1.
func Temporal(t testing.TB, attributes map[string]string) *TemporalServer {
	t.Helper()
	program := filepath.Join(Root(t), "bin", "exportcenter-temporal")
	if _, err := os.Stat(program); err != nil {
		Missing(t, "bin/exportcenter-temporal (run `make build`)")
	}
	pg := Postgres(t)
	temporal.once.Do(func() { temporal.server, temporal.err = startTemporal(program, pg, attributes) })
	if temporal.err != nil {
		t.Fatalf("start Temporal for tests: %v", temporal.err)
	}
	return temporal.server
}

func startTemporal(program string, pg *PG, attributes map[string]string) (*TemporalServer, error) {
	var last error
	for range 3 { // a port may be taken between finding it and using it
		s, err := tryTemporal(program, pg, attributes)
		if err == nil {
			return s, nil
		}
		last = err
	}
	return nil, last
}

func tryTemporal(program string, pg *PG, attributes map[string]string) (*TemporalServer, error) {
	dir, err := os.MkdirTemp("", "exportcenter-temporal-")
	if err != nil {
		return nil, err
	}
	s := &TemporalServer{Namespace: "exportcenter", dir: dir, done: make(chan struct{})}
	config, err := s.config(pg, attributes)
	if err == nil {
		err = s.launch(program, config)
	}
	if err == nil {
		err = s.await(filepath.Join(dir, "ready"))
	}
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		s.stop()
		return nil, fmt.Errorf("%w; the end of its log:\n%s", err, log[max(0, len(log)-2000):])
	}
	return s, nil
}

// config writes the file of devserver/config.go.
func (s *TemporalServer) config(pg *PG, attributes map[string]string) (path string, err error) {
	dsn, err := url.Parse(pg.AdminDSN())
	if err != nil {
		return "", err
	}
	var ports [2]int
	for i := range ports {
		if ports[i], err = FreePort(); err != nil {
			return "", err
		}
	}
	s.Address = net.JoinHostPort("127.0.0.1", fmt.Sprint(ports[0]))
	password, _ := dsn.User.Password()
	raw, err := json.Marshal(map[string]any{
		"postgres": map[string]string{"address": dsn.Host, "user": dsn.User.Username(), "password": password,
			"database": "temporal", "visibilityDatabase": "temporal_visibility"},
		"frontendPort": ports[0], "uiPort": ports[1], "namespace": s.Namespace,
		"searchAttributes": attributes, "readyFile": filepath.Join(s.dir, "ready"),
	})
	if err != nil {
		return "", err
	}
	path = filepath.Join(s.dir, "config.json")
	return path, os.WriteFile(path, raw, 0o600)
}

// launch starts the child from a thread that lives as long as it does: the
// kernel ends it when that thread ends (prctl(2), PR_SET_PDEATHSIG).
func (s *TemporalServer) launch(program, config string) error {
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return err
	}
	s.cmd = exec.Command(program, "--config", config)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer log.Close()
		err := s.cmd.Start()
		started <- err
		if err == nil {
			s.cmd.Wait() //nolint:errcheck // that it ended is all there is to know
			close(s.done)
		}
	}()
	return <-started
}

func (s *TemporalServer) await(ready string) error {
	ctx, cancel := context.WithTimeout(context.Background(), temporalWithin)
	defer cancel()
	for {
		if _, err := os.Stat(ready); err == nil {
			return nil
		}
		select {
		case <-s.done:
			return errors.New("it ended")
		case <-ctx.Done():
			return fmt.Errorf("not ready within %s", temporalWithin)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends the child; its databases go with the cluster.
func (s *TemporalServer) stop() {
	if s.cmd != nil && s.cmd.Process != nil {
		s.cmd.Process.Kill() //nolint:errcheck // it may have ended
		<-s.done
	}
	os.RemoveAll(s.dir) //nolint:errcheck // a leftover in the temporary directory
}
