package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/storage"
)

// LedgerRecord counts a tenant's ledger in one statement, so that an import
// is seen whole or not at all.
func (s *Survey) LedgerRecord(ctx context.Context, tenant string) (l storage.LedgerRecord, err error) {
	err = s.page(ctx, tenant, "the ledger", func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `
			select coalesce((select seq from ledger_heads where tenant = $1), 0),
				coalesce(max(seq), 0), count(*), (select count(*) from ledger_contents where tenant = $1)
			from ledger_observations where tenant = $1`, tenant).Scan(&l.Head, &l.Greatest, &l.Count, &l.Documents)
	})
	return l, err
}

// LostObservations calls yield with the sequence and the digest of every
// observation whose document is not there.
func (s *Survey) LostObservations(ctx context.Context, tenant string, yield func(seq int64, digest bundle.Digest) error) error {
	type observation struct {
		seq    int64
		digest bundle.Digest
	}
	return each(ctx, s, tenant, "observations", `
		select o.seq, o.sha256 from ledger_observations o
		where o.tenant = $1 and not exists (select from ledger_contents c where c.tenant = o.tenant and c.sha256 = o.sha256)
		order by o.seq`,
		func(row pgx.CollectableRow) (o observation, err error) {
			return o, row.Scan(&o.seq, (*digestColumn)(&o.digest))
		},
		func(o observation) error { return yield(o.seq, o.digest) })
}

// documentsAtOnce bounds one page of documents.
const documentsAtOnce = 500

// Documents calls yield with every document's stored bytes, by digest.
func (s *Survey) Documents(ctx context.Context, tenant string, yield func(storage.DocumentRecord) error) error {
	after, seen := []byte{}, documentsAtOnce
	for seen == documentsAtOnce {
		seen = 0
		err := each(ctx, s, tenant, "documents", `
			select sha256, raw, canonical from ledger_contents
			where tenant = $1 and sha256 > $2 order by sha256 limit $3`,
			func(row pgx.CollectableRow) (d storage.DocumentRecord, err error) {
				return d, row.Scan((*digestColumn)(&d.Digest), &d.Raw, &d.Canonical)
			},
			func(d storage.DocumentRecord) error {
				seen++
				after = d.Digest[:]
				return yield(d)
			}, after, documentsAtOnce)
		if err != nil {
			return err
		}
	}
	return nil
}
