package frontend_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/storage"
)

// countedRuns counts how often the files of a run are listed.
type countedRuns struct {
	storage.Runs
	listed atomic.Int64
}

func (c *countedRuns) Files(ctx context.Context, ref export.Ref) ([]storage.File, error) {
	c.listed.Add(1)
	return c.Runs.Files(ctx, ref)
}

// counted is a World whose listings of files are counted.
func counted(t *testing.T) (*frontendtest.World, *countedRuns) {
	runs := &countedRuns{}
	return frontendtest.New(t, func(c *frontend.Config) { runs.Runs, c.Runs = c.Runs, runs }), runs
}

func download(c *caller, run export.Run, headers ...string) answer {
	return c.send("GET", runsPath+"/"+run.ID+"/download", "", headers...)
}

func TestFilesAreListedOncePerArchive(t *testing.T) {
	w, runs := counted(t)
	run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	c := newCaller(t, w, "acme")
	require.Equal(t, string(archive), download(c, run).Body)
	require.Equal(t, string(archive[1000:2000]), download(c, run, "Range", "bytes=1000-1999").Body)
	require.Equal(t, string(archive), download(c, run).Body)
	require.EqualValues(t, 1, runs.listed.Load())
}

// What one tenant's request left in memory is nobody else's.
func TestARememberedArchiveIsItsTenantsOnly(t *testing.T) {
	w, runs := counted(t)
	run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	require.Equal(t, string(archive), download(newCaller(t, w, "acme"), run).Body)

	other := newCaller(t, w, "acm2")
	foreign := download(other, run)
	require.Equal(t, 404, foreign.Status)
	absent := other.send("GET", runsPath+"/"+strings.Repeat("0", 8)+"-0000-7000-8000-000000000000/download", "")
	require.Equal(t, absent.problem(t).Message, foreign.problem(t).Message)

	// A run of another tenant with the same id, whose row names the same digest and
	// length, gets the files of its own tenant.
	own, content := w.Finish(t, w.Run("acm2", export.StateRunning))
	files, err := runs.Runs.Files(t.Context(), own.Ref())
	require.NoError(t, err)
	twin := own
	twin.ID, twin.Result = run.ID, run.Result
	require.Len(t, content, len(archive))
	w.Runs.Put(twin, files)
	require.Equal(t, string(content), download(other, twin).Body)
	require.Equal(t, string(archive), download(newCaller(t, w, "acme"), run).Body)
	require.EqualValues(t, 2, runs.listed.Load())
}

func TestARememberedArchiveExpires(t *testing.T) {
	w, _ := counted(t)
	run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	c := newCaller(t, w, "acme")
	require.Equal(t, string(archive), download(c, run).Body)
	files, err := w.Runs.Files(t.Context(), run.Ref())
	require.NoError(t, err)
	for state, status := range map[export.State]int{export.StateExpired: 410, export.StateRunning: 409, export.StateFailed: 409} {
		changed := run
		changed.State = state
		w.Runs.Put(changed, files)
		a := download(c, run)
		require.Equal(t, status, a.Status, state)
		require.NotContains(t, a.Body, "0123456789abcdef")
	}
}

// A row that names another archive is not answered with the one remembered.
func TestARememberedArchiveIsTheOneTheRowNames(t *testing.T) {
	w, runs := counted(t)
	run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	c := newCaller(t, w, "acme")
	require.Equal(t, string(archive), download(c, run).Body)

	longer := run
	longer.Result.ArchiveBytes++
	files, err := w.Runs.Files(t.Context(), run.Ref())
	require.NoError(t, err)
	w.Runs.Put(longer, files)
	require.Equal(t, 500, download(c, run).Status)
	require.Equal(t, 500, download(c, run).Status)
	require.EqualValues(t, 3, runs.listed.Load(), "a failure is not remembered")

	other, content := w.Finish(t, w.Run("acme", export.StateRunning))
	moved := other
	moved.ID = run.ID
	moved.Result.ArchiveDigest = bundle.DigestOf([]byte("another")).String()
	files, err = w.Runs.Files(t.Context(), other.Ref())
	require.NoError(t, err)
	w.Runs.Put(moved, files)
	a := download(c, moved)
	require.Equal(t, string(content), a.Body)
	require.Equal(t, moved.Result.ArchiveDigest, a.Header.Get("X-Export-Digest"))
	require.EqualValues(t, 4, runs.listed.Load())
}
