package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// A tenant's runs are counted under the lock of its row in export_queues, by a
// statement after the one that took it: only that sees what the previous
// holder committed. So two requests, or two dispatchers, never both take the
// last slot.

// place is where a new run stands in its tenant's queue.
type place struct {
	number int64
	slot   bool // it need not wait
}

// holdsSlot is the condition of a run that works, or will as soon as Temporal
// has heard of it.
const holdsSlot = `(status = 'running' or (status = 'pending' and dispatched_at is not null))`

// queued is the condition of a run that waits for a slot. One that is to be
// cancelled needs none: its workflow ends it before the first step.
const queued = `(status = 'pending' and dispatched_at is null and cancel_requested_at is null)`

const takeNumber = `
insert into export_queues as q (tenant, seq) values ($1, 1)
on conflict (tenant) do update set seq = q.seq + 1 returning seq`

const countRuns = `
select count(*) filter (where ` + holdsSlot + `), count(*) filter (where ` + queued + `)
from export_runs where tenant = $1 and status in ('pending', 'running')`

// takePlace gives a new run its place. The tenant's queue is locked until the
// transaction ends; when it is full, nothing is written.
func takePlace(ctx context.Context, tx pgx.Tx, tenant string, limits storage.Limits) (p place, err error) {
	batch := &pgx.Batch{}
	batch.Queue(takeNumber, tenant).QueryRow(func(row pgx.Row) error { return row.Scan(&p.number) })
	var active, waiting int
	batch.Queue(countRuns, tenant).QueryRow(func(row pgx.Row) error { return row.Scan(&active, &waiting) })
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return p, err
	}
	if p.slot = waiting == 0 && active < limits.Active; !p.slot && waiting >= limits.Pending {
		return p, &export.Error{
			Code: export.CodeConcurrency, Class: export.ClassQuota, Err: &storage.QueueFull{Limit: limits.Pending},
			Message: fmt.Sprintf("%d runs of this tenant wait for one of %d slots already; ask again when some have ended, or cancel some",
				waiting, limits.Active),
		}
	}
	return p, nil
}

// closed is the condition of a tenant whose runs do not start.
const closed = `exists (select from tenants where tenant = $1 and state <> 'active')`

// hasTurn asks, without a lock, whether Claim would find something: it is
// asked often while a queue is there, and writes nothing.
const hasTurn = `
select count(*) filter (where ` + holdsSlot + `) < $2 and bool_or(` + queued + `) and not ` + closed + `
from export_runs where tenant = $1 and status in ('pending', 'running')`

const lockQueue = `
insert into export_queues as q (tenant, seq) values ($1, 0)
on conflict (tenant) do update set seq = q.seq`

const giveOut = `
with free as (
  select case when ` + closed + ` then 0 else greatest(0, $2 - count(*)) end as slots from export_runs where tenant = $1 and status in ('pending', 'running') and ` + holdsSlot + `
), given as (
  update export_runs set dispatched_at = $3
  where tenant = $1 and ` + queued + ` and id in (
    select id from export_runs where tenant = $1 and ` + queued + `
    order by queue_seq, requested_at, id limit (select slots from free))
  returning id, profile_id, queue_seq, requested_at
)
select id, profile_id from given order by queue_seq, requested_at, id`

// Claim gives out a tenant's next runs; see storage.Dispatch.
func (d *Dispatch) Claim(ctx context.Context, tenant string, at time.Time) ([]storage.Waiting, error) {
	var turn *bool
	err := d.db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, hasTurn, tenant, d.limits.Active).Scan(&turn)
	})
	var given []storage.Waiting
	if err == nil && turn != nil && *turn {
		err = d.db.WithTenant(ctx, tenant, func(tx pgx.Tx) error {
			given, err = giveRuns(ctx, tx, tenant, d.limits.Active, at)
			return err
		})
	}
	if err != nil {
		return nil, fmt.Errorf("give out runs of %s: %w", tenant, err)
	}
	return given, nil
}

func giveRuns(ctx context.Context, tx pgx.Tx, tenant string, slots int, at time.Time) ([]storage.Waiting, error) {
	if _, err := tx.Exec(ctx, lockQueue, tenant); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, giveOut, tenant, slots, at)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (storage.Waiting, error) {
		w := storage.Waiting{Ref: export.Ref{Tenant: tenant}, Pending: true}
		return w, row.Scan(&w.Ref.RunID, &w.ProfileID)
	})
}
