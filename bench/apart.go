package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgxpool"
)

// The bare servers that a process of its own can be: ours are in one, and an answer
// that stays within its client's process costs less.
const (
	bareFiles = "files" // http.FileServer over the directory bareOf names
	bareRows  = "rows"  // the handler of serveRows, over the database it names
)

// bareOf is the environment variable with what a bare server serves: a connection
// string has a password, which is nothing for a command line.
const bareOf = "BENCH_BARE"

// bareServer is such a process.
type bareServer struct {
	url   string
	cmd   *exec.Cmd
	input io.Closer // the server ends when it is closed
}

func (b *bench) apart(ctx context.Context, kind, of string) (*bareServer, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, program, "-bare", kind)
	cmd.Env = append(os.Environ(), bareOf+"="+of)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &bareServer{cmd: cmd, input: input}
	url, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bare server of %s: %w", kind, err), s.stop())
	}
	s.url = strings.TrimSpace(url)
	return s, nil
}

func (s *bareServer) stop() error {
	return errors.Join(s.input.Close(), s.cmd.Wait())
}

// serveBare is that process: it prints its address and serves until its input ends.
func serveBare(ctx context.Context, kind string) error {
	var handler http.Handler
	switch kind {
	case bareFiles:
		handler = http.FileServer(http.Dir(os.Getenv(bareOf)))
	case bareRows:
		pool, err := pgxpool.New(ctx, os.Getenv(bareOf))
		if err != nil {
			return err
		}
		defer pool.Close()
		handler = rowHandler(pool)
	default:
		return fmt.Errorf("-bare %s: want %s or %s", kind, bareFiles, bareRows)
	}
	server, err := serve(handler)
	if err != nil {
		return err
	}
	defer server.stop()
	if _, err := fmt.Println(server.url); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}
