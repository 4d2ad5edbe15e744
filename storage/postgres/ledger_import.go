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

// Import implements ledger.Store.
//
//  1. Ask which revisions are recorded. What is recorded stays recorded, so no
//     lock is needed: those are unchanged, and nothing is written for them.
//  2. Pack the others into blocks, in the export's order, outside any lock.
//  3. In one transaction: insert the blocks; lock the tenant's head row, to
//     commit, so that whoever waited sees everything the previous holder
//     recorded (READ COMMITTED); and in one statement drop revisions that were
//     recorded meanwhile, number the rest densely in batch order, insert them,
//     raise the head; then insert the pages of their terms.
//
// So a sequence at or below a head that was read never appears later. Counts
// are those of importing the documents one by one in batch order; they do not
// depend on where batches were cut.
func (l *Ledger) Import(ctx context.Context, tenant string, batch []ledger.Observation) (ledger.Counts, error) {
	for i := range batch {
		if err := batch[i].Validate(); err != nil {
			return ledger.Counts{}, &export.Error{
				Code: export.CodeValidation, Class: export.ClassPermanent,
				Message: fmt.Sprintf("document %.80q cannot be recorded: %v", batch[i].UpstreamID, err), Field: batch[i].UpstreamID,
			}
		}
	}
	if len(batch) > maxBatch {
		return ledger.Counts{}, fmt.Errorf("a batch has %d documents, at most %d fit", len(batch), maxBatch)
	}
	counts := ledger.Counts{Read: int64(len(batch))}
	b := newImportBatch(batch)
	accepted, superseded, err := l.record(ctx, tenant, b)
	if err != nil {
		return ledger.Counts{}, fmt.Errorf("import %d documents: %w", len(batch), err)
	}
	counts.Accepted, counts.Superseded = accepted, superseded
	counts.Unchanged = counts.Read - accepted - superseded
	return counts, nil
}

func (l *Ledger) record(ctx context.Context, tenant string, b *importBatch) (accepted, superseded int64, err error) {
	segment, err := l.dropRecorded(ctx, tenant, b)
	if err != nil || len(b.documents) == 0 {
		return 0, 0, err
	}
	blocks, err := b.pack(segment)
	if err != nil {
		return 0, 0, err
	}
	numbers, data := make([]int64, len(blocks)), make([][]byte, len(blocks))
	for i, block := range blocks {
		numbers[i], data[i] = block.number, block.stored
	}
	args, allPages := b.observationArgs(tenant, l.clock()), termPages(b.without(nil))
	err = l.db.WithTenant(ctx, tenant, func(tx pgx.Tx) error {
		pipeline := &pgx.Batch{}
		pipeline.Queue(insertBlocks, tenant, numbers, data)
		pipeline.Queue(insertHead, tenant)
		pipeline.Queue(lockHead, tenant)
		var base int64
		var lost []int64
		pipeline.Queue(insertObservations, args...).QueryRow(func(row pgx.Row) error {
			return row.Scan(&accepted, &superseded, &base, &lost)
		})
		if err := tx.SendBatch(ctx, pipeline).Close(); err != nil {
			return err
		}
		pages := allPages  // of this try: the transaction may be run again
		if len(lost) > 0 { // another import was first with some of them
			pages = termPages(b.without(lost))
		}
		return insertPages(ctx, tx, tenant, base, pages)
	})
	return accepted, superseded, err
}

// insertPages records what the documents behind base can be selected by.
func insertPages(ctx context.Context, tx pgx.Tx, tenant string, base int64, pages []termPage) error {
	if len(pages) == 0 {
		return nil
	}
	n := len(pages)
	axes, firsts, lasts, data, nth := make([]string, n), make([]string, n), make([]string, n), make([][]byte, n), make([]int16, n)
	for i, p := range pages {
		axes[i], firsts[i], lasts[i], data[i], nth[i] = p.axis, p.first, p.last, p.data, p.nth
	}
	_, err := tx.Exec(ctx, `
		insert into ledger_terms (tenant, axis, base, nth, first, last, data)
		select $1, p.axis, $2, p.nth, p.first, p.last, p.data
		from unnest($3::text[], $4::smallint[], $5::text[], $6::text[], $7::bytea[]) as p (axis, nth, first, last, data)`,
		tenant, base, axes, nth, firsts, lasts, data)
	return err
}

// without gives the documents but those at positions, from 1.
func (b *importBatch) without(positions []int64) (documents []*ledger.Observation) {
	left := make(map[int64]bool, len(positions))
	for _, n := range positions {
		left[n] = true
	}
	for i := range b.documents {
		if !left[int64(i)+1] {
			documents = append(documents, b.documents[i].Observation)
		}
	}
	return documents
}

// dropRecorded takes the revisions that are recorded out of the batch, and
// gives the number of the segment the others will be.
func (l *Ledger) dropRecorded(ctx context.Context, tenant string, b *importBatch) (segment int64, err error) {
	if len(b.documents) == 0 {
		return 0, nil
	}
	digests, identities := make([][]byte, len(b.documents)), make([][]byte, len(b.documents))
	for i, d := range b.documents {
		digests[i], identities[i] = d.Digest[:], d.identity[:]
	}
	var recorded []int64
	err = l.db.WithTenant(ctx, tenant, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, recordedQuery, tenant, digests, identities).Scan(&recorded, &segment)
	})
	if err != nil || len(recorded) == 0 {
		return segment, err
	}
	known := make(map[int64]bool, len(recorded))
	for _, n := range recorded {
		known[n-1] = true
	}
	kept := b.documents[:0]
	for i, d := range b.documents {
		if !known[int64(i)] {
			kept = append(kept, d)
		}
	}
	b.documents = kept
	return segment, nil
}

// recordedQuery asks document by document, in one look at the index each: "is
// true" keeps the planner from making a join with all of the tenant's rows.
const recordedQuery = `
select coalesce(array_agg(w.n) filter (where (exists (select from ledger_observations o
    where o.tenant = $1 and o.sha256 = w.sha256 and o.identity = w.identity)) is true), '{}'),
  nextval('ledger_segments')
from unnest($2::bytea[], $3::bytea[]) with ordinality as w (sha256, identity, n)`

// maxBatch bounds the documents of one call, so that who looks for a document's
// terms knows how far before it their page can begin.
const maxBatch = 1 << 16

const insertBlocks = `
insert into ledger_blocks (tenant, block, data)
select $1, b.block, b.data from unnest($2::bigint[], $3::bytea[]) as b (block, data)`

const insertHead = `insert into ledger_heads (tenant) values ($1) on conflict do nothing`

const lockHead = `select seq from ledger_heads where tenant = $1 for update`

// insertObservations runs under the head's lock. beaten says that an earlier
// document of the same batch is a greater revision. It gives the sequence before
// the first, and the positions of those that were recorded meanwhile.
//
// What is recorded of a document is asked document by document, in a look at an
// index that has the greatest revision first: the planner cannot make the limited subquery one join with all of
// the tenant's rows. Revisions that were current when they were recorded are a
// rising chain: each overtakes the one before it, and the first of a batch what
// stood: the greatest revision, or a removal that is greater (ledger.Removal).
const insertObservations = `
with batch as (
  select * from unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bytea[],
    $10::bytea[], $11::text[], $12::bigint[], $13::bigint[], $14::bigint[], $15::integer[], $16::smallint[], $17::bool[])
    with ordinality as b (project, kind, format, source, stream, upstream_id, modified, sha256,
      identity, subject, raw_bytes, canonical_bytes, block, slot, severities, beaten, n)
), numbered as (
  select b.*, h.seq + row_number() over (order by b.n) as seq,
    case when gone.modified >= best.modified then gone.seq else best.seq end as overtakes,
    b.beaten or coalesce((best.modified, best.sha256) > (b.modified, b.sha256), false)
      or coalesce(gone.modified >= b.modified, false) as superseded
  from batch b
  left join lateral (
    select o.seq, o.modified, o.sha256
    from ledger_observations o where o.tenant = $1 and o.identity = b.identity
    order by o.modified desc, o.sha256 desc limit 1) best on true
  left join lateral (
    select r.seq, r.modified
    from ledger_removals r where r.tenant = $1 and r.identity = b.identity
    order by r.modified desc limit 1) gone on true
  cross join (select seq from ledger_heads where tenant = $1) h
  where best.seq is null or (exists (select from ledger_observations o
    where o.tenant = $1 and o.sha256 = b.sha256 and o.identity = b.identity)) is not true
), chain as (
  select seq, overtakes, lead(seq) over same as next, row_number() over same as nth
  from numbered where not superseded
  window same as (partition by identity order by seq)
), recorded as (
  insert into ledger_observations (tenant, seq, project, kind, format, source, stream, upstream_id, modified, sha256,
    identity, subject, raw_bytes, canonical_bytes, block, slot, severities)
  select $1, seq, project, kind, format, source, stream, upstream_id, modified, sha256,
    identity, subject, raw_bytes, canonical_bytes, block, slot, severities
  from numbered order by seq
), overtaken as (
  insert into ledger_superseded (tenant, seq, by_seq)
  select $1, seq, seq from numbered where superseded
  union all select $1, seq, next from chain where next is not null
  union all select $1, overtakes, seq from chain where nth = 1 and overtakes is not null
), raised as (
  update ledger_heads set seq = ledger_heads.seq + (select count(*) from numbered)
  where tenant = $1 and exists (select from numbered)
), moment as (
  insert into ledger_moments (tenant, seq, at)
  select $1, max(seq), greatest($18::timestamptz, (select at from ledger_moments where tenant = $1 order by seq desc limit 1))
  from numbered having count(*) > 0
)
select count(*) filter (where not superseded), count(*) filter (where superseded), coalesce(min(seq), 1) - 1,
  array(select n from batch except select n from numbered)
from numbered`

// importDocument is a document of a batch.
type importDocument struct {
	*ledger.Observation
	identity [identitySize]byte
	beaten   bool // by an earlier document of the batch
	place    ledger.Place
}

// importBatch is a batch without its own duplicates, in the order it came in.
type importBatch struct {
	documents []importDocument
}

func newImportBatch(batch []ledger.Observation) *importBatch {
	type revision struct {
		identity [identitySize]byte
		digest   bundle.Digest
	}
	b := &importBatch{documents: make([]importDocument, 0, len(batch))}
	seen := make(map[revision]bool, len(batch))
	greatest := make(map[[identitySize]byte]*ledger.Observation, len(batch))
	for i := range batch {
		o := &batch[i]
		d := importDocument{Observation: o, identity: identityOf(o.Identity())}
		if r := (revision{d.identity, o.Digest}); seen[r] {
			continue
		} else {
			seen[r] = true
		}
		best, known := greatest[d.identity]
		d.beaten = known && ledger.Greater(*best, *o)
		if !known || !d.beaten {
			greatest[d.identity] = o
		}
		b.documents = append(b.documents, d)
	}
	return b
}

// pack packs the documents into blocks in the order of an export.
func (b *importBatch) pack(segment int64) ([]block, error) {
	order := make([]int, len(b.documents))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(x, y int) int {
		return compareKeys(b.documents[x].Observation, b.documents[y].Observation)
	})
	documents := make([]*ledger.Observation, len(order))
	for i, n := range order {
		documents[i] = b.documents[n].Observation
	}
	blocks, places, err := packBlocks(segment, documents)
	if err != nil {
		return nil, err
	}
	for i, n := range order {
		b.documents[n].place = places[i]
	}
	return blocks, nil
}

// compareKeys orders documents as an export does, and revisions of one by
// their digests.
func compareKeys(a, b *ledger.Observation) int {
	for _, pair := range [...][2]string{{string(a.Kind), string(b.Kind)}, {a.Subject, b.Subject},
		{a.UpstreamID, b.UpstreamID}, {a.Source, b.Source}, {a.Stream, b.Stream}} {
		if pair[0] != pair[1] {
			if pair[0] < pair[1] {
				return -1
			}
			return 1
		}
	}
	return bytes.Compare(a.Digest[:], b.Digest[:])
}
