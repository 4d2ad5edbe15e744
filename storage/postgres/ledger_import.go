package postgres

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// Import implements ledger.Store: one transaction of three steps.
//
//  1. Insert contents, sorted by digest: two importers of the same documents
//     wait for each other in one order and cannot deadlock.
//  2. Lock the tenant's head row, to commit. Whoever waited sees, in step 3,
//     everything the previous holder recorded (READ COMMITTED).
//  3. In one statement: drop revisions that are recorded, number the rest
//     densely in batch order, insert them and their terms, raise the head.
//
// So a sequence at or below a head that was read never appears later. Counts
// are those of importing the documents one by one in batch order; they do not
// depend on where batches were cut.
func (l *Ledger) Import(ctx context.Context, tenant string, batch []ledger.Observation) (ledger.Counts, error) {
	for _, o := range batch {
		if err := o.Validate(); err != nil {
			return ledger.Counts{}, &export.Error{
				Code: export.CodeValidation, Class: export.ClassPermanent,
				Message: fmt.Sprintf("document %.80q cannot be recorded: %v", o.UpstreamID, err), Field: o.UpstreamID,
			}
		}
	}
	counts := ledger.Counts{Read: int64(len(batch))}
	if len(batch) == 0 {
		return counts, nil
	}
	b := newImportBatch(batch)
	var accepted, superseded int64
	err := l.db.WithTenant(ctx, tenant, func(tx pgx.Tx) error {
		pipeline := &pgx.Batch{}
		pipeline.Queue(insertContents, tenant, b.digests, b.raws, b.canonicals)
		pipeline.Queue(insertHead, tenant)
		pipeline.Queue(lockHead, tenant)
		pipeline.Queue(insertObservations, b.observationArgs(tenant)...).QueryRow(func(row pgx.Row) error {
			return row.Scan(&accepted, &superseded)
		})
		return tx.SendBatch(ctx, pipeline).Close()
	})
	if err != nil {
		return ledger.Counts{}, fmt.Errorf("import %d documents: %w", len(batch), err)
	}
	counts.Accepted, counts.Superseded = accepted, superseded
	counts.Unchanged = counts.Read - accepted - superseded
	return counts, nil
}

const insertContents = `
insert into ledger_contents (tenant, sha256, raw, canonical)
select $1, c.sha256, c.raw, c.canonical
from unnest($2::bytea[], $3::bytea[], $4::bytea[]) with ordinality as c (sha256, raw, canonical, n)
order by c.n
on conflict do nothing`

const insertHead = `insert into ledger_heads (tenant) values ($1) on conflict do nothing`

const lockHead = `select seq from ledger_heads where tenant = $1 for update`

// insertObservations runs under the head's lock. $16 says that an earlier
// document of the same batch is a greater revision; $17 to $19 are the terms
// as (position in the batch, axis, term).
//
// What is recorded of a document is asked document by document, in one look at
// the index: the planner cannot make the limited subquery one join with all of
// the tenant's rows. Revisions that were current when they were recorded are a
// rising chain: each overtakes the one before it.
const insertObservations = `
with batch as (
  select * from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bytea[],
    $10::text[], $11::bigint[], $12::bigint[], $13::text[], $14::text[], $15::text[], $16::bool[])
    with ordinality as b (project, kind, format, source, stream, upstream_id, modified, sha256,
      subject, raw_bytes, canonical_bytes, ecosystems, products, aliases, beaten, n)
), numbered as (
  select b.*, h.seq + row_number() over (order by b.n) as seq, best.seq as overtakes,
    b.beaten or coalesce((best.modified, best.sha256) > (b.modified, b.sha256), false) as superseded
  from batch b
  left join lateral (
    select o.seq, o.modified, o.sha256, bool_or(o.sha256 = b.sha256) over () as known
    from ledger_observations o
    where o.tenant = $1 and o.project = b.project and o.kind = b.kind and o.upstream_id = b.upstream_id
      and o.source = b.source and o.stream = b.stream
    order by o.modified desc, o.sha256 desc limit 1) best on true
  cross join (select seq from ledger_heads where tenant = $1) h
  where best.known is not true
), chain as (
  select seq, overtakes, lead(seq) over same as next, row_number() over same as nth
  from numbered where not superseded
  window same as (partition by project, kind, upstream_id, source, stream order by seq)
), recorded as (
  insert into ledger_observations (tenant, seq, project, kind, format, source, stream, upstream_id, modified, sha256,
    subject, raw_bytes, canonical_bytes, ecosystems, products, aliases)
  select $1, seq, project, kind, format, source, stream, upstream_id, modified, sha256,
    subject, raw_bytes, canonical_bytes, ecosystems::text[], products::text[], aliases::text[]
  from numbered order by seq
), overtaken as (
  insert into ledger_superseded (tenant, seq, by_seq)
  select $1, seq, seq from numbered where superseded
  union all select $1, seq, next from chain where next is not null
  union all select $1, overtakes, seq from chain where nth = 1 and overtakes is not null
), terms as (
  insert into ledger_terms (tenant, axis, term, seq)
  select $1, t.axis, t.term, numbered.seq
  from unnest($17::bigint[], $18::text[], $19::text[]) as t (n, axis, term)
  join numbered on numbered.n = t.n
  order by t.axis, t.term, numbered.seq
), raised as (
  update ledger_heads set seq = ledger_heads.seq + (select count(*) from numbered)
  where tenant = $1 and exists (select from numbered)
)
select count(*) filter (where not superseded), count(*) filter (where superseded) from numbered`

// importBatch is a batch as columns, without its own duplicates.
type importBatch struct {
	observations []ledger.Observation
	beaten       []bool

	// Contents, sorted by digest. A nil canonical form equals the original.
	digests, raws, canonicals [][]byte
}

type revision struct {
	ledger.Identity
	digest bundle.Digest
}

func newImportBatch(batch []ledger.Observation) *importBatch {
	b := &importBatch{}
	seen := map[revision]bool{}
	greatest := map[ledger.Identity]ledger.Observation{}
	contents := map[bundle.Digest]ledger.Observation{}
	for _, o := range batch {
		id := o.Identity()
		if r := (revision{id, o.Digest}); seen[r] {
			continue
		} else {
			seen[r] = true
		}
		best, known := greatest[id]
		if !known || ledger.Greater(o, best) {
			greatest[id] = o
		}
		b.observations = append(b.observations, o)
		b.beaten = append(b.beaten, known && ledger.Greater(best, o))
		contents[o.Digest] = o
	}
	b.setContents(contents)
	return b
}

func (b *importBatch) setContents(contents map[bundle.Digest]ledger.Observation) {
	order := make([]bundle.Digest, 0, len(contents))
	for d := range contents {
		order = append(order, d)
	}
	slices.SortFunc(order, func(x, y bundle.Digest) int { return bytes.Compare(x[:], y[:]) })
	for _, d := range order {
		o := contents[d]
		canonical := o.Canonical
		if bytes.Equal(canonical, o.Raw) {
			canonical = nil
		}
		b.digests = append(b.digests, bytes.Clone(d[:]))
		b.raws = append(b.raws, o.Raw)
		b.canonicals = append(b.canonicals, canonical)
	}
}
