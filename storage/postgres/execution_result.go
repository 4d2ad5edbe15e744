package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// SaveManifest records the digests that the manifest fixes.
func (e *Execution) SaveManifest(ctx context.Context, c storage.Claim, r export.Result, at time.Time) error {
	return e.claimed(ctx, c, "save manifest", func(tx pgx.Tx, run export.Run) error {
		_, err := tx.Exec(ctx, `
			update export_runs set manifest_digest = $3, payload_digest = $4, rerun_hash = $5
			where tenant = $1 and id = $2 and (manifest_digest, payload_digest, rerun_hash) is distinct from ($3, $4, $5)`,
			run.Tenant, run.ID, r.ManifestDigest, r.PayloadDigest, r.RerunHash)
		if err != nil {
			return err
		}
		return addEvents(ctx, tx, run, entry{kind: export.EventManifestWritten, phase: c.Phase, at: at,
			message: "manifest " + r.ManifestDigest})
	})
}

// SaveSigned records the signatures and the digest of the sealed archive, and
// tells the timeline that the bundle is built.
func (e *Execution) SaveSigned(ctx context.Context, c storage.Claim, r export.Result, built export.TimelineEvent, at time.Time) error {
	signatures, err := jsonColumn(r.Signatures, "[]")
	if err != nil {
		return fmt.Errorf("save signatures: %w", err)
	}
	return e.claimed(ctx, c, "save signatures", func(tx pgx.Tx, run export.Run) error {
		_, err := tx.Exec(ctx, `
			update export_runs set signatures = $3, archive_digest = $4, archive_bytes = $5
			where tenant = $1 and id = $2 and (signatures, archive_digest, archive_bytes) is distinct from ($3::jsonb, $4, $5)`,
			run.Tenant, run.ID, signatures, r.ArchiveDigest, r.ArchiveBytes)
		if err != nil {
			return err
		}
		err = addEvents(ctx, tx, run, entry{kind: export.EventSigned, phase: c.Phase, at: at,
			message: fmt.Sprintf("%d signatures, archive %s", len(r.Signatures), r.ArchiveDigest),
			metrics: map[string]int64{"signatures": int64(len(r.Signatures)), "archiveBytes": r.ArchiveBytes}})
		if err != nil {
			return err
		}
		return addTimeline(ctx, tx, run, at, built)
	})
}

// SaveDistribution records a delivery, once per place.
func (e *Execution) SaveDistribution(ctx context.Context, c storage.Claim, d storage.Distribution, at time.Time) error {
	var expires *time.Time
	if !d.ExpiresAt.IsZero() {
		expires = &d.ExpiresAt
	}
	return e.claimed(ctx, c, "save distribution", func(tx pgx.Tx, run export.Run) error {
		_, err := tx.Exec(ctx, `
			insert into export_distributions as d
				(tenant, project, run_id, type, location, digest, size, expires_at, distributed_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
			on conflict (tenant, run_id, type, location) do update
			set digest = excluded.digest, size = excluded.size, expires_at = excluded.expires_at,
				distributed_at = excluded.distributed_at
			where (d.digest, d.size, d.expires_at) is distinct from (excluded.digest, excluded.size, excluded.expires_at)`,
			run.Tenant, projectColumn(run.Project), run.ID, d.Type, d.Location, d.Digest[:], d.Size, expires, at)
		if err != nil {
			return err
		}
		return addEvents(ctx, tx, run, entry{kind: export.EventDistributed, phase: c.Phase, at: at,
			subject: d.Type + " " + d.Location, message: "delivered: " + d.Type + " " + d.Location,
			metrics: map[string]int64{"bytes": d.Size}})
	})
}
