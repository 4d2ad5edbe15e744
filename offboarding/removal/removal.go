// Package removal removes a tenant that is being offboarded: first its blobs, then
// its rows, and last it signs the record of what was removed (docs/offboarding.md).
//
// It may be cut off anywhere and run again, also twice at once: what is gone is not
// looked for, what was there is noted before the first removal, and rows are counted
// in the transactions that remove them.
package removal

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/offboarding"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
)

// Files is what the blob store has of a tenant.
type Files interface {
	// Blobs yields published blobs by digest.
	Blobs(ctx context.Context, tenant string, yield func(storage.BlobFile) error) error
	// Erase removes a blob, absent or not, behind a fence that keeps others from it.
	Erase(ctx context.Context, tenant string, digest bundle.Digest, still storage.Still) error
	// RemoveStaged removes files that were being written, and counts them.
	RemoveStaged(ctx context.Context, tenant string, now time.Time) (int, error)
	// RemoveDirectories removes what is left when all files are gone.
	RemoveDirectories(ctx context.Context, tenant string) error
}

// Progress is how far a removal is.
type Progress struct {
	Step string `json:"step"` // blobs, files, or the name of a table
	Done int64  `json:"done"` // of this step, by this process
}

// Removal removes tenants.
type Removal struct {
	Rows   storage.Offboarding
	Files  Files
	Signer signing.Signer
	Clock  clock.Clock
	// Batch is how many rows the first batch of each table has; 0 = 500.
	Batch int
	// Tell hears of progress; nil = nobody does.
	Tell func(Progress)
}

// ErrNotAsked: nobody has asked for the tenant to be offboarded.
var ErrNotAsked = errors.New("the tenant is not being offboarded")

// Run removes a tenant, or goes on where an earlier one was cut off, and gives the
// signed record. Of a tenant that is offboarded already it removes files that have
// come back, as from a backup, and gives the record as it is.
func (r *Removal) Run(ctx context.Context, tenant string) ([]byte, error) {
	t, err := r.Rows.Tenant(ctx, tenant)
	if err != nil {
		return nil, err
	}
	if !t.State.Leaves() {
		return nil, fmt.Errorf("%w: it is %s; `stella tenant offboard %s` asks for it, once it was suspended for long enough", ErrNotAsked, t.State, tenant)
	}
	if t.State == export.TenantOffboarded {
		return nil, r.files(ctx, tenant, func(_ context.Context, fn func(storage.Still) error) error { return fn(always) })
	}
	if err := r.begin(ctx, tenant); err != nil {
		return nil, err
	}
	if err := r.blobs(ctx, tenant); err != nil {
		return nil, err
	}
	err = r.files(ctx, tenant, func(ctx context.Context, fn func(storage.Still) error) error { return r.Rows.Hold(ctx, tenant, fn) })
	if err != nil {
		return nil, err
	}
	return r.rowsAndEnd(ctx, tenant)
}

// always: nobody can take a blob of a tenant whose rows are gone.
func always(ctx context.Context) error { return ctx.Err() }

// begin notes what there is.
func (r *Removal) begin(ctx context.Context, tenant string) error {
	var found offboarding.Blobs
	sum := sha256.New()
	err := r.Files.Blobs(ctx, tenant, func(f storage.BlobFile) error {
		found.Count, found.Bytes = found.Count+1, found.Bytes+f.Size
		_, err := io.WriteString(sum, f.Digest.String()+"\n")
		return err
	})
	if err != nil {
		return fmt.Errorf("look at the blobs of %s: %w", tenant, err)
	}
	found.Digest = bundle.Digest(sum.Sum(nil))
	return r.Rows.Begin(ctx, tenant, r.now(), found)
}

// now is a moment as records have it.
func (r *Removal) now() time.Time { return r.Clock().UTC().Truncate(time.Second) }

// blobsAtOnce bounds how long one transaction is open while files are erased.
const blobsAtOnce = 100

func (r *Removal) blobs(ctx context.Context, tenant string) error {
	for done := int64(0); ; {
		n, err := r.Rows.RemoveBlobs(ctx, tenant, blobsAtOnce, r.now(), func(d bundle.Digest, still storage.Still) error {
			return r.Files.Erase(ctx, tenant, d, still)
		})
		if err != nil || n == 0 {
			return err
		}
		done += int64(n)
		r.tell("blobs", done)
	}
}

// files removes what no row knew of: what crashes left, what was being written, and
// the directories.
func (r *Removal) files(ctx context.Context, tenant string, hold func(context.Context, func(storage.Still) error) error) error {
	done := int64(0)
	err := r.Files.Blobs(ctx, tenant, func(f storage.BlobFile) error {
		done++
		return hold(ctx, func(still storage.Still) error { return r.Files.Erase(ctx, tenant, f.Digest, still) })
	})
	if err != nil {
		return fmt.Errorf("erase files without rows: %w", err)
	}
	staged, err := r.Files.RemoveStaged(ctx, tenant, r.Clock())
	if err != nil {
		return fmt.Errorf("remove files that were being written: %w", err)
	}
	if done += int64(staged); done > 0 {
		r.tell("files", done)
	}
	return r.Files.RemoveDirectories(ctx, tenant)
}

// rowsTries allows for what an old process wrote while its tables were emptied.
const rowsTries = 3

func (r *Removal) rowsAndEnd(ctx context.Context, tenant string) ([]byte, error) {
	sign := func(record offboarding.Record) ([]byte, error) { return record.Sign(ctx, r.Signer) }
	for try := 1; ; try++ {
		for _, table := range r.Rows.Tables() {
			if err := r.table(ctx, tenant, table); err != nil {
				return nil, err
			}
		}
		envelope, err := r.Rows.End(ctx, tenant, r.now(), sign)
		if !errors.Is(err, storage.ErrConflict) || try == rowsTries {
			return envelope, err
		}
	}
}

// A batch is as large as can be removed in about half a second.
const (
	firstBatch = 500
	maxBatch   = 50_000
	goodTime   = 500 * time.Millisecond
)

func (r *Removal) table(ctx context.Context, tenant, table string) error {
	batch, done := r.Batch, int64(0)
	if batch == 0 {
		batch = firstBatch
	}
	for {
		begun := r.Clock()
		n, err := r.Rows.RemoveRows(ctx, tenant, table, batch, r.now())
		if err != nil || n == 0 {
			return err
		}
		done += int64(n)
		r.tell(table, done)
		switch took := r.Clock().Sub(begun); {
		case took < goodTime/2:
			batch = min(batch*2, maxBatch)
		case took > goodTime:
			batch = max(batch/2, 1)
		}
	}
}

func (r *Removal) tell(step string, done int64) {
	if r.Tell != nil {
		r.Tell(Progress{Step: step, Done: done})
	}
}
