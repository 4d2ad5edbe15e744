package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/storage"
)

// today is the day by the database's clock.
const today = `(clock_timestamp() at time zone 'UTC')::date`

// countUsage counts, from the runs of tenant $1, what export_usage says of each profile
// and, under ” , of all. A row that is not there has today for its day; runs of a
// later day than the row's are in its count, where they are not expected.
const countUsage = `
counted as (
  select coalesce(profile_id, '') as profile_id,
    coalesce(sum(archive_bytes) filter (where status in ('succeeded', 'partial')), 0)::bigint as bytes,
    count(*) filter (where ` + holdsSlot + `) as active,
    case when bool_or(quota_active = 0) filter (where ` + holdsSlot + `) then 0
      else coalesce(max(quota_active) filter (where ` + holdsSlot + `), 0) end as bound
  from export_runs where tenant = $1 group by grouping sets ((), (profile_id))
), kept as (
  select * from export_usage where tenant = $1
), counted_days as (
  select r.profile_id, count(*) as n from export_runs r left join kept u on u.profile_id = r.profile_id
  where r.tenant = $1 and r.counted_on >= coalesce(u.day, ` + today + `) and r.rebuild_of is null group by r.profile_id
  union all
  select '', count(*) from export_runs r
  where r.tenant = $1 and r.counted_on >= coalesce((select day from kept where profile_id = ''), ` + today + `)
), usages as (
  select profile_id, u.day, u.runs, u.bytes, u.record_bytes, c.bytes as counted_bytes, c.active, c.bound, coalesce(d.n, 0) as counted_runs,
    case when profile_id <> '' then 0 else
      (select coalesce(sum(octet_length(record)), 0)::bigint from orchestrator_exports o where o.tenant = $1) end as counted_records
  from kept u full join counted c using (profile_id) left join counted_days d using (profile_id)
)`

// UsageRecords counts a tenant's use of its quotas in one statement.
func (s *Survey) UsageRecords(ctx context.Context, tenant string) (found []storage.UsageRecord, err error) {
	err = s.page(ctx, tenant, "the use of quotas", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "with "+countUsage+`
			select profile_id, coalesce(runs, 0), coalesce(bytes, 0), counted_runs, coalesce(counted_bytes, 0), coalesce(active, 0), coalesce(bound, 0),
				coalesce(record_bytes, 0), counted_records
			from usages order by profile_id`, tenant)
		if err != nil {
			return err
		}
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (u storage.UsageRecord, err error) {
			return u, row.Scan(&u.Profile, &u.Runs, &u.Bytes, &u.CountedRuns, &u.CountedBytes, &u.Active, &u.Bound, &u.Records, &u.CountedRecords)
		})
		return err
	})
	return found, err
}

// CountUsage counts again, under the locks under which runs are asked for and end.
func (r *Repair) CountUsage(ctx context.Context, tenant string) (done bool, err error) {
	err = r.db.WithTenant(ctx, tenant, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockQueue, tenant); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, "select from export_usage where tenant = $1 order by profile_id for update", tenant); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, "with "+countUsage+`
			insert into export_usage as u (tenant, profile_id, day, runs, bytes, record_bytes)
			select $1, profile_id, coalesce(day, `+today+`), counted_runs, coalesce(counted_bytes, 0), counted_records
			from usages
			where (coalesce(runs, 0), coalesce(bytes, 0), coalesce(record_bytes, 0)) <> (counted_runs, coalesce(counted_bytes, 0), counted_records)
			on conflict (tenant, profile_id) do update set runs = excluded.runs, bytes = excluded.bytes, record_bytes = excluded.record_bytes`, tenant)
		done = tag.RowsAffected() > 0
		return err
	})
	if err != nil {
		return false, fmt.Errorf("count the use of quotas of %s: %w", tenant, err)
	}
	return done, nil
}
