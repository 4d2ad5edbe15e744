package fsck_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/fsck"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// looksLikeLoss are injuries of kinds that can be repaired, which may be the
// trace of a loss: they are left.
var looksLikeLoss = map[string]bool{"the counter ran ahead": true, "an entry without a row": true}

// requireMended repairs a world with an injury: what is safe is mended and is not
// found again, everything else is left as it is, to the byte.
func (w *world) requireMended(t *testing.T, i injury, kinds map[string]fsck.Kind) {
	t.Helper()
	before, rows := w.files(t), w.rows(t)
	repaired := 0
	for _, d := range w.repair(t) {
		require.Equal(t, kinds[d.Kind].Repair != "" && !looksLikeLoss[i.name], d.Repaired, "%+v", d)
		if d.Repaired {
			repaired++
		}
	}
	if repaired == 0 {
		require.Equal(t, before, w.files(t))
		require.Equal(t, rows, w.rows(t))
		return
	}
	_, found := w.look(t, true)
	require.Empty(t, found)
	w.requireBundles(t)
	rows = w.rows(t)
	require.Empty(t, w.repair(t), "there is nothing left to do")
	require.Equal(t, rows, w.rows(t))
}

// files gives the names and contents of the store's files.
func (w *world) files(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	require.NoError(t, filepath.WalkDir(w.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			var content []byte
			content, err = os.ReadFile(path)
			all[path] = string(content)
		}
		return err
	}))
	return all
}

// rows gives the rows of all tables, and the transactions that wrote them.
func (w *world) rows(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, table := range []string{"blobs", "blob_pins", "export_runs", "export_events", "export_outbox", "export_files", "export_inputs",
		"export_packed", "export_shards", "export_plans", "export_queues", "export_usage", "export_distributions", "export_signatures", "export_attempts", "export_sources", "export_guards",
		"ledger_heads", "ledger_observations", "ledger_blocks", "ledger_terms", "ledger_superseded", "ledger_removals", "ledger_moments", "tenants"} {
		var text string
		require.NoError(t, w.admin(t).QueryRow(t.Context(),
			"select coalesce(string_agg(x.xmin || ' ' || x::text, E'\n' order by x::text), '') from "+table+" x").Scan(&text))
		all[table] = text
	}
	return all
}

// requireBundles reads both tenants' bundles whole.
func (w *world) requireBundles(t *testing.T) {
	t.Helper()
	for tenant, run := range w.ended {
		entries, err := w.runs.Files(t.Context(), run.Ref())
		require.NoError(t, err)
		require.NotEmpty(t, entries)
		for _, e := range entries {
			blob, err := storage.OpenVerified(t.Context(), w.objects, tenant, e.Digest, e.Size)
			require.NoError(t, err, e.Path)
			require.NoError(t, blob.Close())
		}
	}
}

// What a file without row may be of decides whether it goes.
func TestRepairLeavesBlobsThatMayBeNeeded(t *testing.T) {
	digest := bundle.DigestOf([]byte("late"))
	for name, c := range map[string]struct {
		written  time.Time
		prepare  func(t *testing.T, w *world)
		repaired bool
		says     string
	}{
		"old":   {now, func(*testing.T, *world) {}, true, "no row"},
		"young": {now.Add(later - fsck.DefaultPatience/2), func(*testing.T, *world) {}, false, "younger than the patience"},
		"younger than all runs": {now.Add(time.Second), func(*testing.T, *world) {}, false,
			"is the database older than the blobs?"},
		"an entry needs it": {now, func(t *testing.T, w *world) {
			w.sql(t, "update export_files set digest = $2 where tenant = 'acme' and path = $1", bundle.ReadmePath, digest[:])
		}, false, "something needs it"},
		"a plan needs it": {now, func(t *testing.T, w *world) {
			w.sql(t, "update export_runs set plan_digest = $2 where tenant = 'acme' and id = $1", runID(1), digest[:])
		}, false, "something needs it"},
		"a shard needs it": {now, func(t *testing.T, w *world) {
			w.sql(t, "update export_inputs set result_digest = $1 where tenant = 'acme'", digest[:])
		}, false, "something needs it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.write(t, w.path(acme, digest), "late")
			require.NoError(t, os.Chtimes(w.path(acme, digest), c.written, c.written))
			c.prepare(t, w)
			for _, d := range w.repair(t) {
				if d.Subject == digest.String() {
					require.Equal(t, c.repaired, d.Repaired)
					require.Contains(t, d.Message, c.says)
				}
			}
			_, err := os.Stat(w.path(acme, digest))
			require.Equal(t, c.repaired, errors.Is(err, os.ErrNotExist))
		})
	}
}

// A file that somebody writes has his lock: it stays, however old it is.
func TestRepairLeavesFilesThatAreWritten(t *testing.T) {
	w := newWorld(t)
	staged, err := w.objects.Stage(t.Context(), acme)
	require.NoError(t, err)
	defer staged.Discard() //nolint:errcheck // a test's
	_, err = staged.Write([]byte("half"))
	require.NoError(t, err)
	paths, err := filepath.Glob(filepath.Join(w.dir, storage.Namespace(acme), "staging", "*"))
	require.NoError(t, err)
	require.Len(t, paths, 1)
	require.NoError(t, os.Chtimes(paths[0], now, now))
	found := w.repair(t)
	require.Equal(t, []string{"staged-left"}, short(found))
	require.False(t, found[0].Repaired)
	require.NoError(t, staged.Publish(t.Context()))
}

// A counter that fell back behind the journal of a run under way would break
// the run's next step; raised, the run goes on. That of a run that has ended
// stays as it is.
func TestRepairRaisesCounters(t *testing.T) {
	w := newWorld(t)
	ref := w.started(t, acme, 31)
	w.sql(t, "update export_runs set event_seq = 1 where tenant = 'acme' and id = $1", runID(31))
	w.sql(t, "update export_runs set event_seq = 1 where tenant = 'globex' and id = $1", runID(12))
	for _, d := range w.repair(t) {
		if d.Kind == "journal-counter" {
			require.Equal(t, d.Run == runID(31), d.Repaired, "%+v", d)
		}
	}
	require.NoError(t, w.exec.AddEvent(t.Context(), w.begin(t, ref, export.PhaseAdapt), "",
		export.Event{Type: export.EventAdapterStart, Message: "packing begins", At: now}))
	events, err := w.runs.Events(t.Context(), ref, 0, 100)
	require.NoError(t, err)
	require.Len(t, events, 3)
}

// While a blob is erased, a run that wants to keep it waits, and then stores it
// anew: it never counts on a file that is going away.
func TestRepairAndARunWantTheSameBlob(t *testing.T) {
	digest := bundle.DigestOf([]byte("wanted"))
	for name, c := range map[string]struct {
		recorded bool
		erase    func(r *postgres.Repair, ctx context.Context, tenant string, d bundle.Digest, erase func(storage.Still) error) (bool, error)
	}{
		"without row":   {false, (*postgres.Repair).EraseUnrecorded},
		"that is alone": {true, (*postgres.Repair).EraseUnneeded},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.write(t, w.path(acme, digest), "wanted")
			if c.recorded {
				w.sql(t, "insert into blobs values ('acme', '_', $1, 6, 'live')", digest[:])
			}
			claim := w.begin(t, w.started(t, acme, 31), export.PhaseAdapt)
			pinned := make(chan error, 1)
			repair := postgres.NewRepair(w.DB)
			done, err := c.erase(repair, t.Context(), acme, digest, func(storage.Still) error {
				go func() { pinned <- w.exec.Pin(t.Context(), claim, digest, 6) }()
				require.Eventually(t, func() bool {
					var waiting int
					err := w.admin(t).QueryRow(t.Context(), `select count(*) from pg_stat_activity
						where datname = current_database() and wait_event_type = 'Lock'`).Scan(&waiting)
					return err == nil && waiting == 1
				}, 10*time.Second, 5*time.Millisecond, "the run waits")
				return os.Remove(w.path(acme, digest))
			})
			require.NoError(t, err)
			require.True(t, done)
			require.NoError(t, <-pinned)
			done, err = c.erase(repair, t.Context(), acme, digest, func(storage.Still) error { return errors.New("a run keeps it") })
			require.NoError(t, err)
			require.False(t, done)
			w.store(t, acme, "wanted")
			_, found := w.lookAt(t, now, fsck.DefaultPatience, true)
			require.Empty(t, found)
		})
	}
}

// store stores a blob as an activity does.
func (w *world) store(t *testing.T, tenant, content string) {
	t.Helper()
	staged, err := w.objects.Stage(t.Context(), tenant)
	require.NoError(t, err)
	_, err = staged.Write([]byte(content))
	require.NoError(t, err)
	require.NoError(t, staged.Publish(t.Context()))
}

// While a blob is erased, fsck is stopped for so long that the database ends its
// transaction. A run that pins the blob, and would take it as it is, relies on
// nothing that goes when fsck goes on.
func TestRepairThatIsStoppedTakesNothingFromARun(t *testing.T) {
	for name, recorded := range map[string]bool{"without row": false, "that is alone": true} {
		for _, stop := range []string{"before it comes to the blob", "before it asks", "after it has asked"} {
			t.Run(name+", "+stop, func(t *testing.T) { t.Parallel(); stoppedRepair(t, recorded, stop) })
		}
	}
}

func stoppedRepair(t *testing.T, recorded bool, stop string) {
	w := newWorld(t)
	digest := bundle.DigestOf([]byte("wanted"))
	w.write(t, w.path(acme, digest), "wanted")
	mend, err := files.OpenRepair(w.dir)
	require.NoError(t, err)
	defer mend.Close() //nolint:errcheck // test
	config := w.Config
	config.Silence = 50 * time.Millisecond
	impatient, err := postgres.Open(t.Context(), config)
	require.NoError(t, err)
	defer impatient.Close()
	repair := postgres.NewRepair(impatient)
	with := repair.EraseUnrecorded
	if recorded {
		w.sql(t, "insert into blobs values ('acme', '_', $1, 6, 'live')", digest[:])
		with = repair.EraseUnneeded
	}

	reached, wake, late := make(chan bool), make(chan bool), make(chan error, 1)
	var stopped atomic.Bool
	pass := func(place string) {
		if place == stop && !stopped.Swap(true) {
			close(reached)
			<-wake
		}
	}
	erase := func(still storage.Still) error {
		pass("before it comes to the blob")
		return mend.DeleteUnmarked(t.Context(), acme, digest, func(ctx context.Context) error {
			pass("before it asks")
			defer pass("after it has asked")
			return still(ctx)
		})
	}
	go func() {
		var err error
		for !stopped.Load() { // on a busy machine it loses its transaction earlier, too
			_, err = with(t.Context(), acme, digest, erase)
		}
		late <- err
	}()
	<-reached
	ref := w.started(t, acme, 31)
	// This waits until the database has ended the transaction.
	require.NoError(t, w.exec.Pin(t.Context(), w.begin(t, ref, export.PhaseAdapt), digest, 6))

	there := make(chan bool, 1)
	go func() {
		taken, err := w.objects.Stored(t.Context(), acme, digest, 6)
		if err != nil {
			t.Error(err)
		}
		there <- taken
	}()
	var taken, answered bool
	select {
	case taken = <-there:
		answered = true
	case <-time.After(200 * time.Millisecond): // it waits
	}
	close(wake)
	require.Error(t, <-late)
	if !answered {
		taken = <-there
	}
	size, err := os.Stat(w.path(acme, digest))
	require.Equal(t, taken, err == nil && size.Size() == 6, "what the run was told")
	require.Equal(t, stop != "after it has asked", taken)
	w.store(t, acme, "wanted")
	require.FileExists(t, w.path(acme, digest))
}

// A blob that is marked on behalf of one run and pinned by another, which cannot
// come about in the product, is neither destroyed nor called repaired. When nobody
// keeps it any more, it goes.
func TestRepairLeavesAMarkedBlobThatIsKept(t *testing.T) {
	for name, keeper := range map[string]string{"a run with a bundle": runID(1), "a run under way": runID(32)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.started(t, acme, 32)
			marked := bundle.DigestOf([]byte("marked"))
			w.store(t, acme, "marked")
			w.sql(t, "insert into blobs values ('acme', '_', $1, 6, 'deleting', $2)", marked[:], runID(11))
			w.sql(t, "insert into blob_pins values ('acme', '_', $1, $2)", marked[:], keeper)
			mend := func() fsck.Divergence {
				found := w.repair(t)
				i := slices.IndexFunc(found, func(d fsck.Divergence) bool { return d.Kind == "blob-deleting" })
				require.GreaterOrEqual(t, i, 0, "%+v", found)
				require.Equal(t, runID(11), found[i].Run, "whose the mark is")
				return found[i]
			}
			d := mend()
			require.False(t, d.Repaired)
			require.Contains(t, d.Message, "something needs it")
			require.FileExists(t, w.path(acme, marked))
			w.sql(t, "delete from blob_pins where sha256 = $1 and run_id = $2", marked[:], keeper)
			require.True(t, mend().Repaired)
			require.NoFileExists(t, w.path(acme, marked))
		})
	}
}

// An erase that fails, as by a crash, leaves rows and marks as they were.
func TestRepairThatFailsChangesNothing(t *testing.T) {
	w := newWorld(t)
	digest := bundle.DigestOf([]byte("old"))
	w.write(t, w.path(acme, digest), "old")
	w.sql(t, "insert into blobs values ('acme', '_', $1, 3, 'live')", digest[:])
	stray := bundle.DigestOf([]byte("stray"))
	w.write(t, w.path(acme, stray), "stray")
	rows := w.rows(t)
	repair, crash := postgres.NewRepair(w.DB), errors.New("crash")
	_, err := repair.EraseUnneeded(t.Context(), acme, digest, func(storage.Still) error { return crash })
	require.ErrorIs(t, err, crash)
	_, err = repair.EraseUnrecorded(t.Context(), acme, stray, func(storage.Still) error { return crash })
	require.ErrorIs(t, err, crash)
	require.Equal(t, rows, w.rows(t))

	survey, err := files.OpenSurvey(w.dir)
	require.NoError(t, err)
	defer survey.Close() //nolint:errcheck // read only
	_, found := run(t, fsck.Check{Records: postgres.NewSurvey(w.DB), Files: survey, Clock: func() time.Time { return now.Add(later) },
		Patience: fsck.DefaultPatience, Repairs: failing{repairs{Repair: repair}}})
	require.Equal(t, []string{"blob-unneeded", "blob-unrecorded"}, short(found))
	for _, d := range found {
		require.False(t, d.Repaired)
		require.Contains(t, d.Message, "not repaired: ")
		require.Contains(t, d.Message, "the disk is read only")
	}
}

// failing cannot remove files.
type failing struct{ repairs }

func (failing) DeleteUnmarked(context.Context, string, bundle.Digest, storage.Still) error {
	return errors.New("the disk is read only")
}

func (failing) RemoveStaged(context.Context, string, time.Time) (bool, error) {
	return false, errors.New("the disk is read only")
}

// Beside exports that run, end, are aborted and share blobs, fsck names nothing
// and --repair harms nothing: all succeed, and their bundles are whole.
func TestRepairBesideRuns(t *testing.T) {
	w := newWorld(t)
	const runs = 6
	var exports sync.WaitGroup
	var mu sync.Mutex
	kept := map[string][]export.Run{}
	for i, tenant := range []string{acme, globex} {
		exports.Go(func() {
			for n := range runs {
				done := w.export(t, tenant, 100*(i+1)+n)
				mu.Lock()
				kept[tenant] = append(kept[tenant], done)
				mu.Unlock()
				aborted := w.started(t, tenant, 100*(i+1)+50+n)
				claim := w.begin(t, aborted, export.PhaseAdapt)
				content := strings.Repeat("x", n)
				if err := w.exec.Pin(t.Context(), claim, bundle.DigestOf([]byte(content)), int64(n)); err != nil {
					t.Errorf("pin: %v", err)
				}
				w.store(t, tenant, content)
				w.abort(t, aborted)
				w.activities(t).discard(t, aborted)
			}
		})
	}
	ended := make(chan struct{})
	go func() { exports.Wait(); close(ended) }()
	looks := 0
	for under := true; under; looks++ {
		select {
		case <-ended:
			under = false
		default:
		}
		require.Empty(t, w.repairAt(t, now.Add(fsck.DefaultPatience/2)))
	}
	require.Greater(t, looks, 2)
	_, found := w.lookAt(t, now.Add(later), 0, true)
	require.Empty(t, found)
	for tenant, all := range kept {
		require.Len(t, all, runs)
		for _, r := range all {
			w.ended = map[string]export.Run{tenant: r}
			w.requireBundles(t)
		}
	}
}
