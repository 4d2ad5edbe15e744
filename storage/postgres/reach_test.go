package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// reaching is a run of acme that reads globex too.
func (w world) reaching(t *testing.T, n int) export.Ref {
	t.Helper()
	run := request("acme", n)
	run.Reach = &export.Reach{Readings: []export.Reading{{Tenant: "acme", Project: "core", AsOf: 1}, {Tenant: "globex", Project: "_", AsOf: 2}}}
	stored, _, err := w.runs.CreateRun(t.Context(), run, storage.Idempotency{})
	require.NoError(t, err)
	return stored.Ref()
}

// A worker of a release before cross-tenant runs does not know that it would leave
// something out. The database does not let it begin any phase of such a run, in a way
// after which another worker tries; of other runs it does.
func TestAnOlderWorkerTakesNoRunOverSeveralTenants(t *testing.T) {
	w := newWorld(t)
	older := func(ref export.Ref, attempt int64) error { // BeginPart of that release
		return w.WithTenant(t.Context(), ref.Tenant, func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), `
				insert into export_attempts as a (tenant, project, run_id, phase, attempt) values ($1, $2, $3, $4, $5)
				on conflict (tenant, run_id, phase) do update set attempt = excluded.attempt where a.attempt <= excluded.attempt`,
				ref.Tenant, "core", ref.RunID, "plan", attempt)
			return err
		})
	}
	refused := func(err error) {
		t.Helper()
		require.Equal(t, export.CodeUnavailable, export.CodeOf(err), "%v", err)
		require.Equal(t, export.ClassTransient, export.ClassOf(err))
	}
	alone, several := w.create(t, "acme", 1).Ref(), w.reaching(t, 2)
	require.NoError(t, older(alone, 1))
	before := w.fingerprint(t)
	refused(older(several, 1))
	require.Equal(t, before, w.fingerprint(t))

	claim := w.begin(t, several, export.PhasePlan, 1)
	refused(older(several, 2))
	run, err := w.exec.Start(t.Context(), claim, 1, at(3))
	require.NoError(t, err, "the claim is still the newer worker's")
	require.Len(t, run.Reach.Readings, 2)
	w.begin(t, several, export.PhaseResolve, 1)
	refused(older(several, 3)) // what let the newer one in is gone with its transaction
}

// A plan is summed up by whose evidence it takes.
func TestSharesOfAPlan(t *testing.T) {
	w := newWorld(t)
	ref := w.reaching(t, 1)
	none, err := w.runs.Shares(t.Context(), ref)
	require.NoError(t, err)
	require.Empty(t, none)
	_, err = w.exec.Start(t.Context(), w.begin(t, ref, export.PhasePlan, 1), 1, at(3))
	require.NoError(t, err)
	plan := shards(5)
	plan[1].Source, plan[2].Source = storage.ForeignSource("globex", "_"), storage.ForeignSource("globex", "web")
	plan[4].Source = plan[2].Source
	plan[4].Count, plan[4].Bytes = 7, 1<<40
	require.NoError(t, w.exec.SavePlan(t.Context(), w.begin(t, ref, export.PhaseResolve, 1), digest("plan"), digest("selection"), plan, at(101)))
	shares, err := w.runs.Shares(t.Context(), ref)
	require.NoError(t, err)
	require.Equal(t, []storage.Share{
		{Source: "ledger", Shards: 2, Records: 20, Bytes: 2000},
		{Source: "ledger/globex/_", Shards: 1, Records: 10, Bytes: 1000},
		{Source: "ledger/globex/web", Shards: 2, Records: 17, Bytes: 1000 + 1<<40},
	}, shares)
	foreign, err := w.runs.Shares(t.Context(), export.Ref{Tenant: "globex", RunID: ref.RunID})
	require.NoError(t, err)
	require.Empty(t, foreign, "a foreign one is absent")
}
