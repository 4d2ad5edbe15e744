package postgres

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/orchestrator"
	"github.com/stella-ops/exportcenter/storage"
)

// misfits are what one table says of another and is not so: run, subject, and what is
// wrong. Tenant is $1.
var misfits = []struct {
	sort storage.Misfit
	sql  string
}{
	{storage.MisfitProfile, `
		select r.id, r.profile_id, 'the run has revision ' || r.profile_revision || ' of profile ' || r.profile_name || ', which is not there'
		from export_runs r where r.tenant = $1 and r.profile_id ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
			and not exists (select from export_profiles p where p.tenant = r.tenant and p.id = r.profile_id and p.revision = r.profile_revision)
		order by r.id`},
	{storage.MisfitRevisions, `
		select '', coalesce(h.id, p.id), 'the newest revision is ' || coalesce(h.revision::text, 'said nowhere') || '; there are ' || coalesce(p.count, 0) || ', the greatest is ' || coalesce(p.greatest, 0)
		from (select id, revision from export_profile_heads where tenant = $1) h
		full join (select id, count(*) as count, max(revision) as greatest from export_profiles where tenant = $1 group by id) p on p.id = h.id
		where h.revision is distinct from p.count or h.revision is distinct from p.greatest order by 2`},
	{storage.MisfitSnapshot, `
		select r.id, r.policy_snapshot_id, 'the run decides by a policy snapshot that is not there'
		from export_runs r where r.tenant = $1 and (r.kind, r.variant) = ('json', 'policy') and r.policy_snapshot_id <> '` + export.BaselineSnapshot + `'
			and not exists (select from policy_snapshots p where p.tenant = r.tenant and p.id = r.policy_snapshot_id)
		order by r.id`},
	{storage.MisfitPlan, `
		select p.run_id, 'sha256:' || encode(p.selection, 'hex'), 'the plan is said to be of sequence ' || p.as_of || ', its run is of ' || r.as_of
		from export_plans p join export_runs r on r.tenant = p.tenant and r.id = p.run_id
		where p.tenant = $1 and (p.as_of <> r.as_of or p.project <> r.project) order by p.run_id`},
	{storage.MisfitReportMissing, `
		select r.id, r.status, 'the run is ' || r.status || ' since ' || r.completed_at
		from export_runs r where r.tenant = $1 and r.rebuild_of is null and r.completed_at >= (
			select min(recorded_at) from orchestrator_exports where tenant = $1 and recorded_by = 'exportcenter')
			and not exists (select from orchestrator_exports o where o.tenant = r.tenant and o.run_id = r.id and o.recorded_by = 'exportcenter')
		order by r.id`},
	{storage.MisfitReport, `
		select o.run_id, o.idempotency_key, 'reported is ' || o.status || ' of ' || o.artifact_hash || '; the run is ' || coalesce(r.status || ' with ' || coalesce(nullif(r.archive_digest, ''), 'no archive'), 'not there')
		from orchestrator_exports o left join export_runs r on r.tenant = o.tenant and r.id = o.run_id
		where o.tenant = $1 and o.recorded_by = 'exportcenter' and (r.id is null
			or o.artifact_hash <> coalesce(nullif(r.archive_digest, ''), '` + orchestrator.NothingMade + `')
			or (r.status, o.status) not in (('succeeded', 'succeeded'), ('partial', 'failed'), ('failed', 'failed'), ('aborted', 'canceled'),
				('expired', 'succeeded'), ('expired', 'failed')))
		order by o.run_id`},
	{storage.MisfitAttestationMissing, `
		select r.id, r.archive_digest, 'the run succeeded at ' || r.completed_at || ', and none of its signatures has a statement'
		from export_runs r where r.tenant = $1 and r.rebuild_of is null and r.status in ('succeeded', 'partial') and r.completed_at >= (
			select min(a.completed_at) from export_signatures s join export_runs a on a.tenant = s.tenant and a.id = s.run_id
			where s.tenant = $1 and s.statement is not null)
			and not exists (select from export_signatures s where s.tenant = r.tenant and s.run_id = r.id and s.statement is not null)
		order by r.id`},
}

// Misfits calls yield with what tables say of each other and does not fit.
func (s *Survey) Misfits(ctx context.Context, tenant string, yield func(storage.MisfitRecord) error) error {
	for _, m := range misfits {
		err := each(ctx, s, tenant, string(m.sort), m.sql, func(row pgx.CollectableRow) (storage.MisfitRecord, error) {
			r := storage.MisfitRecord{Sort: m.sort}
			return r, row.Scan(&r.Run, &r.Subject, &r.Detail)
		}, yield)
		if err != nil {
			return err
		}
	}
	for _, look := range []func(context.Context, string, func(storage.MisfitRecord) error) error{s.attestations, s.notices, s.untoldReports} {
		if err := look(ctx, tenant, yield); err != nil {
			return err
		}
	}
	return nil
}

// attestations are about the archive of their run, and say so of the tenant and run.
func (s *Survey) attestations(ctx context.Context, tenant string, yield func(storage.MisfitRecord) error) error {
	type attested struct {
		run, archive string
		statement    []byte
	}
	return each(ctx, s, tenant, "attestations", `
		select r.id, r.archive_digest, s.statement from export_signatures s join export_runs r on r.tenant = s.tenant and r.id = s.run_id
		where s.tenant = $1 and s.statement is not null and r.archive_digest <> '' order by r.id`,
		func(row pgx.CollectableRow) (a attested, err error) {
			return a, row.Scan(&a.run, &a.archive, &a.statement)
		},
		func(a attested) error {
			about, err := bundle.ParseAttestation(a.statement)
			if err == nil && (about.Predicate.Tenant != tenant || about.Predicate.RunID != a.run || "sha256:"+about.Subject[0].Digest.SHA256 != a.archive) {
				err = fmt.Errorf("it is about run %s of %s, archive sha256:%s", about.Predicate.RunID, about.Predicate.Tenant, about.Subject[0].Digest.SHA256)
			}
			if err == nil {
				return nil
			}
			return yield(storage.MisfitRecord{Sort: storage.MisfitAttestation, Run: a.run, Subject: a.archive, Detail: err.Error()})
		})
}

// notices of the outbox are about no run of ours; their rows say what they say.
func (s *Survey) notices(ctx context.Context, tenant string, yield func(storage.MisfitRecord) error) error {
	type notice struct{ id, kind, payload string }
	return each(ctx, s, tenant, "notices", "select event_id, event_type, payload from export_outbox where tenant = $1 and run_id is null order by event_id",
		func(row pgx.CollectableRow) (n notice, err error) { return n, row.Scan(&n.id, &n.kind, &n.payload) },
		func(n notice) error {
			var says struct {
				EventID   string `json:"eventId"`
				TenantID  string `json:"tenantId"`
				EventType string `json:"eventType"`
			}
			err := json.Unmarshal([]byte(n.payload), &says)
			if err == nil && says.EventID == n.id && says.TenantID == tenant && says.EventType == n.kind {
				return nil
			}
			return yield(storage.MisfitRecord{Sort: storage.MisfitNotice, Subject: n.id,
				Detail: fmt.Sprintf("the row is %s, what is told is %.80s %.80s of %.80s", n.kind, says.EventType, says.EventID, says.TenantID)})
		})
}

// reportsAtOnce bounds a page of reports.
const reportsAtOnce = 500

// untoldReports: what is reported of an export was told as it stands.
func (s *Survey) untoldReports(ctx context.Context, tenant string, yield func(storage.MisfitRecord) error) error {
	for after := [2]string{}; ; {
		var untold []storage.MisfitRecord
		seen := 0
		err := s.page(ctx, tenant, "reports", func(tx pgx.Tx) (err error) {
			untold, after, seen, err = untoldIn(ctx, tx, tenant, after)
			return err
		})
		if err != nil {
			return err
		}
		for _, u := range untold {
			if err := yield(u); err != nil {
				return err
			}
		}
		if seen < reportsAtOnce {
			return nil
		}
	}
}

func untoldIn(ctx context.Context, tx pgx.Tx, tenant string, after [2]string) (untold []storage.MisfitRecord, last [2]string, seen int, err error) {
	rows, err := tx.Query(ctx, `select project, idempotency_key, run_id, record, changed_at from orchestrator_exports
		where tenant = $1 and (project, idempotency_key) > ($2, $3) order by project, idempotency_key limit $4`, tenant, after[0], after[1], reportsAtOnce)
	if err != nil {
		return nil, last, 0, err
	}
	var ids []string
	of := map[string]storage.MisfitRecord{}
	reports, err := pgx.CollectRows(rows, scanReport)
	if err != nil {
		return nil, last, 0, err
	}
	for _, r := range reports {
		last = [2]string{r.project, r.key}
		m := storage.MisfitRecord{Sort: storage.MisfitReportUntold, Run: r.run, Subject: r.key}
		var record orchestrator.Record
		if err := bundle.UnmarshalStrict([]byte(r.record), &record); err != nil {
			m.Detail = "the report cannot be read: " + err.Error()
			untold = append(untold, m)
			continue
		}
		events, err := orchestrator.Events(record, orchestrator.Advanced, r.project, r.at)
		if err != nil {
			return nil, last, 0, err
		}
		m.Detail = fmt.Sprintf("no event %s in the outbox says that it is %s", events[0].EventID, record.Status)
		ids, of[events[0].EventID] = append(ids, events[0].EventID), m
	}
	told, err := tx.Query(ctx, "select i from unnest($2::text[]) with ordinality i (i, n) where not exists (select from export_outbox o where o.tenant = $1 and o.event_id = i) order by n", tenant, ids)
	if err != nil {
		return nil, last, 0, err
	}
	missing, err := pgx.CollectRows(told, pgx.RowTo[string])
	for _, id := range missing {
		untold = append(untold, of[id])
	}
	return untold, last, len(reports), err
}
