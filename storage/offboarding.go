package storage

import (
	"context"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/offboarding"
)

// Offboarding is what removing a tenant needs of the database. Every method works
// inside one transaction of one tenant, and removes nothing of a tenant that is not
// being offboarded. All may be repeated: what is gone is gone.
type Offboarding interface {
	// Tenant gives the tenant; ErrNotFound when there is none.
	Tenant(ctx context.Context, tenant string) (export.Tenant, error)
	// Begin notes what there is before anything is removed, with the blobs that the
	// store has; when it was noted before, that stays.
	Begin(ctx context.Context, tenant string, at time.Time, blobs offboarding.Blobs) error
	// Tables are the tables that RemoveRows takes, children before parents.
	Tables() []string
	// RemoveBlobs removes the rows of up to limit blobs, and calls erase for each
	// while nobody else can take it. 0: there is none left.
	RemoveBlobs(ctx context.Context, tenant string, limit int, at time.Time, erase func(bundle.Digest, Still) error) (int, error)
	// Hold runs fn while the tenant is held, so that nobody else removes of it.
	Hold(ctx context.Context, tenant string, fn func(Still) error) error
	// RemoveRows removes up to limit rows of a table. 0: there is none left.
	RemoveRows(ctx context.Context, tenant, table string, limit int, at time.Time) (int, error)
	// End keeps the record that sign makes, and closes the tenant for good. It is
	// ErrConflict while something is left, and gives the record that is kept.
	End(ctx context.Context, tenant string, at time.Time, sign func(offboarding.Record) ([]byte, error)) ([]byte, error)
}

// OffboardingRecords is what the API gives of tenants that were offboarded.
type OffboardingRecords interface {
	// OffboardingRecord gives the signed record; ErrNotFound before there is one.
	OffboardingRecord(ctx context.Context, tenant string) ([]byte, error)
	// OffboardedRuns gives up to limit lines of runs (offboarding.Run) with ids after
	// the given one, by id, and the last id.
	OffboardedRuns(ctx context.Context, tenant, after string, limit int) (lines [][]byte, last string, err error)
}
