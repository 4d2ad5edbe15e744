package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/storage"
)

// blobRecords is a list of blobs with who keeps them; a condition follows.
const blobRecords = `
select b.sha256, b.size, b.state = 'deleting', coalesce(k.with_bundle, k.any_run, b.deleting_for, ''),
  k.pins, k.bundles, k.under_way, greatest(k.ended, d.completed_at)
from blobs b
left join export_runs d on d.tenant = b.tenant and d.id = b.deleting_for
cross join lateral (
  select count(*) as pins,
    count(*) filter (where r.status in ('succeeded', 'partial')) as bundles,
    count(*) filter (where r.status in ('pending', 'running', 'waiting')) as under_way,
    max(r.completed_at) filter (where r.status not in ('succeeded', 'partial')) as ended,
    min(r.id) filter (where r.status in ('succeeded', 'partial')) as with_bundle,
    min(r.id) as any_run
  from blob_pins p join export_runs r on r.tenant = p.tenant and r.id = p.run_id
  where p.tenant = b.tenant and p.sha256 = b.sha256) k
where b.tenant = $1 and `

func scanBlobRecord(row pgx.CollectableRow) (b storage.BlobRecord, err error) {
	var ended *time.Time
	err = row.Scan((*digestColumn)(&b.Digest), &b.Size, &b.Deleting, &b.Run, &b.Pins, &b.Bundles, &b.UnderWay, &ended)
	b.Ended = timeOf(ended)
	return b, err
}

// BlobRecords gives up to limit blobs after the given one, by digest; nil
// begins at the first.
func (s *Survey) BlobRecords(ctx context.Context, tenant string, after *bundle.Digest, limit int) ([]storage.BlobRecord, error) {
	from := []byte{}
	if after != nil {
		from = after[:]
	}
	var blobs []storage.BlobRecord
	err := s.page(ctx, tenant, "blobs", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, blobRecords+"b.sha256 > $2 order by b.sha256 limit $3", tenant, from, limit)
		if err != nil {
			return err
		}
		blobs, err = pgx.CollectRows(rows, scanBlobRecord)
		return err
	})
	return blobs, err
}

// BlobRecord gives one blob as it is now; nil when it has no row.
func (s *Survey) BlobRecord(ctx context.Context, tenant string, digest bundle.Digest) (*storage.BlobRecord, error) {
	var found *storage.BlobRecord
	err := each(ctx, s, tenant, "a blob", blobRecords+"b.sha256 = $2", scanBlobRecord, func(b storage.BlobRecord) error {
		found = &b
		return nil
	}, digest[:])
	return found, err
}

// LostEntries calls yield with every entry of a bundle, and every plan, whose
// blob has no row or a row of another size.
func (s *Survey) LostEntries(ctx context.Context, tenant string, yield func(storage.EntryRecord) error) error {
	return each(ctx, s, tenant, "bundle entries", `
		select f.run_id, f.path, f.digest, f.size, coalesce(b.size, -1)
		from export_files f left join blobs b on b.tenant = f.tenant and b.sha256 = f.digest
		where f.tenant = $1 and b.size is distinct from f.size
		union all
		select r.id, 'the plan', r.plan_digest, 0, -1
		from export_runs r left join blobs b on b.tenant = r.tenant and b.sha256 = r.plan_digest
		where r.tenant = $1 and r.plan_digest is not null and b.size is null
		order by 1, 2`,
		func(row pgx.CollectableRow) (e storage.EntryRecord, err error) {
			return e, row.Scan(&e.Run, &e.Path, (*digestColumn)(&e.Digest), &e.Size, &e.Recorded)
		}, yield)
}
