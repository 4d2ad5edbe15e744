package postgres_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

var outcomes = map[string]func(export.Run) storage.Outcome{"succeeded": succeeded, "failed": failed, "aborted": aborted}

func TestFinishIsOnceAndForAll(t *testing.T) {
	w := newWorld(t)
	n := 0
	for first, outcome := range outcomes {
		for second, other := range outcomes {
			t.Run(first+" then "+second, func(t *testing.T) {
				n++
				run := w.delivered(t, "acme", n)
				end := w.finish(t, run.Ref(), outcome(run))
				require.Equal(t, export.State(first), end.State)
				require.Equal(t, at(200), end.CompletedAt)
				require.Equal(t, w.get(t, run.Ref()), end)
				before := w.fingerprint(t)
				claim := storage.Claim{Ref: run.Ref(), Phase: export.PhaseEmitTimeline, Attempt: 1}
				again, err := w.exec.Finish(t.Context(), claim, other(run))
				require.NoError(t, err)
				require.Equal(t, end, again, "the first end stays and is told")
				require.Equal(t, before, w.fingerprint(t))
			})
		}
	}
}

func TestHowARunEndsIsInItsRow(t *testing.T) {
	w := newWorld(t)
	run := w.started(t, "acme", 1)
	end := w.finish(t, run.Ref(), failed(run))
	require.Equal(t, &export.Failure{Code: export.CodeEmptySelection, Phase: export.PhaseResolve,
		Message: "nothing \uFFFD matches \uFFFD"}, end.Failure, "a run can end whatever the words are")
	require.Equal(t, int64(100_000), value[int64](t, w, "acme", "select duration_ms from export_runs"))

	run = w.create(t, "acme", 2)
	end = w.finish(t, run.Ref(), aborted(run))
	require.Equal(t, "temporal", end.Cancel.By, "who cancelled is kept although nobody asked the API")
	require.True(t, end.StartedAt.IsZero())
	require.Equal(t, []export.EventType{export.EventPending, export.EventCancelRequested, export.EventAborted}, w.types(t, run.Ref()))

	run = w.started(t, "acme", 3)
	for name, o := range map[string]storage.Outcome{
		"no state":         {At: at(1)},
		"not an end":       {State: export.StateRunning, At: at(1)},
		"no reason":        {State: export.StateFailed, At: at(1)},
		"no time":          {State: export.StateSucceeded},
		"foreign timeline": {State: export.StateSucceeded, At: at(1), Timeline: []export.TimelineEvent{timeline(export.Ref{Tenant: "globex"}, "x")}},
	} {
		_, err := w.exec.Finish(t.Context(), w.begin(t, run.Ref(), export.PhaseEmitTimeline, 1), o)
		require.Error(t, err, name)
		require.Equal(t, run, w.get(t, run.Ref()), name)
	}
}

// Success means everything promised is there (ARCHITECTURE D13).
func TestASuccessHasAnArchiveAndADelivery(t *testing.T) {
	w := newWorld(t)
	signed := func(t *testing.T, ref export.Ref) {
		result := export.Result{ArchiveDigest: digest("archive").String(), ArchiveBytes: 7}
		require.NoError(t, w.exec.SaveSigned(t.Context(), w.begin(t, ref, export.PhaseSign, 1), result,
			timeline(ref, export.TransitionBuilt), at(110)))
	}
	distributed := func(t *testing.T, ref export.Ref, of string) {
		require.NoError(t, w.exec.SaveDistribution(t.Context(), w.begin(t, ref, export.PhaseDistribute, 1),
			storage.Distribution{Type: "http", Location: "/download", Digest: digest(of), Size: 7}, at(111)))
	}
	w.finish(t, w.delivered(t, "acme", 99).Ref(), succeeded(w.get(t, export.Ref{Tenant: "acme", RunID: runID(99)})))
	for n, tt := range []struct {
		name    string
		prepare func(t *testing.T, ref export.Ref)
		says    string
	}{
		{"neither", func(*testing.T, export.Ref) {}, "digest"},
		{"delivery only", func(t *testing.T, ref export.Ref) { distributed(t, ref, "archive") }, "digest"},
		{"archive only", func(t *testing.T, ref export.Ref) { signed(t, ref) }, "delivery"},
		{"delivery of another archive", func(t *testing.T, ref export.Ref) { signed(t, ref); distributed(t, ref, "other") }, "delivery"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run := w.started(t, "acme", n+1)
			tt.prepare(t, run.Ref())
			claim := w.begin(t, run.Ref(), export.PhaseEmitTimeline, 1)
			before := w.fingerprint(t)
			_, err := w.exec.Finish(t.Context(), claim, succeeded(run))
			require.ErrorIs(t, err, storage.ErrConflict)
			require.ErrorContains(t, err, tt.says)
			require.Equal(t, before, w.fingerprint(t))
			require.Equal(t, export.StateFailed, w.finish(t, run.Ref(), failed(run)).State, "it can still end")
		})
	}
}

func TestAStaleAttemptWritesNothing(t *testing.T) {
	w := newWorld(t)
	run := w.started(t, "acme", 1)
	require.NoError(t, w.exec.SavePlan(t.Context(), w.begin(t, run.Ref(), export.PhaseResolve, 1), digest("plan"), digest("selection"), shards(1), at(101)))
	old := w.begin(t, run.Ref(), export.PhaseAdapt, 1)
	w.begin(t, run.Ref(), export.PhaseAdapt, 2)
	never := storage.Claim{Ref: run.Ref(), Phase: export.PhaseDistribute, Attempt: 1}
	nobody := storage.Claim{Ref: run.Ref(), Phase: export.PhaseSign}
	before := w.fingerprint(t)
	for name, claim := range map[string]storage.Claim{"overtaken": old, "never begun": never, "zero": nobody} {
		errs := callClaimed(t, w, claim)
		_, errs["Finish"] = w.exec.Finish(t.Context(), claim, succeeded(run))
		require.Len(t, errs, 12)
		for method, err := range errs {
			require.ErrorIs(t, err, storage.ErrStale, "%s, %s", name, method)
		}
	}
	require.Equal(t, before, w.fingerprint(t))
}

func TestAfterTheEndNothingIsWritten(t *testing.T) {
	w := newWorld(t)
	n := 0
	for state, outcome := range outcomes {
		n++
		run := w.delivered(t, "acme", n)
		w.finish(t, run.Ref(), outcome(run))
		before := w.fingerprint(t)
		for method, err := range callClaimed(t, w, storage.Claim{Ref: run.Ref(), Phase: export.PhaseEmitTimeline, Attempt: 1}) {
			require.ErrorIs(t, err, storage.ErrStale, "%s, %s", state, method)
		}
		require.Equal(t, before, w.fingerprint(t))
	}
}

// The database itself refuses what the statements never try.
func TestTheDatabaseKeepsTheEnd(t *testing.T) {
	w := newWorld(t)
	update := func(id, change string) error {
		return w.WithTenant(t.Context(), "acme", func(tx pgx.Tx) error {
			tag, err := tx.Exec(t.Context(), "update export_runs set "+change+" where id = $1", id)
			if err == nil && tag.RowsAffected() != 1 {
				err = errors.New("no row")
			}
			return err
		})
	}
	n := 0
	for state, outcome := range outcomes {
		n++
		run := w.delivered(t, "acme", n)
		w.finish(t, run.Ref(), outcome(run))
		before := w.fingerprint(t)
		for _, change := range []string{
			"status = 'running', completed_at = null", "status = 'pending'", "status = 'waiting'", "status = 'partial'",
			"completed_at = completed_at + interval '1 s'", "error_message = 'x'", "error_code = 'y', error_message = 'x'",
			"cancel_requested_at = now(), cancel_by = 'x', cancel_reason = 'y'", "manifest_digest = 'sha256:" + strings.Repeat("0", 64) + "'",
			"archive_bytes = 1", "signatures = '[1]'", "as_of = 1", "started_at = null", "event_seq = event_seq + 1", "event_seq = 0",
		} {
			require.Error(t, update(run.ID, change), "%s: %s", state, change)
		}
		for _, other := range []string{"succeeded", "failed", "aborted"} {
			if other != state {
				require.Error(t, update(run.ID, "error_code = 'x', error_message = 'y', status = '"+other+"'"))
			}
		}
		require.Equal(t, before, w.fingerprint(t), state)
		err := update(run.ID, "status = 'expired'")
		require.Equal(t, state == "succeeded", err == nil, "only a bundle expires: %v", err)
	}
	run := w.started(t, "acme", 9)
	for _, change := range []string{
		"selectors = '{}'", "requested_by = 'mallory'", "requested_at = now()", "profile_id = 'x'", "tenant = 'globex'", "id = id",
		"status = 'pending'", "status = 'done'", "as_of = 78", "event_seq = 0", "status = 'failed', completed_at = now()",
	} {
		require.Error(t, update(run.ID, change), change)
	}
	require.Equal(t, run, w.get(t, run.Ref()))
	for _, statement := range []string{
		"delete from export_runs", "delete from export_events", "update export_events set message = ''", "delete from export_outbox",
		"update export_outbox set payload = ''", "truncate export_runs cascade", "delete from export_signatures", "truncate export_events",
		"update export_signatures set signature = ''", "update export_profiles set name = 'xxx'", "delete from export_idempotency_keys",
	} {
		err := w.WithTenant(t.Context(), "acme", func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), statement)
			return err
		})
		require.Equal(t, export.CodeCrossTenant, export.CodeOf(err), statement)
	}
}

// Whoever was told that the cancel is accepted is not told of a failure.
func TestAFailureBehindAnAcceptedCancelIsRefused(t *testing.T) {
	w := newWorld(t)
	run := w.delivered(t, "acme", 1)
	emit := w.begin(t, run.Ref(), export.PhaseEmitTimeline, 1)
	_, err := w.runs.RequestCancel(t.Context(), run.Ref(), export.Cancellation{By: "kim", Reason: "wrong", At: at(150)})
	require.NoError(t, err)
	found, err := w.exec.Finish(t.Context(), emit, failed(run)) // of the run as it was read before
	require.ErrorIs(t, err, storage.ErrConflict)
	require.Equal(t, "kim", found.Cancel.By)
	end, err := w.exec.Finish(t.Context(), emit, aborted(found))
	require.NoError(t, err)
	require.Equal(t, export.StateAborted, end.State)
	checkOneEnd(t, w, end)
}

// Cancel, success and failure race; progress is written meanwhile. Each run
// ends once, and its journal has no gap.
func TestCancelAgainstFinish(t *testing.T) {
	w := newWorld(t)
	const runs, racers = 12, 6
	ended := map[export.State]int{}
	for n := 1; n <= runs; n++ {
		run := w.delivered(t, "acme", n)
		ref := run.Ref()
		emit, adapt := w.begin(t, ref, export.PhaseEmitTimeline, 1), w.begin(t, ref, export.PhaseAdapt, 1)
		states, errs := make([]export.State, 3*racers), make([]error, 5*racers)
		var group sync.WaitGroup
		for i := range racers {
			for j, outcome := range []func(export.Run) storage.Outcome{succeeded, failed, aborted} {
				group.Go(func() {
					end, err := w.exec.Finish(t.Context(), emit, outcome(run))
					if errors.Is(err, storage.ErrConflict) && end.Cancel != nil { // a failure behind an accepted cancel
						end, err = w.exec.Finish(t.Context(), emit, aborted(end))
					}
					states[3*i+j], errs[5*i+j] = end.State, err
				})
			}
			group.Go(func() {
				_, err := w.runs.RequestCancel(t.Context(), ref, export.Cancellation{By: fmt.Sprint(i), Reason: "race", At: at(150)})
				if !errors.Is(err, storage.ErrConflict) {
					errs[5*i+3] = err
				}
			})
			group.Go(func() {
				err := w.exec.AddEvent(t.Context(), adapt, fmt.Sprint(i), export.Event{Type: export.EventAdapterChunk, At: at(150)})
				if !errors.Is(err, storage.ErrStale) {
					errs[5*i+4] = err
				}
			})
		}
		group.Wait()
		require.NoError(t, errors.Join(errs...))
		end := w.get(t, ref)
		for _, s := range states {
			require.Equal(t, end.State, s, "everybody is told the same end")
		}
		require.False(t, end.State == export.StateFailed && end.Cancel != nil, "its cancel was accepted")
		ended[end.State]++
		checkOneEnd(t, w, end)
	}
	t.Logf("ends: %v", ended)
}

func checkOneEnd(t *testing.T, w world, end export.Run) {
	t.Helper()
	seen := map[export.EventType]int{}
	types := w.types(t, end.Ref()) // checks the numbers
	for _, e := range types {
		seen[e]++
	}
	require.Equal(t, 1, seen[export.EventSucceeded]+seen[export.EventFailed]+seen[export.EventAborted], "%v", types)
	require.Equal(t, "run."+string(end.State), string(types[len(types)-1]), "the end is the last event")
	require.Equal(t, end.Cancel != nil, seen[export.EventCancelRequested] == 1)
	require.Equal(t, int64(len(types)), value[int64](t, w, end.Tenant, "select event_seq from export_runs where id = $1", end.ID))
	require.Equal(t, 3, value[int](t, w, end.Tenant, "select count(*) from export_outbox where run_id = $1", end.ID), "requested, built and the end")
}
