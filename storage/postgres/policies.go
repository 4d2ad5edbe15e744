package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// PolicySnapshots keeps policy packs, a row for each (policy_snapshots).
type PolicySnapshots struct{ db *DB }

var _ storage.PolicySnapshots = (*PolicySnapshots)(nil)

// NewPolicySnapshots makes the store of policy snapshots.
func NewPolicySnapshots(db *DB) *PolicySnapshots { return &PolicySnapshots{db: db} }

// ImportSnapshot records a snapshot; see storage.PolicySnapshots. The row comes before
// the key, which names the row that is there in the end.
func (p *PolicySnapshots) ImportSnapshot(ctx context.Context, s export.PolicySnapshot, pack []byte, idem storage.Idempotency) (stored export.PolicySnapshot, created bool, err error) {
	if err := checkNewSnapshot(s, pack, idem); err != nil {
		return stored, false, err
	}
	err = p.db.WithTenant(ctx, s.Tenant, func(tx pgx.Tx) (err error) {
		if stored, created, err = keepSnapshot(ctx, tx, s, pack); err != nil {
			return err
		}
		_, err = takeKey(ctx, tx, madeSnapshot(stored, s.CreatedAt), idem)
		return err
	})
	if err != nil {
		return export.PolicySnapshot{}, false, fmt.Errorf("import policy snapshot: %w", err)
	}
	return stored, created, nil
}

func checkNewSnapshot(s export.PolicySnapshot, pack []byte, idem storage.Idempotency) error {
	if err := s.Check(); err != nil {
		return err
	}
	if int64(len(pack)) != s.Bytes || bundle.DigestOf(pack).String() != s.Digest {
		return fmt.Errorf("policy pack of %d bytes, %s: %w", len(pack), bundle.DigestOf(pack), storage.ErrCorrupt)
	}
	return checkKey(idem)
}

// keepSnapshot records s, unless its pack is there under its name.
func keepSnapshot(ctx context.Context, tx pgx.Tx, s export.PolicySnapshot, pack []byte) (export.PolicySnapshot, bool, error) {
	there := func() (export.PolicySnapshot, error) {
		return oneSnapshot(tx.QueryRow(ctx, snapshotSQL+" where tenant = $1 and name = $2 and version = $3", s.Tenant, s.Name, s.Version))
	}
	created := false
	first, err := there()
	if errors.Is(err, pgx.ErrNoRows) {
		if created, err = insertSnapshot(ctx, tx, s, pack); err == nil {
			first, err = there()
		}
	}
	if err == nil && first.Digest != s.Digest {
		err = storage.OtherPack(first)
	}
	return first, created, err
}

// insertSnapshot records s. False: somebody else has recorded one of its name and
// version meanwhile.
func insertSnapshot(ctx context.Context, tx pgx.Tx, s export.PolicySnapshot, pack []byte) (bool, error) {
	if err := roomForSnapshot(ctx, tx, s); err != nil {
		return false, err
	}
	digest := bundle.DigestOf(pack)
	tag, err := tx.Exec(ctx, `
		insert into policy_snapshots (tenant, project, id, name, version, sha256, bytes, pack, description, created_by, created_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) on conflict (tenant, name, version) do nothing`,
		s.Tenant, projectColumn(s.Project), s.ID, s.Name, s.Version, digest[:], s.Bytes, pack, s.Description, s.CreatedBy, s.CreatedAt)
	return err == nil && tag.RowsAffected() == 1, err
}

// ArchiveSnapshot ends a snapshot; see storage.PolicySnapshots.
func (p *PolicySnapshots) ArchiveSnapshot(ctx context.Context, tenant, id string, by string, at time.Time) (archived export.PolicySnapshot, err error) {
	err = p.db.WithTenant(ctx, tenant, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "update policy_snapshots set archived_by = $3, archived_at = $4 where tenant = $1 and id = $2 and archived_at is null",
			tenant, storable(id), by, at)
		if err != nil {
			return err
		}
		archived, err = oneSnapshot(tx.QueryRow(ctx, snapshotSQL+" where tenant = $1 and id = $2", tenant, storable(id)))
		return presentSnapshot(id, err)
	})
	if err != nil {
		return export.PolicySnapshot{}, fmt.Errorf("archive policy snapshot: %w", err)
	}
	return archived, nil
}
