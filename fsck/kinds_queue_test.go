package fsck_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/fsck"
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
	w.started(t, acme, 31)
	w.sql(t, "update export_runs set status = $2 where id = $1", runID(31), string(export.StateWaiting))
	_, found := w.look(t, true)
	require.Empty(t, found)
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
