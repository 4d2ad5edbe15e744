package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/storage"
)

// Audit keeps the record of who did what.
type Audit struct{ db *DB }

var _ storage.Audit = (*Audit)(nil)

// NewAudit makes the record.
func NewAudit(db *DB) *Audit { return &Audit{db: db} }

// lockChain makes the chain when it is new, and holds its end.
const lockChain = `
insert into audit_heads as h (tenant, seq, hash) values ($1, 0, $2)
on conflict (tenant) do update set seq = h.seq returning seq, hash`

const appendEntries = `
insert into audit_entries (tenant, seq, at, event, subject, operation, project, line)
select $1, * from unnest($2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])`

// Append adds entries to a chain; see storage.Audit.
func (a *Audit) Append(ctx context.Context, tenant string, entries []audit.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	err := a.db.withChain(ctx, tenant, func(tx pgx.Tx) error {
		var end audit.Link
		genesis := audit.Genesis(tenant)
		var hash []byte
		if err := tx.QueryRow(ctx, lockChain, tenant, genesis[:]).Scan(&end.Seq, &hash); err != nil {
			return err
		}
		end.Hash = bundle.Digest(hash)
		rows, end, err := chained(tenant, end, entries)
		if err != nil {
			return err
		}
		batch := &pgx.Batch{}
		batch.Queue(appendEntries, tenant, rows.seq, rows.at, rows.event, rows.subject, rows.operation, rows.project, rows.line)
		batch.Queue("update audit_heads set seq = $2, hash = $3 where tenant = $1", tenant, end.Seq, end.Hash[:])
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return fmt.Errorf("append to the audit record: %w", err)
	}
	return nil
}

// auditColumns are entries, a slice for each column.
type auditColumns struct {
	seq                                      []int64
	at                                       []time.Time
	event, subject, operation, project, line []string
}

func chained(tenant string, end audit.Link, entries []audit.Entry) (rows auditColumns, _ audit.Link, _ error) {
	for _, e := range entries {
		e.Tenant = tenant
		line, next, err := end.Next(e)
		if err != nil {
			return rows, end, err
		}
		end = next
		rows.seq = append(rows.seq, end.Seq)
		rows.at = append(rows.at, e.At.UTC())
		rows.event = append(rows.event, string(e.Event))
		rows.subject = append(rows.subject, storable(e.Subject))
		rows.operation = append(rows.operation, storable(e.Operation))
		rows.project = append(rows.project, projectColumn(e.Project))
		rows.line = append(rows.line, string(line))
	}
	return rows, end, nil
}

// auditScan bounds how many entries a page looks at, so that a filter which
// matches little costs no more than one that matches much.
const auditScan = 20_000

const auditPage = `
select seq, line from audit_entries
where tenant = $1 and seq > $2 and seq <= $3
  and ($4::timestamptz is null or at >= $4) and ($5::timestamptz is null or at < $5)
  and ($6 = '' or subject = $6) and ($7 = '' or operation = $7) and ($8 = '' or event = $8)
  and ($9 = '' or project = $9)
order by seq limit $10`

// Entries gives a page of a chain; see storage.Audit.
func (a *Audit) Entries(ctx context.Context, tenant string, f storage.AuditFilter) (rows []storage.AuditRow, scanned int64, err error) {
	err = a.db.readChain(ctx, tenant, func(tx pgx.Tx) error {
		var last int64
		err := tx.QueryRow(ctx, "select seq from audit_heads where tenant = $1", tenant).Scan(&last)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		until := last
		if last-f.After > auditScan {
			until = f.After + auditScan
		}
		found, err := tx.Query(ctx, auditPage, tenant, f.After, until, moment(f.From), moment(f.To),
			storable(f.Subject), storable(f.Operation), string(f.Event), f.Project, f.Limit)
		if err != nil {
			return err
		}
		rows, err = pgx.CollectRows(found, auditRow)
		if until < last && len(rows) < f.Limit {
			scanned = until
		}
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read the audit record: %w", err)
	}
	return rows, scanned, nil
}

func auditRow(row pgx.CollectableRow) (storage.AuditRow, error) {
	var r storage.AuditRow
	err := row.Scan(&r.Seq, &r.Line)
	r.Hash = audit.Hash(r.Line)
	return r, err
}

// moment is a time as a parameter: null for none.
func moment(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

// Checkpoint gives the last checkpoint of a chain; see storage.Audit.
func (a *Audit) Checkpoint(ctx context.Context, tenant string) (c storage.SignedCheckpoint, err error) {
	err = a.db.readChain(ctx, tenant, func(tx pgx.Tx) error {
		var line []byte
		err := tx.QueryRow(ctx, `
			select c.seq, c.envelope, e.line from audit_checkpoints c join audit_entries e on e.tenant = c.tenant and e.seq = c.seq
			where c.tenant = $1 order by c.seq desc limit 1`, tenant).Scan(&c.Seq, &c.Envelope, &line)
		c.Hash = audit.Hash(line)
		return err
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = storage.ErrNotFound
	}
	if err != nil {
		return c, fmt.Errorf("read the audit checkpoint: %w", err)
	}
	return c, nil
}
