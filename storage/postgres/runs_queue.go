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
	slot   bool      // it need not wait
	day    time.Time // it counts for
}

// holdsSlot is the condition of a run that works, or will as soon as Temporal
// has heard of it.
const holdsSlot = `(status = 'running' or (status = 'pending' and dispatched_at is not null)
	or (status = 'waiting' and resumed_at is not null))`

// queued is the condition of a run that waits for a slot: a new one, or one that waited
// for an approval and has it. One that is to be cancelled needs none: its workflow
// ends it before the next step.
const queued = `(cancel_requested_at is null and (status = 'pending' and dispatched_at is null
	or status = 'waiting' and decision = 'approved' and resumed_at is null))`

const takeNumber = `
insert into export_queues as q (tenant, seq) values ($1, 1)
on conflict (tenant) do update set seq = q.seq + 1 returning seq`

// ready are the runs that wait for nothing but a slot, with those before them: $1 is
// the tenant. A run of a profile with a bound on runs at work also waits for that, and
// runs of other profiles go past it; within a profile nobody goes past anybody,
// whatever the bounds of their revisions.
const ready = `
working as (
  select id, profile_id, queue_seq, requested_at, nullif(quota_active, 0) as bound, ` + holdsSlot + ` as holds, ` + queued + ` as waits
  from export_runs where tenant = $1 and (status in ('pending', 'running') or status = 'waiting' and decision = 'approved')
), at_work as (
  select profile_id, count(*) as n from working where holds group by profile_id
), ranked as (
  select w.id, w.queue_seq, w.requested_at, coalesce(a.n, 0) + row_number() over mine as place, min(w.bound) over mine as bound
  from working w left join at_work a using (profile_id) where w.waits
  window mine as (partition by w.profile_id order by w.queue_seq, w.requested_at, w.id)
), ready as (
  select id, queue_seq, requested_at from ranked where bound is null or place <= bound
)`

// countRuns counts for a new run of profile $2 that bounds its runs at work to $3, 0 =
// not at all: is it ready when it is behind all others?
const countRuns = `
with ` + ready + `
select count(*) filter (where holds), count(*) filter (where waits), (select count(*) from ready),
  count(*) filter (where waits and profile_id = $2 and bound is not null) = 0
    and ($3 = 0 or count(*) filter (where profile_id = $2 and (holds or waits)) < $3)
from working`

// takePlace gives a new run its place. The tenant's queue is locked until the
// transaction ends; when it is full, nothing is written.
func takePlace(ctx context.Context, tx pgx.Tx, run export.Run, limits storage.Limits) (p place, err error) {
	batch := &pgx.Batch{}
	batch.Queue(takeNumber, run.Tenant).QueryRow(func(row pgx.Row) error { return row.Scan(&p.number) })
	var active, pending, waiting int
	var mayWork bool
	batch.Queue(countRuns, run.Tenant, run.ProfileID, run.Quotas.MaxConcurrentRuns).QueryRow(func(row pgx.Row) error {
		return row.Scan(&active, &pending, &waiting, &mayWork)
	})
	var u used
	queueUse(batch, run, &u)
	if err := tx.SendBatch(ctx, batch).Close(); err != nil {
		return p, err
	}
	p.day = u.tenant.day
	if err := u.within(run, limits); err != nil {
		return p, err
	}
	if p.slot = waiting == 0 && mayWork && active < limits.Active; !p.slot && pending >= limits.Pending {
		return p, &export.Error{
			Code: export.CodeConcurrency, Class: export.ClassQuota, Err: &storage.QueueFull{Limit: limits.Pending},
			Message: fmt.Sprintf("%d runs of this tenant wait for one of %d slots already; ask again when some have ended, or cancel some",
				pending, limits.Active),
		}
	}
	return p, nil
}

// closed is the condition of a tenant whose runs do not start.
const closed = `exists (select from tenants where tenant = $1 and state <> 'active')`

// hasTurn asks, without a lock, whether Claim would find something: it is
// asked often while a queue is there, and writes nothing.
const hasTurn = `
with ` + ready + `
select count(*) filter (where holds) < $2 and exists (select from ready) and not ` + closed + ` from working`

const lockQueue = `
insert into export_queues as q (tenant, seq) values ($1, 0)
on conflict (tenant) do update set seq = q.seq`

const giveOut = `
with ` + ready + `, free as (
  select case when ` + closed + ` then 0 else greatest(0, $2 - count(*)) end as slots from working where holds
), given as (
  update export_runs set dispatched_at = coalesce(dispatched_at, $3), resumed_at = case when status = 'waiting' then $3 end
  where tenant = $1 and ` + queued + ` and id in (
    select id from ready order by queue_seq, requested_at, id limit (select slots from free))
  returning id, profile_id, status, queue_seq, requested_at
)
select id, profile_id, status = 'pending', status = 'waiting' from given order by queue_seq, requested_at, id`

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
		w := storage.Waiting{Ref: export.Ref{Tenant: tenant}}
		return w, row.Scan(&w.Ref.RunID, &w.ProfileID, &w.Pending, &w.Decided)
	})
}
