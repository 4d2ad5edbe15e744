package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// LedgerRecord counts a tenant's ledger in one statement, so that an import
// is seen whole or not at all.
func (s *Survey) LedgerRecord(ctx context.Context, tenant string) (l storage.LedgerRecord, err error) {
	err = s.page(ctx, tenant, "the ledger", func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `
			select coalesce((select seq from ledger_heads where tenant = $1), 0),
				greatest(o.greatest, r.greatest, 0), o.count, r.count
			from (select max(seq) as greatest, count(*) as count from ledger_observations where tenant = $1) o,
				(select max(seq) as greatest, count(*) as count from ledger_removals where tenant = $1) r`, tenant).
			Scan(&l.Head, &l.Greatest, &l.Count, &l.Removals)
	})
	return l, err
}

// LostObservations calls yield with the sequence and the digest of every
// observation whose block is not there.
func (s *Survey) LostObservations(ctx context.Context, tenant string, yield func(seq int64, digest bundle.Digest) error) error {
	type observation struct {
		seq    int64
		digest bundle.Digest
	}
	return each(ctx, s, tenant, "observations", `
		select o.seq, o.sha256 from ledger_observations o
		where o.tenant = $1 and not exists (select from ledger_blocks b where b.tenant = o.tenant and b.block = o.block)
		order by o.seq`,
		func(row pgx.CollectableRow) (o observation, err error) {
			return o, row.Scan(&o.seq, (*digestColumn)(&o.digest))
		},
		func(o observation) error { return yield(o.seq, o.digest) })
}

// documentsQuery gives every block that observations name, the block of
// originals beside it, and which documents are in which slots.
const documentsQuery = `
select o.slots, o.digests, b.data, r.data
from (select block, array_agg(slot order by slot) as slots, array_agg(sha256 order by slot) as digests
  from ledger_observations where tenant = $1 group by block) o
join ledger_blocks b on b.tenant = $1 and b.block = o.block
left join ledger_blocks r on r.tenant = $1 and r.block = o.block + 1
order by o.block`

// blockRecord is a row of documentsQuery.
type blockRecord struct {
	slots   []int32
	digests [][]byte
	data    []byte
	raw     []byte // nil when all originals are their canonical forms
}

// Documents calls yield with every document's stored bytes, block by block.
// What cannot be read is yielded without bytes.
func (s *Survey) Documents(ctx context.Context, tenant string, yield func(storage.DocumentRecord) error) error {
	return each(ctx, s, tenant, "documents", documentsQuery,
		func(row pgx.CollectableRow) (b blockRecord, err error) {
			return b, row.Scan(&b.slots, &b.digests, &b.data, &b.raw)
		},
		func(b blockRecord) error {
			records, originals := slotsOf(b.data), slotsOf(b.raw)
			for i, slot := range b.slots {
				if err := yield(documentIn(b.digests[i], records[slot], originals[slot])); err != nil {
					return err
				}
			}
			return nil
		})
}

// slotsOf gives what is in a block, as far as it can be read.
func slotsOf(stored []byte) map[int32][]byte {
	slots := map[int32][]byte{}
	if stored == nil {
		return slots
	}
	content, err := openBlock(nil, stored)
	if err != nil {
		return slots
	}
	err = eachSlot(content, func(slot int32, record []byte) error {
		slots[slot] = record
		return nil
	})
	if err != nil {
		return map[int32][]byte{}
	}
	return slots
}

func documentIn(digest, record, original []byte) (d storage.DocumentRecord) {
	copy(d.Digest[:], digest)
	var line ledger.Line
	if record == nil || readRecord(record, &line) != nil {
		return d
	}
	if d.Raw = line.Canonical; len(original) > 0 {
		d.Raw, d.Canonical = original, line.Canonical
	}
	return d
}
