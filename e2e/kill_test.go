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
	documents := realCorpus(t)
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
				h.killDuringRun(t, victim, twin, time.Duration(moment*float64(took)))
			})
		}
	}
}

// tries bounds how often a kill may miss the run.
const tries = 10

// killDuringRun kills victim about wait after a run has started.
func (h *house) killDuringRun(t *testing.T, victim string, twin exported, wait time.Duration) {
	for try := range tries {
		var run exported
		h.must(t, &run, "export", "run", "json:raw")
		h.waitStatus(t, run.RunID, "running")
		time.Sleep(wait - wait*time.Duration(try)/tries) // earlier each time it misses
		killed := h.kill(t, victim)
		h.waitReady(t, time.Minute)
		status := h.waitEnd(t, run.RunID)

		require.Equal(t, "succeeded", status.Status, "after kill -9 of %s: %+v\n%s", victim, status.Error, h.tail())
		require.Equal(t, twin.PayloadDigest, status.PayloadDigest, "other bytes after kill -9 of %s", victim)
		if status.StartedAt.After(killed) || status.CompletedAt.Before(killed) {
			t.Logf("try %d: the kill missed the run", try)
			continue
		}
		archive := filepath.Join(t.TempDir(), "bundle.tar")
		_, code := h.stella(t, "export", "download", run.RunID, "--output", archive)
		require.Zero(t, code)
		_, code = h.stella(t, "verify", archive, "--trust", h.env["STELLA_TRUST"])
		require.Zero(t, code)
		t.Logf("killed %s %s into the run; it ended %s later", victim,
			killed.Sub(status.StartedAt).Round(time.Millisecond), status.CompletedAt.Sub(killed).Round(time.Millisecond))
		return
	}
	t.Fatalf("no kill of %s hit a run in flight in %d tries: nothing was tested", victim, tries)
}

// kill kills the victim without warning and brings the house back: children
// are started again by `up`, `up` itself by us, on the same data.
func (h *house) kill(t *testing.T, victim string) time.Time {
	t.Helper()
	if victim == "up" {
		children := childrenOf(h.up.Process.Pid)
		require.NotEmpty(t, children)
		at := time.Now().UTC()
		require.NoError(t, h.up.Process.Kill())
		requireAllGone(t, children, 5*time.Second)
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

func requireAllGone(t *testing.T, pids []int, patience time.Duration) {
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

// waitStatus waits until the run has reached want or gone past it.
func (h *house) waitStatus(t *testing.T, runID, want string) {
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
	t.Fatalf("run %s did not reach %s", runID, want)
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
