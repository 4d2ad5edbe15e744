package frontend

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// shelved is a run with n files of 512 bytes.
func shelved(id string, n int) (export.Run, []storage.File) {
	var files []storage.File
	for i := range n {
		files = append(files, storage.File{Path: fmt.Sprintf("data/%06d", i), Size: 512, Digest: bundle.DigestOf([]byte{byte(i)})})
	}
	run := export.Run{Tenant: "acme", ID: id, State: export.StateSucceeded}
	run.Result.ArchiveDigest = bundle.DigestOf([]byte(id)).String()
	run.Result.ArchiveBytes = int64(n)*bundle.EntrySize(512) + bundle.TrailerSize
	return run, files
}

// Many who want the same archive at once wait for one listing, and one of them
// that goes away does not take it from the others.
func TestOneListingForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		run, files := shelved("a", 3)
		var listed atomic.Int64
		release := make(chan struct{})
		o := newOutlines(100, func(ctx context.Context, _ export.Ref) ([]storage.File, error) {
			listed.Add(1)
			<-release
			return files, ctx.Err()
		})
		first, leave := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() {
			_, err := o.of(first, run)
			gone <- err
		}()
		synctest.Wait()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				table, err := o.of(t.Context(), run)
				if err != nil || table.Len() != 3 {
					t.Errorf("table: %v, error: %v", table, err)
				}
			})
		}
		synctest.Wait()
		leave()
		require.ErrorIs(t, <-gone, context.Canceled, "it waits no longer than it wants")
		close(release)
		all.Wait()
		require.EqualValues(t, 1, listed.Load())
		require.Empty(t, o.loading)
	})
}

func TestAFailedListingIsTriedAgain(t *testing.T) {
	run, files := shelved("a", 3)
	down := errors.New("down")
	o := newOutlines(100, func(context.Context, export.Ref) ([]storage.File, error) { return files, down })
	_, err := o.of(t.Context(), run)
	require.ErrorIs(t, err, down)
	down = nil
	table, err := o.of(t.Context(), run)
	require.NoError(t, err)
	require.Equal(t, run.Result.ArchiveBytes, table.Size())
}

// The memory has a bound: what was used last stays, and an archive of more files
// than the bound is given all the same.
func TestOutlinesAreBounded(t *testing.T) {
	listed := map[string]int{}
	runs := map[string]export.Run{}
	stored := map[string][]storage.File{}
	for id, n := range map[string]int{"a": 40, "b": 40, "c": 40, "huge": 101} {
		runs[id], stored[id] = shelved(id, n)
	}
	o := newOutlines(100, func(_ context.Context, ref export.Ref) ([]storage.File, error) {
		listed[ref.RunID]++
		return stored[ref.RunID], nil
	})
	for _, id := range []string{"a", "b", "a", "c", "a", "b", "huge", "huge", "b"} {
		table, err := o.of(t.Context(), runs[id])
		require.NoError(t, err)
		require.Equal(t, len(stored[id]), table.Len())
		require.LessOrEqual(t, o.recent.weight, 100)
	}
	require.Equal(t, map[string]int{"a": 1, "b": 2, "c": 1, "huge": 2}, listed)
}
