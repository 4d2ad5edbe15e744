package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

func sorted(digests ...bundle.Digest) []bundle.Digest {
	sort.Slice(digests, func(i, j int) bool { return digests[i].Hex() < digests[j].Hex() })
	return digests
}

func TestDropBlobsLeavesWhatOthersNeed(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	doomed, other := w.started(t, "acme", 1), w.delivered(t, "acme", 2)
	claim, othersClaim := w.begin(t, doomed.Ref(), export.PhaseAdapt, 1), w.begin(t, other.Ref(), export.PhaseAdapt, 1)
	for _, name := range []string{"own", "plan", "pinned by both", "file of the other"} {
		require.NoError(t, w.exec.Pin(ctx, claim, digest(name), 1))
		require.NoError(t, w.exec.Pin(ctx, claim, digest(name), 1), "again")
	}
	require.NoError(t, w.exec.Pin(ctx, othersClaim, digest("pinned by both"), 1))
	require.NoError(t, w.exec.SaveFiles(ctx, othersClaim, []storage.File{{Path: "f", Digest: digest("file of the other"), Size: 1}}))
	require.NoError(t, w.exec.SaveFiles(ctx, claim, []storage.File{{Path: "f", Digest: digest("own"), Size: 1}}))
	require.NoError(t, w.exec.SavePlan(ctx, w.begin(t, doomed.Ref(), export.PhaseResolve, 1), digest("plan"), digest("selection"), shards(2), at(101)))
	require.NoError(t, w.exec.SaveShards(ctx, claim, digest("recipe"), packed(shards(2)), at(102)))

	_, err := w.exec.DropBlobs(ctx, doomed.Ref())
	require.ErrorIs(t, err, storage.ErrConflict, "under way")
	w.finish(t, doomed.Ref(), failed(doomed))
	marked, err := w.exec.DropBlobs(ctx, doomed.Ref())
	require.NoError(t, err)
	require.Equal(t, sorted(digest("own"), digest("plan")), marked)
	again, err := w.exec.DropBlobs(ctx, doomed.Ref())
	require.NoError(t, err)
	require.Equal(t, marked, again, "a crash before the delete forgets nothing")
	files, err := w.runs.Files(ctx, doomed.Ref())
	require.NoError(t, err)
	require.Empty(t, files)
	_, _, err = w.exec.Plan(ctx, doomed.Ref())
	require.ErrorIs(t, err, storage.ErrNotFound)
	require.Len(t, mustFiles(t, w, other.Ref()), 1)

	var erased []bundle.Digest
	erase := func(d bundle.Digest, _ storage.Still) error { erased = append(erased, d); return nil }
	full := errors.New("disk trouble")
	require.ErrorIs(t, w.exec.EraseBlobs(ctx, doomed.Ref(), marked, func(bundle.Digest, storage.Still) error { return full }), full)
	require.NoError(t, w.exec.EraseBlobs(ctx, doomed.Ref(), append(slices.Clone(marked), digest("pinned by both")), erase))
	require.NoError(t, w.exec.EraseBlobs(ctx, doomed.Ref(), marked, erase))
	require.Equal(t, marked, erased, "once each, and nothing that is not marked")
	left, err := w.exec.DropBlobs(ctx, doomed.Ref())
	require.NoError(t, err)
	require.Empty(t, left)
	require.Equal(t, 2, value[int](t, w, "acme", "select count(*) from blobs where state = 'live'"))
	require.Equal(t, 2, value[int](t, w, "acme", "select count(*) from blobs"))

	w.finish(t, other.Ref(), succeeded(other))
	_, err = w.exec.DropBlobs(ctx, other.Ref())
	require.ErrorIs(t, err, storage.ErrConflict, "it has a bundle")
}

func mustFiles(t *testing.T, w world, ref export.Ref) []storage.File {
	t.Helper()
	files, err := w.runs.Files(t.Context(), ref)
	require.NoError(t, err)
	return files
}

func TestPinWaitsForADeletion(t *testing.T) {
	w := newWorld(t)
	doomed, next := w.started(t, "acme", 1), w.started(t, "acme", 2)
	require.NoError(t, w.exec.Pin(t.Context(), w.begin(t, doomed.Ref(), export.PhaseAdapt, 1), digest("b"), 1))
	w.finish(t, doomed.Ref(), aborted(doomed))
	marked, err := w.exec.DropBlobs(t.Context(), doomed.Ref())
	require.NoError(t, err)
	require.Len(t, marked, 1)

	claim := w.begin(t, next.Ref(), export.PhaseAdapt, 1)
	short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, w.exec.Pin(short, claim, digest("b"), 1), context.DeadlineExceeded)

	pinned := make(chan error, 1)
	go func() { pinned <- w.exec.Pin(t.Context(), claim, digest("b"), 1) }()
	select {
	case err := <-pinned:
		t.Fatalf("pinned a blob that is being deleted: %v", err)
	case <-time.After(150 * time.Millisecond):
	}
	require.NoError(t, w.exec.EraseBlobs(t.Context(), doomed.Ref(), marked, func(bundle.Digest, storage.Still) error { return nil }))
	require.NoError(t, <-pinned)
	require.Equal(t, "live", value[string](t, w, "acme", "select state from blobs"))
}

// A blob that is published between the removal of its file and that of its row
// has none when its publisher looks whether somebody still wants it.
func TestWhatIsStoredWhileItIsErasedIsTakenBack(t *testing.T) {
	w := newWorld(t)
	doomed := w.started(t, "acme", 1)
	require.NoError(t, w.exec.Pin(t.Context(), w.begin(t, doomed.Ref(), export.PhaseAdapt, 1), digest("b"), 1))
	w.finish(t, doomed.Ref(), aborted(doomed))
	marked, err := w.exec.DropBlobs(t.Context(), doomed.Ref())
	require.NoError(t, err)

	erased := make(chan bool, 1)
	require.NoError(t, w.exec.EraseBlobs(t.Context(), doomed.Ref(), marked, func(bundle.Digest, storage.Still) error {
		go func() {
			done, err := w.exec.EraseUnrecorded(t.Context(), "acme", digest("b"), func(storage.Still) error { return nil })
			erased <- done && err == nil
		}()
		select {
		case <-erased:
			return errors.New("it did not wait")
		case <-time.After(150 * time.Millisecond):
			return nil
		}
	}))
	require.True(t, <-erased)
	require.Zero(t, value[int](t, w, "acme", "select count(*) from blobs"))
}

// Several blobs are pinned together; one that is being deleted holds up all.
func TestPinAllPinsEachOnce(t *testing.T) {
	w := newWorld(t)
	doomed, next := w.started(t, "acme", 1), w.started(t, "acme", 2)
	require.NoError(t, w.exec.Pin(t.Context(), w.begin(t, doomed.Ref(), export.PhaseAdapt, 1), digest("b"), 1))
	w.finish(t, doomed.Ref(), aborted(doomed))
	marked, err := w.exec.DropBlobs(t.Context(), doomed.Ref())
	require.NoError(t, err)

	claim := w.begin(t, next.Ref(), export.PhaseAdapt, 1)
	blobs := []storage.Sized{{Digest: digest("c"), Size: 3}, {Digest: digest("a"), Size: 1}, {Digest: digest("c"), Size: 3}, {Digest: digest("b"), Size: 2}}
	pinned := make(chan error, 1)
	go func() { pinned <- w.exec.PinAll(t.Context(), claim, blobs) }()
	select {
	case err := <-pinned:
		t.Fatalf("pinned a blob that is being deleted: %v", err)
	case <-time.After(150 * time.Millisecond):
	}
	require.NoError(t, w.exec.EraseBlobs(t.Context(), doomed.Ref(), marked, func(bundle.Digest, storage.Still) error { return nil }))
	require.NoError(t, <-pinned)
	require.EqualValues(t, 3, value[int64](t, w, "acme", "select count(*) from blob_pins"))
	require.EqualValues(t, 6, value[int64](t, w, "acme", "select sum(size)::bigint from blobs where state = 'live'"))
	require.NoError(t, w.exec.PinAll(t.Context(), claim, nil), "none")
}

// An attempt at erasing is stopped for so long that the database ends its
// transaction. It goes on when another attempt, and a run that wants the blob, have
// come as far as they can: what it erases is never what that run has stored.
func TestALateEraseFindsNothingStoredAgain(t *testing.T) {
	for _, stop := range []string{"before it comes to the blob", "before it asks", "after it has asked"} {
		t.Run(stop, func(t *testing.T) { lateErase(t, stop) })
	}
}

func lateErase(t *testing.T, stop string) {
	w, objects := newWorld(t), storagetest.NewObjects()
	doomed, next := w.started(t, "acme", 1), w.started(t, "acme", 2)
	require.NoError(t, w.exec.Pin(t.Context(), w.begin(t, doomed.Ref(), export.PhaseAdapt, 1), digest("b"), 1))
	storagetest.Put(t, objects, "acme", []byte("b"))
	w.finish(t, doomed.Ref(), aborted(doomed))

	config := w.Config
	config.Silence = 50 * time.Millisecond
	impatient, err := postgres.Open(t.Context(), config)
	require.NoError(t, err)
	defer impatient.Close()
	reached, wake, late := make(chan bool), make(chan bool), make(chan error, 1)
	var stopped atomic.Bool
	pass := func(place string) {
		if place == stop && !stopped.Swap(true) {
			close(reached)
			<-wake
		}
	}
	erase := func(ctx context.Context, tenant string, d bundle.Digest, still storage.Still) error {
		pass("before it comes to the blob")
		return objects.Delete(ctx, tenant, d, func(ctx context.Context) error {
			pass("before it asks")
			defer pass("after it has asked")
			return still(ctx)
		})
	}
	go func() {
		var err error
		for !stopped.Load() { // on a busy machine it loses its transaction earlier, too
			_, err = storage.Destroy(t.Context(), postgres.NewExecution(impatient), doomed.Ref(), erase)
		}
		late <- err
	}()
	<-reached
	silent := func(since string) int {
		return value[int](t, w, "acme", `select count(*) from pg_stat_activity
			where datname = current_database() and state like 'idle in transaction%' and clock_timestamp() - state_change > '`+since+`'`)
	}
	require.Eventually(t, func() bool { return silent("0") == 0 }, 10*time.Second, 5*time.Millisecond, "its transaction has ended")

	destroyed, stored := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := storage.Destroy(t.Context(), w.exec, doomed.Ref(), objects.Delete)
		destroyed <- err
	}()
	claim := w.begin(t, next.Ref(), export.PhaseAdapt, 1)
	go func() {
		err := w.exec.Pin(t.Context(), claim, digest("b"), 1)
		if err == nil {
			storagetest.Put(t, objects, "acme", []byte("b"))
		}
		stored <- err
	}()
	require.Eventually(t, func() bool { return len(stored) == 1 || silent("200ms") == 1 }, 10*time.Second, 5*time.Millisecond,
		"the run has the blob, or the second attempt stands still")
	close(wake)
	require.Error(t, <-late)
	require.NoError(t, <-destroyed)
	require.NoError(t, <-stored)
	require.Equal(t, []bundle.Digest{digest("b")}, objects.Digests("acme"), "what the run has stored")
	require.Equal(t, "live", value[string](t, w, "acme", "select state from blobs"))
}

// shelf stands for the blob store of TestPutAgainstDrop.
type shelf struct {
	world
	mu            sync.Mutex
	there         map[bundle.Digest]bool
	kept, dropped atomic.Int64
}

func (s *shelf) set(d bundle.Digest, there bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.there[d] = there; !there {
		delete(s.there, d)
	}
}

func (s *shelf) has(d bundle.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.there[d]
}

// life is a run that puts the blobs all runs share, looks for them, and is cancelled.
func (s *shelf) life(ctx context.Context, n int) error {
	run, _, err := s.runs.CreateRun(ctx, request("acme", n), storage.Idempotency{})
	if err != nil {
		return err
	}
	claim, _, err := s.exec.Begin(ctx, run.Ref(), export.PhaseEmitTimeline, 1)
	if err != nil {
		return err
	}
	for i := range 4 {
		d := digest(fmt.Sprint("shared", i))
		if err := s.exec.Pin(ctx, claim, d, 1); err != nil {
			return err
		}
		s.set(d, true)
	}
	for i := range 4 {
		if !s.has(digest(fmt.Sprint("shared", i))) {
			return fmt.Errorf("run %d lost blob %d", n, i)
		}
	}
	s.kept.Add(1)
	if _, err := s.exec.Finish(ctx, claim, aborted(run)); err != nil {
		return err
	}
	marked, err := s.exec.DropBlobs(ctx, run.Ref())
	if err != nil {
		return err
	}
	s.dropped.Add(int64(len(marked)))
	return s.exec.EraseBlobs(ctx, run.Ref(), marked, func(d bundle.Digest, _ storage.Still) error {
		time.Sleep(time.Millisecond) // a late delete
		s.set(d, false)
		return nil
	})
}

// Runs that share blobs are cancelled while others put them: a blob that a
// living run has pinned and published is never deleted.
func TestPutAgainstDrop(t *testing.T) {
	s := &shelf{world: newWorld(t), there: map[bundle.Digest]bool{}}
	errs := make([]error, 6)
	var group sync.WaitGroup
	for g := range errs {
		group.Go(func() {
			for i := 0; i < 10 && errs[g] == nil; i++ {
				errs[g] = s.life(t.Context(), g*100+i+1)
			}
		})
	}
	group.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Empty(t, s.there, "the last one removed the rest")
	require.Zero(t, value[int](t, s.world, "acme", "select count(*) from blobs"))
	require.Zero(t, value[int](t, s.world, "acme", "select count(*) from blob_pins"))
	t.Logf("%d runs found their blobs, %d deletions", s.kept.Load(), s.dropped.Load())
}
