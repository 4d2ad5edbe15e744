package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// usage is what is used of a tenant's or a profile's quotas, a new run included.
type usage struct {
	day   time.Time
	runs  int64 // asked for on that day
	bytes int64 // of bundles that are kept
	left  time.Duration
}

// useDay counts a new run for the tenant, and for its profile. The day is that of the
// database's clock, so all processes have one; should that clock be set back, the day
// lasts longer. A refused request leaves no trace: its transaction is rolled back.
// A rebuild ($3) counts for the tenant alone: no bound of a profile is a bound of it.
const useDay = `
insert into export_usage as u (tenant, profile_id, day, runs)
select $1, p, ` + today + `, 1 from unnest(array['', $2::text]) p where p = '' or not $3 order by p collate "C"
on conflict (tenant, profile_id) do update set
  runs = case when excluded.day > u.day then 1 else u.runs + 1 end, day = greatest(u.day, excluded.day)
returning profile_id = '', day, runs, bytes, (day + 1)::timestamp - (clock_timestamp() at time zone 'UTC')`

const readQuotas = `select max_runs_per_day, max_bytes from tenants where tenant = $1`

// used are both usages, and what the tenant may use.
type used struct {
	tenant, profile usage
	quotas          export.TenantQuotas
}

// queueUse adds to a batch what counts a run and reads into u.
func queueUse(batch *pgx.Batch, run export.Run, u *used) {
	batch.Queue(useDay, run.Tenant, run.ProfileID, run.RebuildOf != "").Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var ofTenant bool
			var row usage
			if err := rows.Scan(&ofTenant, &row.day, &row.runs, &row.bytes, &row.left); err != nil {
				return err
			}
			if ofTenant {
				u.tenant = row
			} else {
				u.profile = row
			}
		}
		return rows.Err()
	})
	batch.Queue(readQuotas, run.Tenant).Query(func(rows pgx.Rows) error {
		for rows.Next() { // none before the tenant's first run or document
			if err := rows.Scan(&u.quotas.RunsPerDay, &u.quotas.Bytes); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// within says which quota a new run is beyond.
func (u used) within(run export.Run, limits storage.Limits) error {
	if bound := u.quotas.RunsOf(limits.RunsPerDay); bound > 0 && u.tenant.runs > int64(bound) {
		return dayUsed(u.tenant, int64(bound), "this tenant has asked for its %d runs of today",
			"or ask the administrator of this installation for more")
	}
	if bound := run.Quotas.MaxRunsPerDay; bound > 0 && u.profile.runs > int64(bound) {
		return dayUsed(u.profile, int64(bound), "profile "+run.ProfileName+" has made its %d runs of today (its quotas.maxRunsPerDay)",
			"or raise the bound in a new revision of the profile")
	}
	return bytesUsed(u.tenant.bytes, u.quotas.BytesOf(limits.Bytes))
}

func dayUsed(u usage, bound int64, what, or string) error {
	left := max(u.left, time.Second)
	return &export.Error{
		Code: export.CodeQuota, Class: export.ClassQuota, Err: &storage.QuotaReached{Limit: bound, After: left},
		Message: fmt.Sprintf(what, bound) + fmt.Sprintf("; ask again tomorrow, from %s on, ", u.day.AddDate(0, 0, 1).Format("2006-01-02 15:04 UTC")) + or,
	}
}

// bytesUsed refuses new work of a tenant that keeps as much as it may.
func bytesUsed(kept, bound int64) error {
	if bound == 0 || kept < bound {
		return nil
	}
	return &export.Error{
		Code: export.CodeQuota, Class: export.ClassQuota, Err: &storage.QuotaReached{Limit: bound},
		Message: fmt.Sprintf("the bundles of this tenant have %d bytes and may have %d; "+
			"ask again when some have expired, or ask the administrator of this installation for more", kept, bound),
	}
}

const readKept = `
select coalesce(u.bytes, 0), t.max_bytes from tenants t
left join export_usage u on u.tenant = t.tenant and u.profile_id = '' where t.tenant = $1`

// mayKeepMore refuses to start a run of a tenant that keeps as much as it may: those
// that waited while others were packed would all still add to it.
func mayKeepMore(ctx context.Context, tx pgx.Tx, tenant string, limits storage.Limits) error {
	var kept int64
	var quotas export.TenantQuotas
	if err := tx.QueryRow(ctx, readKept, tenant).Scan(&kept, &quotas.Bytes); err != nil {
		return err
	}
	return bytesUsed(kept, quotas.BytesOf(limits.Bytes))
}
