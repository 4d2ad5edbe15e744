package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/stella-ops/exportcenter/internal/config"
)

// house is a running `exportcenter up`.
type house struct {
	bin, data string
	up        *exec.Cmd
	done      chan error // gets how it ended
	env       map[string]string
	state     boxState
	config    config.Config
}

// boxState is what the bench reads of DIR/state.json: the way to the private
// PostgreSQL as its superuser.
type boxState struct {
	Passwords struct{ Superuser string }
	Ports     struct{ Postgres int }
}

const readyWithin = 3 * time.Minute

// startHouse starts `up` on free ports and waits until everything is ready.
func startHouse(ctx context.Context, bin, dir string) (*house, error) {
	for _, name := range []string{"exportcenter", "exportcenter-temporal", "stella"} {
		if _, err := os.Stat(filepath.Join(bin, name)); err != nil {
			return nil, fmt.Errorf("%s is missing: run `make build`", filepath.Join(bin, name))
		}
	}
	h := &house{bin: bin, data: filepath.Join(dir, "data"), done: make(chan error, 1)}
	log, err := os.Create(h.data + ".log")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	h.up = exec.Command(filepath.Join(bin, "exportcenter"), "up", "--data", h.data, "--listen", "127.0.0.1:0")
	h.up.Stdout, h.up.Stderr = log, log
	h.up.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := h.up.Start(); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	go func() { h.done <- h.up.Wait() }()
	if err := h.await(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, h.lastWords()), h.stop())
	}
	return h, nil
}

func (h *house) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	ready := filepath.Join(h.data, "run", "up.ready")
	for {
		if _, err := os.Stat(ready); err == nil {
			return h.readState()
		}
		select {
		case err := <-h.done:
			h.done <- err
			return fmt.Errorf("`exportcenter up` ended before it was ready: %v", err)
		case <-ctx.Done():
			return errors.New("`exportcenter up` did not become ready")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (h *house) readState() error {
	raw, err := os.ReadFile(filepath.Join(h.data, "state.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &h.state); err != nil {
		return fmt.Errorf("state.json: %w", err)
	}
	if h.config, err = config.Load(filepath.Join(h.data, "config.yaml")); err != nil {
		return err
	}
	env, err := os.ReadFile(filepath.Join(h.data, "env"))
	if err != nil {
		return err
	}
	h.env = map[string]string{}
	for line := range strings.Lines(string(env)) {
		name, value, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "=")
		h.env[name] = strings.Trim(value, "'")
	}
	return nil
}

// stop ends `up` as Ctrl-C does, and by force when it takes too long.
func (h *house) stop() error {
	h.up.Process.Signal(os.Interrupt) //nolint:errcheck // it may have ended
	select {
	case err := <-h.done:
		h.done <- err
		return err
	case <-time.After(30 * time.Second):
		return errors.Join(errors.New("`exportcenter up` did not stop within 30 s and was killed"), h.up.Process.Kill())
	}
}

// lastWords are the ends of all logs, for a failure.
func (h *house) lastWords() string {
	var out strings.Builder
	logs, _ := filepath.Glob(filepath.Join(h.data, "logs", "*.log")) // only a bad pattern fails
	for _, path := range append([]string{h.data + ".log"}, logs...) {
		content, _ := os.ReadFile(path) // a log that is not there says nothing
		fmt.Fprintf(&out, "--- %s\n%s\n", filepath.Base(path), content[max(0, len(content)-2000):])
	}
	return out.String()
}

// used is what a program of ours took, beside the house.
type used struct {
	cpu time.Duration
	rss int64 // bytes at its peak
}

// stella runs the client and gives its standard output.
func (h *house) stella(ctx context.Context, token string, args ...string) ([]byte, used, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(h.bin, "stella"), args...)
	cmd.Env = append(os.Environ(), "STELLA_SERVER="+h.env["STELLA_SERVER"], "STELLA_TENANT=",
		"STELLA_TOKEN="+token, "STELLA_TRUST="+h.env["STELLA_TRUST"])
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	rss, err := runWatched(cmd)
	if err != nil {
		return nil, used{}, fmt.Errorf("stella %s: %w\n%s", strings.Join(args, " "), err, errOut.String())
	}
	return out.Bytes(), used{cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), rss}, nil
}

// token gives a development token for a tenant.
func (h *house) token(ctx context.Context, tenant string) (string, error) {
	out, err := exec.CommandContext(ctx, filepath.Join(h.bin, "exportcenter"), "token", "--data", h.data, "--tenant", tenant).Output()
	if err != nil {
		return "", fmt.Errorf("exportcenter token: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}
