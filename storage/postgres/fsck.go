package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Survey reads what fsck compares, and writes nothing. It sees a tenant's rows
// from inside that tenant's wall; only the list of names comes from the
// dispatcher's role (docs/decisions/0004).
//
// Long tables are read in pages, each in a transaction of its own, so that
// looking at a million rows keeps no old row versions alive.
type Survey struct{ db *DB }

// NewSurvey makes fsck's view; db must have been opened with Config.Dispatch.
func NewSurvey(db *DB) *Survey { return &Survey{db: db} }

// Tenants lists every tenant that ever had a run or a document, sorted.
func (s *Survey) Tenants(ctx context.Context) ([]string, error) {
	if s.db.dispatch == nil {
		return nil, errors.New("list tenants: no connection string for the dispatcher (database.dispatch)")
	}
	rows, err := s.db.dispatch.Query(ctx, "select tenant from tenants order by tenant")
	var names []string
	if err == nil {
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if state(err, "42P01") {
		return nil, errors.New("list tenants: the database is of an older version; run `exportcenter migrate` first")
	}
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", classify("query", err))
	}
	return names, nil
}

// RunRecords gives up to limit runs with ids after the given one, by id. Each
// run is seen whole: its row, journal and outbox at one moment.
func (s *Survey) RunRecords(ctx context.Context, tenant, after string, limit int) ([]storage.RunRecord, error) {
	var runs []storage.RunRecord
	err := s.page(ctx, tenant, "runs", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, runRecords, tenant, after, limit, bundle.SealPath)
		if err != nil {
			return err
		}
		runs, err = pgx.CollectRows(rows, scanRunRecord)
		return err
	})
	return runs, err
}

// A run that waits for a slot lives as long as its queue moves.
const runRecords = `
with queue as (
  select max(greatest(dispatched_at, resumed_at)) as moved from export_runs where tenant = $1 and status in ('pending', 'running', 'waiting')
)
select r.id, r.status, greatest(r.requested_at, r.dispatched_at, r.started_at, e.at,
    case when r.status = 'pending' and r.dispatched_at is null or r.status = 'waiting' then (select moved from queue) end), r.completed_at,
  r.event_seq, e.events, e.first, e.last, e.ends,
  array(select o.event_type from export_outbox o where o.tenant = r.tenant and o.run_id = r.id order by o.event_type),
  array(select o.event_id from export_outbox o where o.tenant = r.tenant and o.run_id = r.id order by o.event_type),
  array(select o.seq from export_outbox o where o.tenant = r.tenant and o.run_id = r.id order by o.event_type),
  array(select o.payload from export_outbox o where o.tenant = r.tenant and o.run_id = r.id order by o.event_type),
  r.shards, r.records, r.bytes, r.shards_done, r.records_done, r.bytes_done,
  i.shards, i.records, i.bytes, i.shards_done, i.records_done, i.bytes_done,
  r.archive_digest,
  array(select 'sha256:' || encode(d.digest, 'hex') from export_distributions d where d.tenant = r.tenant and d.run_id = r.id order by 1),
  exists (select from export_files f where f.tenant = r.tenant and f.run_id = r.id and f.path = $4),
  (select count(*) from blob_pins p where p.tenant = r.tenant and p.run_id = r.id),
  r.waiting_since, r.waiting_until, r.decision, r.decided_at, r.resumed_at,
  exists (select from export_guards g where g.tenant = r.tenant and g.run_id = r.id and g.parked), r.rebuild_of is not null
from export_runs r cross join lateral (
  select count(*) as events, coalesce(min(e.seq), 0) as first, coalesce(max(e.seq), 0) as last, max(e.at) as at,
    coalesce(array_agg(e.event_type order by e.seq)
      filter (where e.event_type in ('run.succeeded', 'run.failed', 'run.aborted')), '{}') as ends
  from export_events e where e.tenant = r.tenant and e.run_id = r.id) e
cross join lateral (` + countShards + `
  from export_inputs i where i.tenant = r.tenant and i.run_id = r.id) i
where r.tenant = $1 and r.id > $2 order by r.id limit $3`

// countShards counts a plan's shards i, and those that are packed.
const countShards = `
  select count(*) as shards, coalesce(sum(i.count), 0)::bigint as records, coalesce(sum(i.bytes), 0)::bigint as bytes,
    count(i.result_digest) as shards_done,
    coalesce(sum(i.count) filter (where i.result_digest is not null), 0)::bigint as records_done,
    coalesce(sum(i.bytes) filter (where i.result_digest is not null), 0)::bigint as bytes_done`

func scanRunRecord(row pgx.CollectableRow) (r storage.RunRecord, err error) {
	var completed *time.Time
	var events []export.Transition
	var ids, payloads []string
	var seqs []int64
	var wait runRow
	p, c := &r.Progress, &r.Counted
	err = row.Scan(&r.ID, &r.State, &r.LastSign, &completed, &r.Counter, &r.Events, &r.FirstEvent, &r.LastEvent, &r.Ends,
		&events, &ids, &seqs, &payloads,
		&p.Shards, &p.Records, &p.Bytes, &p.ShardsDone, &p.RecordsDone, &p.BytesDone,
		&c.Shards, &c.Records, &c.Bytes, &c.ShardsDone, &c.RecordsDone, &c.BytesDone,
		&r.ArchiveDigest, &r.Delivered, &r.Sealed, &r.Pins,
		&wait.waitingSince, &wait.waitingUntil, &wait.decision, &wait.decidedAt, &wait.resumedAt, &r.Guarded, &r.Rebuild)
	for i := range events {
		r.Outbox = append(r.Outbox, storage.OutboxRecord{Event: events[i], ID: ids[i], Seq: seqs[i], Payload: payloads[i]})
	}
	r.LastSign, r.CompletedAt, r.Wait = r.LastSign.UTC(), timeOf(completed), wait.wait()
	return r, err
}

// QueueRecord counts a tenant's runs in one statement, so that a request is
// seen whole or not at all.
func (s *Survey) QueueRecord(ctx context.Context, tenant string) (q storage.QueueRecord, err error) {
	err = s.page(ctx, tenant, "the queue", func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `
			select coalesce((select seq from export_queues where tenant = $1), 0), coalesce(max(queue_seq), 0),
				count(distinct queue_seq) filter (where queue_seq > 0), count(*) filter (where `+holdsSlot+`)
			from export_runs where tenant = $1`, tenant).Scan(&q.Last, &q.Greatest, &q.Count, &q.Active)
	})
	return q, err
}

// page runs fn once in a read-only transaction of tenant.
func (s *Survey) page(ctx context.Context, tenant, what string, fn func(tx pgx.Tx) error) error {
	if err := s.db.readTenant(ctx, tenant, fn); err != nil {
		return fmt.Errorf("look at %s of %s: %w", what, tenant, err)
	}
	return nil
}

// each calls yield with every row of a query, in a transaction of its own.
func each[T any](ctx context.Context, s *Survey, tenant, what, query string,
	scan func(row pgx.CollectableRow) (T, error), yield func(T) error, args ...any) error {
	return s.page(ctx, tenant, what, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, query, append([]any{tenant}, args...)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			record, err := scan(rows)
			if err != nil {
				return err
			}
			if err := yield(record); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}
