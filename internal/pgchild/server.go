package pgchild

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// Server is a running cluster.
type Server struct {
	Config Config

	cmd  *exec.Cmd
	done chan struct{}
	err  error // set before done is closed
}

// Start makes the cluster if needed, starts its server and returns when it
// answers queries. The server lives until Stop, or until this process ends.
func Start(ctx context.Context, c Config) (*Server, error) {
	if err := Init(ctx, c); err != nil {
		return nil, err
	}
	cmd, err := Command(c)
	if err != nil {
		return nil, err
	}
	s := &Server{Config: c, cmd: cmd, done: make(chan struct{})}
	if err := s.launch(); err != nil {
		return nil, err
	}
	ready, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-s.done:
			cancel()
		case <-ready.Done():
		}
	}()
	if err := Ready(ready, c); err != nil {
		stopCtx, cancelStop := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancelStop()
		stopErr := s.Stop(stopCtx)
		return nil, errors.Join(fmt.Errorf("start PostgreSQL (see %s): %w", c.logName(), err), stopErr)
	}
	return s, nil
}

func (c Config) logName() string {
	if c.Log == "" {
		return "its log, which was discarded"
	}
	return c.Log
}

// launch starts the command on a thread of its own that waits for its end.
func (s *Server) launch() error {
	var log io.WriteCloser
	if s.Config.Log != "" {
		file, err := os.OpenFile(s.Config.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return fmt.Errorf("open PostgreSQL's log: %w", err)
		}
		log = file
		s.cmd.Stdout, s.cmd.Stderr = file, file
	}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := s.cmd.Start()
		if log != nil {
			log.Close() //nolint:errcheck // the child has its own descriptor
		}
		started <- err
		if err == nil {
			s.err = s.cmd.Wait()
			close(s.done)
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start PostgreSQL: %w", err)
	}
	return nil
}

// PID is the server's process id.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Wait is closed when the server has ended; Err then says how.
func (s *Server) Wait() <-chan struct{} { return s.done }

// Err is how the server ended, nil while it runs or after a clean stop.
func (s *Server) Err() error {
	select {
	case <-s.done:
		return s.err
	default:
		return nil
	}
}

// Stop ends the server: a fast shutdown, an immediate one when ctx ends first.
func (s *Server) Stop(ctx context.Context) error {
	if s.ended() {
		return nil
	}
	if err := s.signal(StopSignal); err != nil {
		return err
	}
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
	}
	if err := s.signal(QuitSignal); err != nil {
		return err
	}
	select {
	case <-s.done:
	case <-time.After(5 * time.Second):
		if err := s.signal(syscall.SIGKILL); err != nil {
			return err
		}
		<-s.done
	}
	return fmt.Errorf("PostgreSQL had to be stopped at once: %w", ctx.Err())
}

func (s *Server) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

func (s *Server) signal(sig syscall.Signal) error {
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal PostgreSQL: %w", err)
	}
	return nil
}
