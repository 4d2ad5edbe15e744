package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// What a tenant keeps for ever is bounded (storage.MaxProfiles). Profiles and revisions
// are counted under the lock of the tenant's queue, which comes after that of a
// profile's row, as where runs are asked for.

// roomForProfile refuses one profile more than a tenant may have.
func roomForProfile(ctx context.Context, tx pgx.Tx, tenant string) error {
	profiles, err := countLocked(ctx, tx, tenant, "export_profile_heads")
	if err != nil {
		return err
	}
	if profiles >= storage.MaxProfiles {
		return full(storage.MaxProfiles, "this tenant has its %d profiles, archived ones included; change one that is there", profiles)
	}
	return roomForRevision(ctx, tx, tenant)
}

// roomForRevision refuses one revision more than a tenant's profiles may have.
func roomForRevision(ctx context.Context, tx pgx.Tx, tenant string) error {
	revisions, err := countLocked(ctx, tx, tenant, "export_profiles")
	if err == nil && revisions >= storage.MaxRevisions {
		err = full(storage.MaxRevisions, "the profiles of this tenant have their %d revisions; what is in a run's request needs none: selectors, redaction, labels", revisions)
	}
	return err
}

// roomForSnapshot refuses a policy snapshot beyond those that a tenant may have.
func roomForSnapshot(ctx context.Context, tx pgx.Tx, s export.PolicySnapshot) error {
	snapshots, err := countLocked(ctx, tx, s.Tenant, "policy_snapshots")
	if err != nil {
		return err
	}
	if snapshots >= storage.MaxSnapshots {
		return full(storage.MaxSnapshots, "this tenant has its %d policy snapshots, archived ones included", snapshots)
	}
	var bytes int64
	err = tx.QueryRow(ctx, "select coalesce(sum(bytes), 0)::bigint from policy_snapshots where tenant = $1", s.Tenant).Scan(&bytes)
	if err == nil && bytes+s.Bytes > storage.MaxSnapshotBytes {
		err = full(storage.MaxSnapshotBytes, "the policy packs of this tenant have %d bytes, and may have %d", bytes, storage.MaxSnapshotBytes)
	}
	return err
}

func countLocked(ctx context.Context, tx pgx.Tx, tenant, table string) (count int64, err error) {
	if _, err := tx.Exec(ctx, lockQueue, tenant); err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, "select count(*) from "+table+" where tenant = $1", tenant).Scan(&count)
	return count, err
}

// roomForRecords refuses what has just been recorded when it is too much. The row of the
// count is locked by then (00016).
func roomForRecords(ctx context.Context, tx pgx.Tx, tenant string) error {
	var kept int64
	err := tx.QueryRow(ctx, "select record_bytes from export_usage where tenant = $1 and profile_id = ''", tenant).Scan(&kept)
	if err == nil && kept > storage.MaxRecords {
		err = full(storage.MaxRecords, "the records of exports of this tenant may have %d bytes in all, and have them", storage.MaxRecords)
	}
	return err
}

func full(limit int64, format string, args ...any) error {
	return &export.Error{Code: export.CodeQuota, Class: export.ClassQuota, Err: &storage.QuotaReached{Limit: limit},
		Message: fmt.Sprintf(format, args...) + "; ask the administrator of this installation"}
}
