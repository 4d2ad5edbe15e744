package fsck_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/fsck"
	"github.com/stella-ops/exportcenter/storage"
)

// A tenant has as many runs at work as it may, and not one more.
func TestTooManyRunsAtWork(t *testing.T) {
	w := newWorld(t)
	for n := 31; n <= 34; n++ {
		w.started(t, acme, n)
	}
	_, found := w.lookAt(t, now, fsck.DefaultPatience, true)
	require.Empty(t, found)
	w.started(t, acme, 35)
	_, found = w.lookAt(t, now, fsck.DefaultPatience, true)
	require.Equal(t, []string{"queue-over"}, short(found))
	require.Equal(t, "5 runs are at work, 4 may be", found[0].Message)
}

// A run that waits for an approval may wait.
func TestAWaitingRunIsNotStuck(t *testing.T) {
	w := newWorld(t)
	for n, verdict := range map[int]export.Verdict{31: "", 32: export.VerdictApproved, 33: export.VerdictRejected} {
		w.parked(t, n, 7*24*time.Hour)
		if verdict != "" {
			w.decide(t, n, verdict)
		}
	}
	_, found := w.lookAt(t, now.Add(fsck.DefaultPatience/2), fsck.DefaultPatience, true)
	require.Empty(t, found)
	_, found = w.look(t, true)
	require.Equal(t, []string{"run-stuck 32", "run-stuck 33"}, short(found), "nobody heard of what was decided")
	require.Contains(t, found[0].Message, "it was approved")
	require.Contains(t, found[1].Message, "it was rejected")
}

// parked lets run n wait for so long.
func (w *world) parked(t *testing.T, n int, patience time.Duration) {
	t.Helper()
	ref := w.started(t, acme, n)
	claim := w.begin(t, ref, export.PhaseGuard)
	var config *export.GuardConfig
	report := config.NewGuardReport(nil, nil, nil, now, []export.GuardCanary{{ID: "CVE-1"}}, export.Disappeared{})
	_, err := w.exec.SaveGuard(t.Context(), claim, storage.Guarded{Report: report, Parked: true, At: now, Until: now.Add(patience)})
	require.NoError(t, err)
}

func (w *world) decide(t *testing.T, n int, verdict export.Verdict) {
	t.Helper()
	_, err := w.runs.Decide(t.Context(), export.Ref{Tenant: acme, RunID: runID(n)}, export.Decision{Verdict: verdict, By: "kim", Reason: "so", At: now})
	require.NoError(t, err)
}

// A run that waits for a slot is no older than the last step of its queue.
func TestAQueuedRunIsNotStuckWhileItsQueueMoves(t *testing.T) {
	w := newWorld(t)
	for n := 31; n <= 35; n++ {
		w.create(t, acme, n)
	}
	w.sql(t, "update export_runs set requested_at = requested_at - interval '1 day' where id = $1", runID(35))
	w.sql(t, "update export_events set at = at - interval '1 day' where run_id = $1", runID(35))
	_, found := w.lookAt(t, now.Add(fsck.DefaultPatience/2), fsck.DefaultPatience, false)
	require.Empty(t, found)
	w.sql(t, "update export_runs set dispatched_at = null where id = $1", runID(34))
	_, found = w.look(t, false)
	require.Len(t, found, 5, "three that were given out and did not start, and two behind them")
}

// A profile has as many runs at work as one of their revisions allows.
func TestTooManyRunsOfAProfile(t *testing.T) {
	w := newWorld(t)
	bound := func(bound int) {
		for n := 31; n <= 32; n++ {
			w.sql(t, "update export_runs set quota_active = $2 where tenant = 'acme' and id = $1", runID(n), bound)
		}
	}
	for n := 31; n <= 32; n++ {
		w.started(t, acme, n)
	}
	bound(2)
	_, found := w.lookAt(t, now, fsck.DefaultPatience, true)
	require.Empty(t, found)
	bound(1)
	_, found = w.lookAt(t, now, fsck.DefaultPatience, true)
	require.Equal(t, []string{"profile-over"}, short(found))
	require.Equal(t, "2 runs are at work, 1 may be", found[0].Message)
	require.Equal(t, "prof-json-raw", found[0].Subject)
	w.sql(t, "update export_runs set quota_active = 0 where tenant = 'acme' and id = $1", runID(31))
	_, found = w.lookAt(t, now, fsck.DefaultPatience, true)
	require.Empty(t, found, "one of them has no bound")
}
