package activities

import (
	"context"
	"fmt"
	"io"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/storage"
)

// publish pins a staged blob for the run, then makes it durable. In this
// order: a blob that is published before it is pinned could be collected in
// between (ARCHITECTURE D4). Who cannot record what was published takes it back.
func (e *Export) publish(ctx context.Context, claim storage.Claim, staged storage.Staged) (bundle.Digest, error) {
	digest, size := staged.Digest()
	if err := e.Execution.Pin(ctx, claim, digest, size); err != nil {
		return digest, fmt.Errorf("pin %s: %w", digest, err)
	}
	if err := staged.Publish(ctx); err != nil {
		e.takeBack(ctx, claim.Ref.Tenant, digest) // it may have got its name
		return digest, fmt.Errorf("publish %s: %w", digest, err)
	}
	return digest, nil
}

// put stores small content as a blob and returns it as the bundle entry path.
func (e *Export) put(ctx context.Context, claim storage.Claim, path string, content []byte) (storage.File, error) {
	staged, err := e.Objects.Stage(ctx, claim.Ref.Tenant)
	if err != nil {
		return storage.File{}, fmt.Errorf("stage %s: %w", path, err)
	}
	defer staged.Discard() //nolint:errcheck // a no-op after Publish
	if _, err := staged.Write(content); err != nil {
		return storage.File{}, fmt.Errorf("stage %s: %w", path, err)
	}
	digest, err := e.publish(ctx, claim, staged)
	if err != nil {
		return storage.File{}, fmt.Errorf("store %s: %w", path, err)
	}
	return storage.File{Path: path, Digest: digest, Size: int64(len(content))}, nil
}

// maxDocument bounds the bundle documents that are read whole: manifest,
// provenance, signatures. Payload is only ever streamed.
const maxDocument = 64 << 20

// get reads a small bundle entry and checks it against its digest.
func (e *Export) get(ctx context.Context, tenant string, f storage.File) ([]byte, error) {
	if f.Size > maxDocument {
		return nil, fmt.Errorf("%s has %d bytes, more than the %d that are read whole", f.Path, f.Size, maxDocument)
	}
	blob, err := storage.OpenExact(ctx, e.Objects, tenant, f.Digest, f.Size)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.Path, err)
	}
	defer blob.Close()
	content, err := io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", f.Path, err)
	}
	if got := bundle.DigestOf(content); got != f.Digest {
		return nil, fmt.Errorf("%s: %w: want %s, got %s", f.Path, storage.ErrCorrupt, f.Digest, got)
	}
	return content, nil
}
