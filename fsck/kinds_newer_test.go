package fsck_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/orchestrator"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// What the injuries touch.
var (
	profiles   = []string{"export_profiles", "export_profile_heads"}
	policies   = []string{"policy_snapshots"}
	plans      = []string{"export_plans"}
	reports    = []string{"orchestrator_exports", "export_outbox", "export_usage"}
	signatures = []string{"export_signatures"}
	records    = []string{"audit_entries", "audit_heads", "audit_checkpoints"}
)

// newerInjuries are of what came after the first exports: profiles, plans, reports,
// attestations, audit records, tenants that leave.
var newerInjuries = []injury{
	{name: "a revision that a run has is gone", kind: "profile-missing", touches: profiles, run: runID(11), with: []string{"profile-revisions"}, injure: func(t *testing.T, w *world) string {
		w.sql(t, "delete from export_profiles where tenant = 'acme' and revision = 2")
		return w.text(t, "select id from export_profile_heads where tenant = 'acme'")
	}},
	{name: "a revision that no run has is gone", kind: "profile-revisions", touches: profiles, run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "delete from export_profiles where tenant = 'acme' and revision = 1")
		return w.text(t, "select id from export_profile_heads where tenant = 'acme'")
	}},
	{name: "a profile without head", kind: "profile-revisions", touches: profiles, run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "delete from export_profile_heads where tenant = 'acme'")
		return w.text(t, "select distinct id from export_profiles where tenant = 'acme'")
	}},
	{name: "a policy snapshot that a run has is gone", kind: "snapshot-missing", injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_runs set kind = 'json', variant = 'policy', policy_snapshot_id = $2 where tenant = 'acme' and id = $1", runID(1), snapshotID)
		w.healthy(t)
		w.sql(t, "delete from policy_snapshots where tenant = 'acme'")
		return snapshotID
	}},
	{name: "a run that decides names no policy snapshot", kind: "snapshot-missing", injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_runs set kind = 'json', variant = 'policy', policy_snapshot_id = 'policy-baseline' where tenant = 'acme' and id = $1", runID(1))
		w.healthy(t)
		w.sql(t, "update export_runs set policy_snapshot_id = 'a word' where tenant = 'acme' and id = $1", runID(1))
		return "a word"
	}},
	{name: "a bit of a policy pack has flipped", kind: "pack-bytes", touches: policies, run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update policy_snapshots set pack = set_byte(pack, 0, 0) where tenant = 'acme'")
		return snapshotID
	}},

	{name: "a plan of another moment", kind: "plan-differs", touches: plans, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_plans set as_of = as_of - 1 where tenant = 'acme'")
		return w.text(t, "select 'sha256:' || encode(selection, 'hex') from export_plans where tenant = 'acme'")
	}},
	{name: "a plan of another project", kind: "plan-differs", touches: plans, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_plans set project = 'web' where tenant = 'acme'")
		return w.text(t, "select 'sha256:' || encode(selection, 'hex') from export_plans where tenant = 'acme'")
	}},

	{name: "an end that was not reported", kind: "report-missing", touches: reports, injure: func(t *testing.T, w *world) string {
		w.sql(t, "delete from orchestrator_exports where tenant = 'acme' and run_id = $1", runID(1))
		w.recount(t)
		return "succeeded"
	}},
	{name: "another end was reported", kind: "report-differs", touches: reports, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update orchestrator_exports set status = 'failed' where tenant = 'acme' and run_id = $1", runID(1))
		return w.report(t)
	}},
	{name: "another archive was reported", kind: "report-differs", touches: reports, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update orchestrator_exports set artifact_hash = $2 where tenant = 'acme' and run_id = $1", runID(1), orchestrator.NothingMade)
		return w.report(t)
	}},
	{name: "a report of no run", kind: "report-differs", touches: reports, run: runID(77), injure: func(t *testing.T, w *world) string {
		w.sql(t, `insert into orchestrator_exports (tenant, project, idempotency_key, run_id, artifact_hash, status, started_at, record, recorded_by, recorded_at, changed_at)
			select tenant, project, 'sha256:' || repeat('0', 64), $2, artifact_hash, status, started_at, record, recorded_by, recorded_at, changed_at
			from orchestrator_exports where tenant = 'acme' and run_id = $1`, runID(1), runID(77))
		w.recount(t)
		return w.text(t, "select 'sha256:' || repeat('0', 64)")
	}},
	{name: "a report that nobody was told of", kind: "report-untold", touches: reports, injure: func(t *testing.T, w *world) string {
		w.sql(t, "delete from export_outbox where tenant = 'acme' and run_id is null and event_type = $2 and payload like '%' || $1 || '%'", runID(1), orchestrator.EventTimeline)
		return w.report(t)
	}},
	{name: "a report that cannot be read", kind: "report-untold", touches: reports, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update orchestrator_exports set record = '{' where tenant = 'acme' and run_id = $1", runID(1))
		w.recount(t)
		return w.report(t)
	}},
	{name: "a notice of another type", kind: "notice-differs", touches: reports, run: noRun, injure: func(t *testing.T, w *world) string {
		id := w.notice(t)
		w.sql(t, "update export_outbox set event_type = 'export.odd' where tenant = 'acme' and event_id = $1", id)
		return id
	}},
	{name: "a notice of another tenant", kind: "notice-differs", touches: reports, run: noRun, injure: func(t *testing.T, w *world) string {
		id := w.notice(t)
		w.sql(t, `update export_outbox set payload = replace(payload, '"tenantId":"acme"', '"tenantId":"globex"') where tenant = 'acme' and event_id = $1`, id)
		return id
	}},

	{name: "a bundle is not attested", kind: "attestation-missing", run: runID(5), injure: func(t *testing.T, w *world) string {
		run := w.export(t, acme, 5)
		w.sql(t, "update export_signatures set statement = null where tenant = 'acme' and run_id = $1 and statement is not null", runID(5))
		return run.Result.ArchiveDigest
	}},
	{name: "an attestation of another tenant", kind: "attestation-differs", touches: signatures, injure: func(t *testing.T, w *world) string {
		w.sql(t, `update export_signatures set statement = convert_to(replace(convert_from(statement, 'UTF8'), '"tenant":"acme"', '"tenant":"globex"'), 'UTF8')
			where tenant = 'acme' and statement is not null`)
		return w.ended[acme].Result.ArchiveDigest
	}},
	{name: "an attestation of another archive", kind: "attestation-differs", touches: signatures, injure: func(t *testing.T, w *world) string {
		hex := w.ended[acme].Result.ArchiveDigest[len("sha256:"):]
		w.sql(t, `update export_signatures set statement = convert_to(replace(convert_from(statement, 'UTF8'), $1, $2), 'UTF8')
			where tenant = 'acme' and statement is not null`, hex, bundle.DigestOf([]byte("x")).Hex())
		return w.ended[acme].Result.ArchiveDigest
	}},
	{name: "an attestation is damaged", kind: "attestation-differs", touches: signatures, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update export_signatures set statement = set_byte(statement, 0, 0) where tenant = 'acme' and statement is not null")
		return w.ended[acme].Result.ArchiveDigest
	}},

	{name: "an audit entry is gone", kind: "audit-gap", touches: records, run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "delete from audit_entries where tenant = 'acme' and seq = 2")
		return ""
	}},
	{name: "the last audit entry is gone", kind: "audit-gap", touches: records, run: noRun, with: []string{"audit-checkpoint"}, injure: func(t *testing.T, w *world) string {
		w.sql(t, "delete from audit_entries where tenant = 'acme' and seq = 4")
		return ""
	}},
	{name: "an audit entry was changed", kind: "audit-changed", touches: records, run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update audit_entries set line = replace(line, 'POST', 'PUTS') where tenant = 'acme' and seq = 2")
		return "2"
	}},
	{name: "an audit entry cannot be read", kind: "audit-changed", touches: records, run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update audit_entries set line = '{' where tenant = 'acme' and seq = 3")
		return "2"
	}},
	{name: "another end of an audit record", kind: "audit-changed", touches: records, run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update audit_heads set hash = sha256('x') where tenant = 'acme'")
		return "4"
	}},
	{name: "a checkpoint is gone", kind: "audit-checkpoint", touches: records, run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "delete from audit_checkpoints where tenant = 'acme'")
		return "4"
	}},
	{name: "a checkpoint of another record", kind: "audit-checkpoint", touches: records, run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update audit_checkpoints set envelope = (select envelope from audit_checkpoints where tenant = 'globex') where tenant = 'acme'")
		return "4"
	}},
	{name: "a checkpoint is damaged", kind: "audit-checkpoint", touches: records, run: noRun, injure: func(t *testing.T, w *world) string {
		w.sql(t, "update audit_checkpoints set envelope = 'x' where tenant = 'acme'")
		return "4"
	}},
	{name: "nobody signs", kind: "audit-unsigned", touches: records, run: noRun, injure: func(t *testing.T, w *world) string {
		require.NoError(t, postgres.NewAudit(w.DB).Append(t.Context(), acme, []audit.Entry{{At: now, Event: audit.CallRefused, Method: "POST"}}))
		return ""
	}},

	{name: "an offboarding stands still", kind: "offboarding-left", run: noRun, injure: func(t *testing.T, w *world) string {
		w.offboard(t)
		c := &cut{point: "RemoveRows", behind: true}
		_, err := w.remover(t, c.between).Run(t.Context(), acme)
		require.ErrorIs(t, err, errCut)
		w.sql(t, "update offboardings set begun_at = $1, changed_at = $1 where tenant = 'acme'", now)
		return ""
	}},
	{name: "rows of an offboarded tenant", kind: "offboarded-rows", run: noRun, injure: func(t *testing.T, w *world) string {
		w.removed(t)
		w.sql(t, "insert into ledger_moments values ('acme', 1, now())")
		return ""
	}},
	{name: "files of an offboarded tenant", kind: "offboarded-files", run: noRun, injure: func(t *testing.T, w *world) string {
		w.removed(t)
		w.write(t, w.path(acme, bundle.DigestOf([]byte("back"))), "back")
		return ""
	}},
	{name: "an offboarded tenant without record", kind: "offboarding-record", run: noRun, injure: func(t *testing.T, w *world) string {
		w.removed(t)
		w.sql(t, "update offboardings set record = '{}' where tenant = 'acme'")
		return ""
	}},
}

// removed offboards acme.
func (w *world) removed(t *testing.T) {
	t.Helper()
	w.offboard(t)
	_, err := w.remover(t, nil).Run(t.Context(), acme)
	require.NoError(t, err)
}

// text asks the database for a text.
func (w *world) text(t *testing.T, query string, args ...any) (text string) {
	t.Helper()
	require.NoError(t, w.admin(t).QueryRow(t.Context(), query, args...).Scan(&text))
	return text
}

// recount makes acme's usage what it is: the length of reports is a part of it.
func (w *world) recount(t *testing.T) {
	t.Helper()
	_, err := postgres.NewRepair(w.DB).CountUsage(t.Context(), acme)
	require.NoError(t, err)
}

// report is the key of what was reported of acme's bundle.
func (w *world) report(t *testing.T) string {
	t.Helper()
	return w.text(t, "select idempotency_key from orchestrator_exports where tenant = 'acme' and run_id = $1", runID(1))
}

// notice puts an event about no run in acme's outbox and gives its id.
func (w *world) notice(t *testing.T) string {
	t.Helper()
	n := export.NewNotice(acme, "export.api.deprecated", "GET /v1", now, map[string]string{"a": "b"})
	require.NoError(t, postgres.NewNotices(w.DB).Notice(t.Context(), n))
	_, found := w.look(t, true)
	require.Empty(t, found)
	return n.EventID
}

// The installation's own audit record is looked at as well.
func TestTheInstallationsRecordIsLookedAt(t *testing.T) {
	w := newWorld(t)
	w.sql(t, "delete from audit_entries where tenant = '_' and seq = 2")
	_, found := w.look(t, true)
	require.Len(t, found, 1)
	require.Equal(t, "audit-gap _", found[0].Kind+" "+found[0].Tenant)
}

// Entries are signed within seconds: that is no divergence, without any patience.
func TestAnEntryIsSignedSoon(t *testing.T) {
	w := newWorld(t)
	require.NoError(t, postgres.NewAudit(w.DB).Append(t.Context(), acme, []audit.Entry{{At: now, Event: audit.CallRefused, Method: "POST"}}))
	_, found := w.lookAt(t, now.Add(59*time.Second), 0, true)
	require.Empty(t, found)
	_, found = w.lookAt(t, now.Add(time.Minute), 0, true)
	require.Len(t, found, 1)
	w.notarise(t, now)
	_, found = w.lookAt(t, now.Add(time.Minute), 0, true)
	require.Empty(t, found)
}

// A tenant that leaves is no divergence: not while it is removed, nor afterwards.
func TestATenantThatLeavesIsHealthy(t *testing.T) {
	w := newWorld(t)
	w.offboard(t)
	c := &cut{point: "RemoveRows", behind: true}
	_, err := w.remover(t, c.between).Run(t.Context(), acme)
	require.ErrorIs(t, err, errCut)
	_, found := w.lookAt(t, week, 0, true)
	require.Len(t, found, 1, "%+v", found)
	require.Equal(t, "offboarding-left", found[0].Kind, "without patience everything has to be done")
	_, found = w.lookAt(t, week, time.Hour, true)
	require.Empty(t, found)
	_, err = w.remover(t, nil).Run(t.Context(), acme)
	require.NoError(t, err)
	_, found = w.lookAt(t, week, 0, true)
	require.Empty(t, found)
}
