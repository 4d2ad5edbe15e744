package frontend_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// A blob that was compared and has rotted since: the first who meets the rot gets
// what is before it and a connection that breaks; whoever comes then is told before
// anything of the blob is given. When it is whole again, so are downloads.
func TestABlobThatRotsAfterItWasCompared(t *testing.T) {
	w := frontendtest.New(t)
	run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	path := runsPath + "/" + run.ID + "/download"
	files, err := w.Runs.Files(t.Context(), run.Ref())
	require.NoError(t, err)
	good := archive[3*512 : 3*512+files[1].Size]
	for range 2 {
		_, body, err := raw(t, w, "GET", path)
		require.NoError(t, err)
		require.True(t, string(archive) == body)
		rotten := append([]byte(nil), good...)
		rotten[100_000] ^= 1
		w.Objects.Replace("acme", files[1].Digest, rotten)
		_, body, err = raw(t, w, "GET", path)
		require.Error(t, err, "the answer has no end")
		require.Len(t, body, 3*512+64<<10, "the chunk before the rot, and nothing of its own")
		require.Equal(t, string(archive[:len(body)]), body)
		resp, _, err := raw(t, w, "GET", path, "Range: bytes=1536-")
		require.NoError(t, err)
		require.Equal(t, 500, resp.StatusCode, "all of it is compared again before anything is given")
		w.Objects.Replace("acme", files[1].Digest, good)
	}
	require.Contains(t, w.Log.String(), "stored bytes are wrong")
}
