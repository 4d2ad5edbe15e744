package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// blobRecords is a list of blobs with who keeps them; a condition follows. Of a
// blob that is marked only the run that marked it can destroy it.
const blobRecords = `
select b.sha256, b.size, b.state = 'deleting', coalesce(b.deleting_for, k.with_bundle, k.any_run, ''),
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

// LostEntries calls yield with every entry of a bundle, every packed shard and
// every plan whose blob has no row or a row of another size.
func (s *Survey) LostEntries(ctx context.Context, tenant string, yield func(storage.EntryRecord) error) error {
	return each(ctx, s, tenant, "bundle entries", `
		select f.run_id, f.path, f.digest, f.size, coalesce(b.size, -1)
		from export_files f left join blobs b on b.tenant = f.tenant and b.sha256 = f.digest
		where f.tenant = $1 and b.size is distinct from f.size
		union
		select i.run_id, i.name, i.result_digest, i.result_size, coalesce(b.size, -1)
		from export_inputs i left join blobs b on b.tenant = i.tenant and b.sha256 = i.result_digest
		where i.tenant = $1 and i.result_digest is not null and b.size is distinct from i.result_size
		union
		select r.id, 'the plan', r.plan_digest, 0, -1
		from export_runs r left join blobs b on b.tenant = r.tenant and b.sha256 = r.plan_digest
		where r.tenant = $1 and r.plan_digest is not null and b.size is null
		order by 1, 2`,
		func(row pgx.CollectableRow) (e storage.EntryRecord, err error) {
			return e, row.Scan(&e.Run, &e.Path, (*digestColumn)(&e.Digest), &e.Size, &e.Recorded)
		}, yield)
}

// LostPacked calls yield with what is kept of packed shards whose blob has no
// row or a row of another size.
func (s *Survey) LostPacked(ctx context.Context, tenant string, yield func(storage.PackedRecord) error) error {
	return each(ctx, s, tenant, "packed shards", `
		select p.hash, p.recipe, p.digest, p.size, coalesce(b.size, -1)
		from export_packed p left join blobs b on b.tenant = p.tenant and b.sha256 = p.digest
		where p.tenant = $1 and b.size is distinct from p.size order by p.hash, p.recipe`,
		func(row pgx.CollectableRow) (p storage.PackedRecord, err error) {
			return p, row.Scan((*digestColumn)(&p.Hash), (*digestColumn)(&p.Recipe), (*digestColumn)(&p.Digest), &p.Size, &p.Recorded)
		}, yield)
}

// KeptPlaces calls yield with every shard of a plan whose places are kept, each
// once. Places in other tenants' ledgers are not looked at: fsck stays within one
// tenant, and who packs such a shard compares its hash.
func (s *Survey) KeptPlaces(ctx context.Context, tenant string, yield func(storage.ShardRecord) error) error {
	return each(ctx, s, tenant, "places of shards", `
		select i.run_id, i.name, i.hash, i.count, i.bytes, s.places
		from (select distinct on (project, hash) run_id, name, project, hash, count, bytes
			from export_inputs where tenant = $1 and source = $2 order by project, hash, run_id) i
		join export_shards s on s.tenant = $1 and s.hash = sha256(convert_to(i.project, 'UTF8') || '\x0a'::bytea || i.hash)
		order by i.run_id, i.name`,
		func(row pgx.CollectableRow) (r storage.ShardRecord, err error) {
			return r, row.Scan(&r.Run, &r.Name, (*digestColumn)(&r.Hash), &r.Count, &r.Bytes, &r.Places)
		}, yield, storage.OwnSource())
}

// Lines reads documents by their places; see Ledger.Lines.
func (s *Survey) Lines(ctx context.Context, tenant string, places []ledger.Place, yield func(ledger.Line) error) error {
	return NewLedger(s.db).Lines(ctx, tenant, places, yield)
}
