package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/storage"
)

// Dispatch sees, across tenants, which runs wait for somebody to act. It
// connects as a role of its own that can read their names and nothing else, so
// no mistake here can show one tenant's data to another. What it changes it
// changes as the service, inside one tenant's wall.
type Dispatch struct {
	db     *DB
	limits storage.Limits
}

var _ storage.Dispatch = (*Dispatch)(nil)

// NewDispatch makes the dispatcher's view, with the default limits; db must
// have been opened with Config.Dispatch.
func NewDispatch(db *DB) *Dispatch { return (&Dispatch{db: db}).Within(storage.Limits{}) }

// Within gives the same view with these limits. All processes of an
// installation must have the same.
func (d *Dispatch) Within(limits storage.Limits) *Dispatch {
	return &Dispatch{db: d.db, limits: limits.OrDefault()}
}

// waitingPerTenant bounds one tenant's part of a list, beside the head of its
// queue. What is beyond it follows when these have been acted on.
const waitingPerTenant = 64

// waits is the policy's own condition, so that its partial index serves all.
const waits = `(r.status = 'pending' or (r.cancel_requested_at is not null and r.status in ('pending', 'running', 'waiting'))
	or (r.status = 'waiting' and r.decision is not null))`

// waitingQuery steps from tenant to tenant through the index, whatever number
// of runs each of them has waiting, and reads a few of each.
const waitingQuery = `
with recursive names (tenant, n) as (
  (select r.tenant, 1 from export_runs r where r.tenant > $1 and ` + waits + ` order by r.tenant limit 1)
  union all
  select (select r.tenant from export_runs r where r.tenant > names.tenant and ` + waits + ` order by r.tenant limit 1), n + 1
  from names where names.tenant is not null and n < $2
)
select names.tenant, w.id, w.profile_id, w.queued, w.pending and not w.queued, w.cancelled, w.decided
from names cross join lateral (
  (select r.queue_seq, r.requested_at, r.id, r.profile_id, true as queued, true as pending, false as cancelled, false as decided
   from export_runs r where r.tenant = names.tenant and ` + waits + ` and r.cancel_requested_at is null
     and (r.status = 'pending' and r.dispatched_at is null
       or r.status = 'waiting' and r.decision = 'approved' and r.resumed_at is null)
   order by r.queue_seq, r.requested_at, r.id limit 1)
  union all
  (select r.queue_seq, r.requested_at, r.id, r.profile_id, false, r.status = 'pending', r.cancel_requested_at is not null,
     r.status = 'waiting' and r.decision is not null
   from export_runs r where r.tenant = names.tenant and ` + waits + `
     and (r.cancel_requested_at is not null or r.status = 'pending' and r.dispatched_at is not null
       or r.status = 'waiting' and (r.decision <> 'approved' or r.resumed_at is not null))
   order by r.queue_seq, r.requested_at, r.id limit $3)
) w
where names.tenant is not null
  and (w.cancelled or not exists (select from tenants t where t.tenant = names.tenant and t.state <> 'active'))
order by names.tenant, w.queue_seq, w.requested_at, w.id`

// Waiting lists what must be acted on; see storage.Dispatch.
func (d *Dispatch) Waiting(ctx context.Context, after string, tenants int) ([]storage.Waiting, error) {
	if d.db.dispatch == nil {
		return nil, errors.New("list waiting runs: no connection string for the dispatcher (database.dispatch)")
	}
	rows, err := d.db.dispatch.Query(ctx, waitingQuery, after, tenants, waitingPerTenant)
	if err != nil {
		return nil, fmt.Errorf("list waiting runs: %w", classify("query", err))
	}
	waiting, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w storage.Waiting, err error) {
		return w, row.Scan(&w.Ref.Tenant, &w.Ref.RunID, &w.ProfileID, &w.Queued, &w.Pending, &w.Cancel, &w.Decided)
	})
	if err != nil {
		return nil, fmt.Errorf("list waiting runs: %w", classify("query", err))
	}
	return waiting, nil
}
