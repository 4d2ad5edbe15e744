// Package supervise keeps child processes running: it starts them, starts
// them again when they die, ends them on request, and arranges with the kernel
// that none outlives its supervisor, however that ends.
//
// That arrangement is the parent-death signal (prctl(2), PR_SET_PDEATHSIG). It
// follows the thread that started the child, not the process, so each child is
// started by a goroutine that keeps its thread for the child's whole life.
package supervise

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/stella-ops/exportcenter/internal/clock"
)

// The pause before a dead child is started again doubles from shortest to
// longest; a child that lived for settled begins at the shortest again.
const (
	shortest = 100 * time.Millisecond
	longest  = 5 * time.Second
	settled  = 10 * time.Second
)

// Spec says how one child is run.
type Spec struct {
	Name string
	// Command makes the command of the next start; output is not set. Without
	// attributes it gets a process group of its own, so that Ctrl-C in a
	// terminal reaches the supervisor only, and dies with the supervisor.
	Command func() (*exec.Cmd, error)
	// Log is the file that output is appended to.
	Log string
	// StopSignal asks the child to end; after Grace it is made to.
	StopSignal syscall.Signal
	Grace      time.Duration
	// QuitSignal, when set, is sent before SIGKILL: it lets a child end at once
	// and take its own children with it, whom our SIGKILL would orphan.
	QuitSignal syscall.Signal
}

// quitGrace is how long QuitSignal may take. PostgreSQL kills those of its
// processes that are still there after 5 s.
const quitGrace = 7 * time.Second

// Exit tells how a start of a child ended.
type Exit struct {
	Child  string
	Reason string        // "exit status 1", "signal: killed", why it could not start
	Again  time.Duration // the pause before the next start
}

// Child is a child process and its successors.
type Child struct {
	spec     Spec
	onExit   func(Exit)
	stopping chan struct{} // closed by the first Stop or Kill
	stopOnce sync.Once
	done     chan struct{} // closed when the last process has ended

	mu      sync.Mutex
	process *os.Process // the living one, or nil
}

// Start starts a child and keeps it running until Stop or Kill. onExit is told
// of every end that nobody asked for; it may be called from another goroutine.
func Start(spec Spec, onExit func(Exit)) *Child {
	c := &Child{spec: spec, onExit: onExit, stopping: make(chan struct{}), done: make(chan struct{})}
	go c.run()
	return c
}

func (c *Child) run() {
	runtime.LockOSThread() // see the package comment
	defer runtime.UnlockOSThread()
	defer close(c.done)
	var pause time.Duration
	for {
		born := clock.System()
		err := c.live()
		if c.stopRequested() {
			return
		}
		pause = pauseAfter(pause, clock.System().Sub(born))
		c.onExit(Exit{Child: c.spec.Name, Reason: reason(err), Again: pause})
		select {
		case <-c.stopping:
			return
		case <-time.After(pause):
		}
	}
}

// pauseAfter is the pause after a life of this length, when the one before it
// was last (0 = there was none).
func pauseAfter(last, lived time.Duration) time.Duration {
	if last == 0 || lived >= settled {
		return shortest
	}
	return min(2*last, longest)
}

// live starts the child once and returns when it has ended.
func (c *Child) live() error {
	cmd, err := c.spec.Command()
	if err != nil {
		return err
	}
	log, err := openLog(c.spec.Log)
	if err != nil {
		return err
	}
	defer log.Close()
	prepare(cmd, log)
	if err := c.launch(cmd); err != nil {
		return err
	}
	err = cmd.Wait()
	c.mu.Lock()
	c.process = nil
	c.mu.Unlock()
	return err
}

// launch starts cmd unless a stop was requested; from then on signals find it.
func (c *Child) launch(cmd *exec.Cmd) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopRequested() {
		return errors.New("stopped before it was started")
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	c.process = cmd.Process
	return nil
}

func prepare(cmd *exec.Cmd, log *os.File) {
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	}
}

// Name is the spec's.
func (c *Child) Name() string { return c.spec.Name }

// PID is the living process's id, 0 between two lives.
func (c *Child) PID() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process == nil {
		return 0
	}
	return c.process.Pid
}

// Stop asks the child to end, waits, and makes it end when its grace is over.
// It returns when the process is gone.
func (c *Child) Stop() {
	c.requestStop()
	if c.endsOn(c.spec.StopSignal, c.spec.Grace) {
		return
	}
	if c.spec.QuitSignal != 0 && c.endsOn(c.spec.QuitSignal, quitGrace) {
		return
	}
	c.Kill()
}

// endsOn sends a signal and reports whether the child ended within the time.
func (c *Child) endsOn(sig syscall.Signal, within time.Duration) bool {
	c.signal(sig)
	select {
	case <-c.done:
		return true
	case <-time.After(within):
		return false
	}
}

// Kill ends the child at once and returns when the process is gone.
func (c *Child) Kill() {
	c.requestStop()
	c.signal(syscall.SIGKILL)
	<-c.done
}

func (c *Child) requestStop() { c.stopOnce.Do(func() { close(c.stopping) }) }

func (c *Child) stopRequested() bool {
	select {
	case <-c.stopping:
		return true
	default:
		return false
	}
}

// signal reaches the living process, if there is one.
func (c *Child) signal(sig syscall.Signal) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.process != nil {
		// The only failure is that it has just ended.
		c.process.Signal(sig) //nolint:errcheck
	}
}

func reason(err error) string {
	if err == nil {
		return "exit status 0"
	}
	return err.Error()
}
