package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// freeze stops a child with SIGSTOP, PostgreSQL with all its backends, and
// gives what lets it go on. To everybody else it is a process that hangs.
func (h *house) freeze(t testing.TB, victim string) (thaw func()) {
	t.Helper()
	pid := h.child(victim)
	require.NotZero(t, pid, "no child with %q in its command line", victim)
	require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	frozen := []int{pid} // the parent first: it makes no more children
	for _, child := range childrenOf(pid) {
		if syscall.Kill(child, syscall.SIGSTOP) == nil { // else it ended meanwhile
			frozen = append(frozen, child)
		}
	}
	thaw = sync.OnceFunc(func() {
		for _, pid := range frozen {
			syscall.Kill(pid, syscall.SIGCONT) //nolint:errcheck // it ended meanwhile
		}
	})
	t.Cleanup(thaw)
	return thaw
}

// strike sends a signal to children of `up` at nearly the same moment, without
// waiting for what follows, and gives their pids.
func (h *house) strike(t testing.TB, signal syscall.Signal, victims ...string) (before map[string]int) {
	t.Helper()
	before = map[string]int{}
	for _, victim := range victims {
		before[victim] = h.child(victim)
		require.NotZero(t, before[victim], "no child with %q in its command line", victim)
	}
	for _, pid := range before {
		require.NoError(t, syscall.Kill(pid, signal))
	}
	return before
}

// waitBack waits until children that were struck since have successors, and
// all that say so are ready, and gives that moment.
func (h *house) waitBack(t testing.TB, struck map[string]int, since time.Time) time.Time {
	t.Helper()
	for victim, pid := range struck {
		h.waitChild(t, victim, pid)
	}
	for _, victim := range []string{"worker", "temporal"} {
		if _, was := struck[victim]; was {
			h.waitAnnounced(t, victim, since)
		}
	}
	h.waitReady(t, time.Minute)
	return time.Now().UTC()
}

// waitAnnounced waits until a child has said that it is ready, since then: the
// API's readiness does not know of workers.
func (h *house) waitAnnounced(t testing.TB, child string, since time.Time) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if info, err := os.Stat(filepath.Join(h.dir, "run", child+".ready")); err == nil && info.ModTime().After(since) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s did not become ready:\n%s", child, h.tail())
		}
	}
}

// secondWorker starts a worker beside that of `up`, as a cluster would have
// one. It ends with what is given back, or with the test.
func (h *house) secondWorker(t testing.TB) (end func()) {
	t.Helper()
	path := filepath.Join(h.dir, "logs", "second-worker.log")
	log, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	require.NoError(t, err)
	defer log.Close()
	begin := time.Now()
	cmd := exec.Command(program(t, "exportcenter"), "worker", "--data", h.dir)
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	end = sync.OnceFunc(func() {
		cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it has ended
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			cmd.Process.Kill() //nolint:errcheck // it has ended
			t.Errorf("the second worker did not stop within 20 s of SIGTERM:\n%s", h.tail())
		}
	})
	t.Cleanup(end)
	h.waitAnnounced(t, "worker", begin)
	return end
}
