package e2e

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// runStatus is what `stella export status` answers.
type runStatus struct {
	RunID, Status, PayloadDigest, ArchiveDigest string
	StartedAt, CompletedAt                      time.Time
	Error                                       *struct{ Code, Message string }
}

// TestKilledInTheMiddleOfARun kills each process of the house while a run is
// in flight. The run must succeed with the payload of an undisturbed twin, and
// its archive must download and verify. A kill that came before or after the
// run does not count and is tried again.
func TestKilledInTheMiddleOfARun(t *testing.T) {
	t.Parallel() // a house of its own, which mostly waits
	documents := corpusOrReplicas(t)
	h := openHouse(t)
	var imported counts
	h.must(t, &imported, "ledger", "import", documents)
	require.Equal(t, corpusDocuments, imported.Accepted)

	var twin exported
	h.must(t, &twin, "export", "run", "json:raw", "--wait")
	require.Equal(t, "succeeded", twin.Status)

	undisturbed := h.waitEnd(t, twin.RunID)
	took := undisturbed.CompletedAt.Sub(undisturbed.StartedAt)

	for _, victim := range []string{"worker", "api", "temporal", "postgres", "up"} {
		for _, moment := range []float64{0, 0.35, 0.7} {
			t.Run(fmt.Sprintf("%s at %.0f %%", victim, 100*moment), func(t *testing.T) {
				h.disturbRun(t, twin, time.Duration(moment*float64(took)), func() disturbance {
					return disturbance{at: h.kill(t, victim)}
				})
			})
		}
	}
	middle := time.Duration(0.35 * float64(took))
	t.Run("both stores at once", func(t *testing.T) {
		h.disturbRun(t, twin, middle, func() disturbance {
			at := time.Now().UTC()
			h.waitBack(t, h.strike(t, syscall.SIGKILL, "postgres", "temporal"), at)
			return disturbance{at: at}
		})
	})
	t.Run("one of two workers stops, and goes on after the end", func(t *testing.T) {
		h.secondWorker(t)
		h.disturbRun(t, twin, middle, func() disturbance { return h.zombie(t, 5*time.Second) })
	})
}

// disturbance is what was done to a run in flight.
type disturbance struct {
	at time.Time
	// least is how long after that the run must end, or it was not hit.
	least time.Duration
	// after is what is done when the run has ended.
	after func()
}

// zombie stops the worker of `up` until the run has ended by the work of
// another, and then lets it go on in the middle of attempts that are not its
// own any more. A run that ends within least owed it nothing.
func (h *house) zombie(t *testing.T, least time.Duration) disturbance {
	before := h.logged(t, "worker", lateResult)
	at := time.Now().UTC()
	thaw := h.freeze(t, "worker")
	return disturbance{at: at, least: least, after: func() {
		thaw()
		for deadline := time.Now().Add(2 * time.Second); h.logged(t, "worker", lateResult) == before && time.Now().Before(deadline); {
			time.Sleep(20 * time.Millisecond)
		}
	}}
}

// lateResult is what the log of a worker says of an attempt that goes on
// although its run has ended, or another has its phase.
const lateResult = "attempt no longer owns the phase"

// tries bounds how often a kill may miss the run.
const tries = 10

// disturbRun disturbs the house about wait after a run has started.
func (h *house) disturbRun(t *testing.T, twin exported, wait time.Duration, disturb func() disturbance) {
	for try := range tries {
		var run exported
		h.must(t, &run, "export", "run", "json:raw")
		h.waitBegun(t, run.RunID)
		time.Sleep(wait - wait*time.Duration(try)/tries) // earlier each time it misses
		did := disturb()
		h.waitReady(t, time.Minute)
		status := h.waitEnd(t, run.RunID)
		if did.after != nil {
			did.after()
		}

		require.Equal(t, "succeeded", status.Status, "%+v\n%s", status.Error, h.tail())
		require.Equal(t, twin.PayloadDigest, status.PayloadDigest, "other bytes than its twin")
		if status.StartedAt.After(did.at) || status.CompletedAt.Before(did.at.Add(did.least)) {
			t.Logf("try %d: missed the run", try)
			continue
		}
		archive := filepath.Join(t.TempDir(), "bundle.tar")
		_, code := h.stella(t, "export", "download", run.RunID, "--output", archive)
		require.Zero(t, code)
		_, code = h.stella(t, "verify", archive, "--trust", h.env["STELLA_TRUST"])
		require.Zero(t, code)
		require.Equal(t, status, h.waitEnd(t, run.RunID), "an end that was left")
		t.Logf("%s into the run; it ended %s later", did.at.Sub(status.StartedAt).Round(time.Millisecond),
			status.CompletedAt.Sub(did.at).Round(time.Millisecond))
		return
	}
	t.Fatalf("no run in flight was hit in %d tries: nothing was tested", tries)
}

// kill kills the victim without warning and brings the house back: children
// are started again by `up`, `up` itself by us, on the same data.
func (h *house) kill(t *testing.T, victim string) time.Time {
	t.Helper()
	if victim == "up" {
		require.NotEmpty(t, childrenOf(h.up.Process.Pid))
		at := time.Now().UTC()
		h.killUp(t)
		h.start(t)
		return at
	}
	pid := h.child(victim)
	require.NotZero(t, pid, "no child with %q in its command line", victim)
	at := time.Now().UTC()
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	h.waitChild(t, victim, pid)
	return at
}

// killUp kills `up` and waits until the kernel has ended its children.
func (h *house) killUp(t testing.TB) {
	t.Helper()
	children := childrenOf(h.up.Process.Pid)
	require.NoError(t, h.up.Process.Kill())
	requireAllGone(t, append(children, h.up.Process.Pid), 5*time.Second)
}

func requireAllGone(t testing.TB, pids []int, patience time.Duration) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for _, pid := range pids {
		for alive(pid) {
			if time.Now().After(deadline) {
				t.Fatalf("a child outlived a killed `up` by %s: %s", patience, commandLine(pid))
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// waitBegun waits until the run is at work, or has ended.
func (h *house) waitBegun(t *testing.T, runID string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		code, _, body := h.ask(t, h.env["STELLA_TOKEN"], "GET", "/api/export/runs/"+runID)
		require.Equal(t, 200, code, body)
		var status runStatus
		require.NoError(t, json.Unmarshal([]byte(body), &status))
		if status.Status != "pending" {
			return
		}
	}
	t.Fatalf("run %s did not begin", runID)
}

// waitEnd waits for the run's end; the API may be coming back meanwhile.
func (h *house) waitEnd(t *testing.T, runID string) runStatus {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		out, code := h.stella(t, "export", "status", runID, "--format", "json")
		var status runStatus
		if code != 0 || json.Unmarshal(out, &status) != nil {
			continue
		}
		switch status.Status {
		case "succeeded", "failed", "aborted", "partial":
			return status
		}
	}
	t.Fatalf("run %s is stuck\n%s", runID, h.tail())
	return runStatus{}
}
