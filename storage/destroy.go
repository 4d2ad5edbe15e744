package storage

import (
	"context"
	"slices"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// Still proves, at the moment it is asked, that its transaction lives and so
// holds the blob's row: until then nobody has taken the blob. After an error
// nothing may be erased. What it proved is over when the transaction ends, which
// a process that is stopped does not notice: so erasing is fenced besides
// (Objects.Delete).
type Still func(ctx context.Context) error

// Dropper is the part of Execution that destroys what a run left.
type Dropper interface {
	DropBlobs(ctx context.Context, ref export.Ref) ([]bundle.Digest, error)
	EraseBlobs(ctx context.Context, ref export.Ref, digests []bundle.Digest, erase func(bundle.Digest, Still) error) error
}

// eraseAtOnce bounds how long one transaction keeps others from the blobs.
const eraseAtOnce = 100

// Destroy destroys what a run left when it ended without a bundle, and gives the
// digests that are gone. What another run shares stays. erase is Objects.Delete.
func Destroy(ctx context.Context, rows Dropper, ref export.Ref,
	erase func(ctx context.Context, tenant string, digest bundle.Digest, still Still) error,
) ([]bundle.Digest, error) {
	digests, err := rows.DropBlobs(ctx, ref)
	if err != nil {
		return nil, err
	}
	for some := range slices.Chunk(digests, eraseAtOnce) {
		err := rows.EraseBlobs(ctx, ref, some, func(d bundle.Digest, still Still) error { return erase(ctx, ref.Tenant, d, still) })
		if err != nil {
			return nil, err
		}
	}
	return digests, nil
}
