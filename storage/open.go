package storage

import (
	"context"
	"errors"
	"fmt"

	"github.com/stella-ops/exportcenter/bundle"
)

// Opener opens published blobs; Objects is one.
type Opener interface {
	Open(ctx context.Context, tenant string, digest bundle.Digest) (Blob, error)
}

// OpenExact opens a blob that must have size bytes. One with another size is
// not what its row promised: ErrCorrupt, and nothing of it is read.
func OpenExact(ctx context.Context, from Opener, tenant string, digest bundle.Digest, size int64) (Blob, error) {
	blob, err := from.Open(ctx, tenant, digest)
	if err != nil {
		return nil, err
	}
	if stored := blob.Size(); stored != size {
		return nil, errors.Join(
			fmt.Errorf("blob %s: %w: want %d bytes, stored are %d", digest, ErrCorrupt, size, stored), blob.Close())
	}
	return blob, nil
}
