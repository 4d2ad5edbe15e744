package fsck

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Repairs mends what can be mended without losing evidence, a bundle, or the
// trace of a mistake (Kind.Repair). Each method is one transaction, or a
// deletion under the marks and locks of the product, and looks once more: false
// means that nothing was done, because it is not as it was told any more, or
// something needs it.
type Repairs interface {
	// EraseUnrecorded calls erase for a blob without row that nothing refers to,
	// while no run can record it.
	EraseUnrecorded(ctx context.Context, tenant string, digest bundle.Digest, erase func(storage.Still) error) (bool, error)
	// EraseUnneeded calls erase for a blob that no run keeps and nothing refers
	// to, and forgets its row, while no run can take it.
	EraseUnneeded(ctx context.Context, tenant string, digest bundle.Digest, erase func(storage.Still) error) (bool, error)
	// DropBlobs and EraseBlobs are those of storage.Execution.
	storage.Dropper
	// RaiseCounter gives a run that has not ended the number of its last event.
	RaiseCounter(ctx context.Context, ref export.Ref) (bool, error)
	// RaiseQueue gives a queue the greatest number of its tenant's runs.
	RaiseQueue(ctx context.Context, tenant string) (bool, error)
	// CountUsage counts again what the tenant and its profiles use of their quotas.
	CountUsage(ctx context.Context, tenant string) (bool, error)
	// Recount counts a run's progress again.
	Recount(ctx context.Context, ref export.Ref) (bool, error)
	// ForgetPacked forgets what was packed of a shard, if it still does not fit
	// its blob.
	ForgetPacked(ctx context.Context, tenant string, packed storage.PackedRecord) (bool, error)

	// Delete removes the file of a blob that is marked, DeleteUnmarked that of
	// another; RemoveStaged a file that nobody writes and nobody touched since.
	Delete(ctx context.Context, tenant string, digest bundle.Digest, still storage.Still) error
	DeleteUnmarked(ctx context.Context, tenant string, digest bundle.Digest, still storage.Still) error
	RemoveStaged(ctx context.Context, path string, since time.Time) (bool, error)
}

// tellAndMend reports a divergence of a kind that can be repaired, and repairs
// it first when that was asked for.
func (l *look) tellAndMend(ctx context.Context, k Kind, d Divergence, mend func() (bool, error), format string, args ...any) error {
	d.Message = fmt.Sprintf(format, args...)
	if l.Repairs != nil {
		done, err := mend()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			d.Message += fmt.Sprintf("; not repaired: %v", err)
		case !done:
			d.Message += "; not repaired: something needs it, or it has just changed"
		}
		d.Repaired = done && err == nil
	}
	return l.tell(k, d, "%s", d.Message)
}

// destroy does what a run's workflow does at the end of a run without a bundle,
// and gives the blobs that are gone.
func (l *look) destroy(ctx context.Context, ref export.Ref) ([]bundle.Digest, error) {
	return storage.Destroy(ctx, l.Repairs, ref, l.Repairs.Delete)
}

// note remembers the last sign of life in the tenant's journals.
func (l *look) note(r storage.RunRecord) {
	for _, at := range []time.Time{r.LastSign, r.CompletedAt} {
		if at.After(l.newest) {
			l.newest = at
		}
	}
}

// mendBlob repairs what is wrong with a blob; nil is a way to repair nothing.
func (m *merge) mendBlob(ctx context.Context, k Kind, row *storage.BlobRecord, f *storage.BlobFile, digest bundle.Digest) func() (bool, error) {
	erase := func(still storage.Still) error { return m.Repairs.DeleteUnmarked(ctx, m.tenant, digest, still) }
	switch k.Code {
	case blobUnneeded.Code:
		return func() (bool, error) { return m.Repairs.EraseUnneeded(ctx, m.tenant, digest, erase) }
	case blobDeleting.Code:
		return func() (bool, error) {
			gone, err := m.destroy(ctx, export.Ref{Tenant: m.tenant, RunID: row.Run})
			return slices.Contains(gone, digest), err
		}
	case blobUnrecorded.Code:
		return func() (bool, error) {
			switch {
			case f == nil || !m.longAgo(f.Modified):
				return false, fmt.Errorf("it is younger than the patience of %s", m.Patience)
			case f.Modified.After(m.newest):
				return false, fmt.Errorf("it is younger than all that the tenant's runs tell of: is the database older than the blobs?")
			}
			return m.Repairs.EraseUnrecorded(ctx, m.tenant, digest, erase)
		}
	}
	return nil
}
