package postgres_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// while takes a lock in a transaction, starts each write so that it waits for
// that lock, runs change, commits, and gives what the writes say.
func while(t *testing.T, w world, lock, change string, args []any, writes ...func() error) []error {
	t.Helper()
	holder := connect(t, w.Admin)
	tx, err := holder.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), lock, args...)
	require.NoError(t, err)
	said := make([]chan error, len(writes))
	for i, write := range writes {
		said[i] = make(chan error, 1)
		go func() { said[i] <- write() }()
	}
	watcher := connect(t, w.Admin)
	require.Eventually(t, func() bool {
		var waiting int
		err := watcher.QueryRow(t.Context(), `select count(*) from pg_stat_activity
			where datname = current_database() and wait_event_type = 'Lock'`).Scan(&waiting)
		return err == nil && waiting == len(writes)
	}, 10*time.Second, 5*time.Millisecond, "the writes wait for the lock")
	_, err = tx.Exec(t.Context(), change, args...)
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	errs := make([]error, len(writes))
	for i := range said {
		errs[i] = <-said[i]
	}
	return errs
}

const lockRow = "select from export_runs where tenant = $1 and id = $2 for no key update"

// A write that waited for the row while a newer attempt began, or while the
// run ended, must see that. (A claim read by the statement that waits would
// be read as it was before.)
func TestAWriteThatWaitedSeesWhatItWaitedFor(t *testing.T) {
	for name, change := range map[string]string{
		"a newer attempt": "update export_attempts set attempt = 2 where tenant = $1 and run_id = $2 and phase = 'adapt'",
		"an end":          "update export_runs set status = 'aborted', completed_at = now() where tenant = $1 and id = $2",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			ref := w.started(t, "acme", 1).Ref()
			claim := w.begin(t, ref, export.PhaseAdapt, 1)
			errs := while(t, w, lockRow, change, []any{ref.Tenant, ref.RunID},
				func() error { return w.exec.SaveFiles(t.Context(), claim, []storage.File{{Path: "late"}}) },
				func() error {
					return w.exec.AddEvent(t.Context(), claim, "", export.Event{Type: export.EventAdapterStart, At: at(1)})
				},
				func() error { return w.exec.Pin(t.Context(), claim, digest("late"), 1) },
				func() error { _, _, err := w.exec.Begin(t.Context(), ref, export.PhaseAdapt, 1); return err },
			)
			for i, err := range errs {
				require.ErrorIs(t, err, storage.ErrStale, "write %d", i)
			}
			require.Equal(t, []export.EventType{export.EventPending, export.EventStarted}, w.types(t, ref))
			require.Zero(t, value[int](t, w, "acme", "select count(*) from blobs"))
		})
	}
}

func TestACancelThatWaitedSeesTheEnd(t *testing.T) {
	w := newWorld(t)
	ref := w.started(t, "acme", 1).Ref()
	errs := while(t, w, lockRow, "update export_runs set status = 'succeeded', completed_at = now() where tenant = $1 and id = $2",
		[]any{ref.Tenant, ref.RunID}, func() error {
			_, err := w.runs.RequestCancel(t.Context(), ref, export.Cancellation{By: "a", Reason: "b", At: at(1)})
			return err
		})
	require.ErrorIs(t, errs[0], storage.ErrConflict)
	require.Nil(t, w.get(t, ref).Cancel)
}

// A pin that is about to commit when DropBlobs looks keeps its blob.
func TestADropThatWaitedSeesThePin(t *testing.T) {
	w := newWorld(t)
	doomed, next := w.started(t, "acme", 1), w.started(t, "acme", 2)
	require.NoError(t, w.exec.Pin(t.Context(), w.begin(t, doomed.Ref(), export.PhaseAdapt, 1), digest("b"), 1))
	w.finish(t, doomed.Ref(), aborted(doomed))
	b := digest("b")
	var marked []bundle.Digest
	errs := while(t, w, "select from blobs where tenant = 'acme' and sha256 = $1 and $2::text <> '' for share",
		"insert into blob_pins (tenant, project, sha256, run_id) values ('acme', '_', $1, $2)", []any{b[:], next.ID},
		func() (err error) { marked, err = w.exec.DropBlobs(t.Context(), doomed.Ref()); return err })
	require.NoError(t, errs[0])
	require.Empty(t, marked)
	require.Equal(t, "live", value[string](t, w, "acme", "select state from blobs"))
}

// Of two attempts that write at once, the newer wins and the older stops.
func TestAttemptsTakeOverFromEachOther(t *testing.T) {
	w := newWorld(t)
	ref := w.started(t, "acme", 1).Ref()
	plan := shards(40)
	require.NoError(t, w.exec.SavePlan(t.Context(), w.begin(t, ref, export.PhaseResolve, 1), digest("plan"), digest("selection"), plan, at(101)))
	done := packed(plan)
	const attempts = 4
	stale := make([]int, attempts)
	errs := make(chan error, attempts)
	for a := range attempts {
		go func() {
			claim, _, err := w.exec.Begin(t.Context(), ref, export.PhaseAdapt, int64(a+1))
			for i := 0; err == nil && i < len(done); i += 2 {
				err = w.exec.SaveShards(t.Context(), claim, digest("recipe"), done[i:i+2], at(102))
			}
			if a < attempts-1 && errors.Is(err, storage.ErrStale) {
				stale[a]++
				err = nil
			}
			errs <- err
		}()
	}
	for range attempts {
		require.NoError(t, <-errs)
	}
	progress := w.get(t, ref).Progress
	require.Equal(t, export.Progress{Shards: 40, ShardsDone: 40, Records: 400, RecordsDone: 400, Bytes: 40000, BytesDone: 40000}, progress)
	chunks := 0
	for _, e := range w.journal(t, ref) {
		if e.Type == export.EventAdapterChunk {
			chunks++
		}
	}
	require.Equal(t, 20, chunks, "each pair was counted once")
	t.Logf("attempts that were stopped: %v", stale)
}

func BenchmarkRun(b *testing.B) {
	w := newWorld(b)
	for n := 1; b.Loop(); n++ {
		run := w.delivered(b, "acme", n)
		claim := w.begin(b, run.Ref(), export.PhaseAdapt, 1)
		if err := w.exec.Pin(b.Context(), claim, digest("x"), 1); err != nil {
			b.Fatal(err)
		}
		w.finish(b, run.Ref(), succeeded(run))
	}
}

func BenchmarkAddEvent(b *testing.B) {
	w := newWorld(b)
	claim := w.begin(b, w.started(b, "acme", 1).Ref(), export.PhaseAdapt, 1)
	for n := 0; b.Loop(); n++ {
		err := w.exec.AddEvent(b.Context(), claim, at(n).String(), export.Event{Type: export.EventAdapterChunk, At: at(n)})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPlan saves and reads the plan of a million documents.
func BenchmarkPlan(b *testing.B) {
	w := newWorld(b)
	ref := w.started(b, "acme", 1).Ref()
	claim, plan := w.begin(b, ref, export.PhaseResolve, 1), shards(1600)
	for n := 0; b.Loop(); n++ {
		if err := w.exec.SavePlan(b.Context(), claim, digest(at(n).String()), digest("selection"), plan, at(101)); err != nil {
			b.Fatal(err)
		}
		if _, rows, err := w.exec.Plan(b.Context(), ref); err != nil || len(rows) != len(plan) {
			b.Fatal(err)
		}
	}
}

// BenchmarkWaiting looks for the waiting among 100,000 runs that have ended.
func BenchmarkWaiting(b *testing.B) {
	w := newWorld(b)
	w.create(b, "acme", 1)
	conn := connect(b, w.Admin)
	_, err := conn.Exec(b.Context(), `
		insert into export_runs (tenant, project, id, profile_id, profile_revision, profile_name, kind, variant, selectors, options,
			labels, requested_by, requested_at, status, started_at, completed_at)
		select 'acme', '_', gen_random_uuid()::text, 'p', 1, 'p', 'json', 'raw', '{}', '{}', '{}', 'a', now(), 'succeeded', now(), now()
		from generate_series(1, 100000)`)
	if err != nil {
		b.Fatal(err)
	}
	dispatch := postgres.NewDispatch(w.DB)
	for b.Loop() {
		if waiting, err := dispatch.Waiting(b.Context(), "", 100); err != nil || len(waiting) != 1 {
			b.Fatal(err, len(waiting))
		}
	}
}
