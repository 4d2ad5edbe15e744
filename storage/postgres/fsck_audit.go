package postgres

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// scanReport reads a row of untoldIn.
func scanReport(row pgx.CollectableRow) (r struct {
	project, key, run, record string
	at                        time.Time
}, err error) {
	return r, row.Scan(&r.project, &r.key, &r.run, &r.record, &r.at)
}

// ChainRecord counts an audit record in one statement.
func (s *Survey) ChainRecord(ctx context.Context, chain string) (c storage.ChainRecord, err error) {
	err = s.chain(ctx, chain, func(tx pgx.Tx) error {
		var hash []byte
		var unsigned *time.Time
		err := tx.QueryRow(ctx, `
			select coalesce(h.seq, 0), coalesce(h.hash, ''), coalesce(h.signed_seq, 0), e.count, e.first, e.last,
				(select n.at from audit_entries n where n.tenant = $1 and n.seq > coalesce(h.signed_seq, 0) order by n.seq limit 1)
			from (select count(*) as count, coalesce(min(seq), 0) as first, coalesce(max(seq), 0) as last from audit_entries where tenant = $1) e
			left join audit_heads h on h.tenant = $1`, chain).
			Scan(&c.Head.Seq, &hash, &c.Signed, &c.Count, &c.First, &c.Last, &unsigned)
		copy(c.Head.Hash[:], hash)
		c.Unsigned = timeOf(unsigned)
		return err
	})
	return c, err
}

// ChainEntries calls yield with every entry of an audit record, in order.
func (s *Survey) ChainEntries(ctx context.Context, chain string, yield func(seq int64, line []byte) error) error {
	const page = 1000
	for after := int64(0); ; {
		var rows []storage.AuditRow
		err := s.chain(ctx, chain, func(tx pgx.Tx) error {
			found, err := tx.Query(ctx, "select seq, line from audit_entries where tenant = $1 and seq > $2 order by seq limit $3", chain, after, page)
			if err != nil {
				return err
			}
			rows, err = pgx.CollectRows(found, auditRow)
			return err
		})
		if err != nil {
			return err
		}
		for _, r := range rows {
			if err := yield(r.Seq, r.Line); err != nil {
				return err
			}
			after = r.Seq
		}
		if len(rows) < page {
			return nil
		}
	}
}

// Checkpoints calls yield with every checkpoint of an audit record, and the hash of
// the entry that it is about.
func (s *Survey) Checkpoints(ctx context.Context, chain string, yield func(storage.SignedCheckpoint) error) error {
	const page = 1000
	for after := int64(0); ; {
		var found []storage.SignedCheckpoint
		err := s.chain(ctx, chain, func(tx pgx.Tx) error {
			rows, err := tx.Query(ctx, `select c.seq, c.envelope, coalesce(e.line, '') from audit_checkpoints c left join audit_entries e on e.tenant = c.tenant and e.seq = c.seq
				where c.tenant = $1 and c.seq > $2 order by c.seq limit $3`, chain, after, page)
			if err != nil {
				return err
			}
			found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (c storage.SignedCheckpoint, err error) {
				var line []byte
				err = row.Scan(&c.Seq, &c.Envelope, &line)
				c.Hash = audit.Hash(line)
				return c, err
			})
			return err
		})
		if err != nil {
			return err
		}
		for _, c := range found {
			if err := yield(c); err != nil {
				return err
			}
			after = c.Seq
		}
		if len(found) < page {
			return nil
		}
	}
}

// chain runs fn once in a read-only transaction of a tenant or the installation.
func (s *Survey) chain(ctx context.Context, chain string, fn func(tx pgx.Tx) error) error {
	err := s.db.readChain(ctx, chain, fn)
	if err != nil {
		err = errors.Join(errors.New("look at the audit record of "+chain), err)
	}
	return err
}

// DepartureRecord says how far a tenant's offboarding is, and what is left of one that
// has ended.
func (s *Survey) DepartureRecord(ctx context.Context, tenant string) (d storage.DepartureRecord, err error) {
	err = s.page(ctx, tenant, "the offboarding", func(tx pgx.Tx) error {
		var begun, changed *time.Time
		err := tx.QueryRow(ctx, `select t.state, o.begun_at, o.changed_at, coalesce(o.record, '')
			from tenants t left join offboardings o on o.tenant = t.tenant where t.tenant = $1`, tenant).
			Scan(&d.State, &begun, &changed, &d.Record)
		if err != nil {
			return err
		}
		d.Begun, d.Changed = timeOf(begun), timeOf(changed)
		if d.State != export.TenantOffboarded {
			return nil
		}
		for _, table := range slices.Sorted(slices.Values(offboardedTables)) {
			var left bool
			if err := tx.QueryRow(ctx, "select exists (select from "+pgx.Identifier{table}.Sanitize()+" where tenant = $1)", tenant).Scan(&left); err != nil {
				return err
			}
			if left {
				d.Left = append(d.Left, table)
			}
		}
		return nil
	})
	return d, err
}
