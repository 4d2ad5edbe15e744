package frontend_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/storage"
)

// countedObjects counts the bytes of the blobs that are opened.
type countedObjects struct {
	frontend.Objects
	opened atomic.Int64
}

func (c *countedObjects) Open(ctx context.Context, tenant string, digest bundle.Digest) (storage.Blob, error) {
	blob, err := c.Objects.Open(ctx, tenant, digest)
	if err == nil {
		c.opened.Add(blob.Size())
	}
	return blob, err
}

// Who takes one byte of a bundle and waits does not make the server read on.
func TestTheServerStaysNearItsReader(t *testing.T) {
	const blob, blobs = 64 << 10, 512 // 32 MiB
	objects := &countedObjects{}
	w := frontendtest.New(t, func(c *frontend.Config) { objects.Objects, c.Objects = c.Objects, objects })
	var files []storage.File
	for i := range blobs {
		content := bytes.Repeat([]byte(fmt.Sprintf("%08x", i)), blob/8)
		files = append(files, storage.File{Path: fmt.Sprintf("data/%04d", i), Size: blob, Digest: w.Objects.Put("acme", content)})
	}
	run := w.Run("acme", export.StateSucceeded)
	run.Result.ArchiveDigest = bundle.DigestOf([]byte("not looked at")).String()
	run.Result.ArchiveBytes = blobs*bundle.EntrySize(blob) + bundle.TrailerSize
	w.Runs.Put(run, files)

	req, err := http.NewRequestWithContext(t.Context(), "GET", w.URL+runsPath+"/"+run.ID+"/download", nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+w.Token(t, "acme"))
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	resp, err := (&http.Client{Transport: transport}).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = io.ReadFull(resp.Body, make([]byte, 1))
	require.NoError(t, err)

	var seen int64
	for still := 0; still < 10; time.Sleep(20 * time.Millisecond) {
		if now := objects.opened.Load(); now != seen {
			seen, still = now, 0
		} else {
			still++
		}
	}
	require.Positive(t, seen)
	require.Less(t, seen, int64(1<<20), "the reader took one byte")

	rest, err := io.Copy(io.Discard, resp.Body)
	require.NoError(t, err, "and whoever goes on gets the rest")
	require.Equal(t, run.Result.ArchiveBytes-1, rest)
}
