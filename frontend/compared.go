package frontend

import (
	"context"
	"errors"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/storage"
)

const (
	// checkpointBytes is how much the remembered checkpoints are together: enough
	// for 9 GB of blobs.
	checkpointBytes = 16 << 20
	// checkpointWeight is about what one takes.
	checkpointWeight = 160
)

// openCompared opens a blob of which no wrong byte can be read. The first who opens
// it reads it twice, once to compare all of it with its digest; those who come while
// that is remembered read it once, and each chunk is compared before it is given. A
// chunk that turns out wrong makes the next one compare all of it again, before
// giving anything.
func (s *Server) openCompared(ctx context.Context, tenant string, digest bundle.Digest, size int64) (storage.Blob, error) {
	key := blobName{tenant, digest}
	known, _ := s.checkpoints.get(key)
	blob, found, err := storage.OpenCompared(ctx, s.cfg.Objects, tenant, digest, size, known)
	if err != nil {
		return nil, err
	}
	if len(known) == 0 && len(found) > 1 { // one chunk is compared when it is read
		s.checkpoints.put(key, found, len(found)*checkpointWeight)
	}
	return comparedBlob{blob, func() { s.checkpoints.drop(key) }}, nil
}

type blobName struct {
	tenant string
	digest bundle.Digest
}

// comparedBlob forgets what is remembered of a blob that turns out wrong.
type comparedBlob struct {
	storage.Blob
	forget func()
}

// ReadAt implements io.ReaderAt.
func (c comparedBlob) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Blob.ReadAt(p, off)
	if errors.Is(err, storage.ErrCorrupt) {
		c.forget()
	}
	return n, err
}
