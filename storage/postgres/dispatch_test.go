package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

func TestWaitingListsWhatMustBeActedOn(t *testing.T) {
	w := newWorld(t)
	dispatch := postgres.NewDispatch(w.DB)
	waiting, err := dispatch.Waiting(t.Context(), "", 10)
	require.NoError(t, err)
	require.Empty(t, waiting)

	pending := w.create(t, "globex", 5)
	running := w.started(t, "acme", 2)
	cancelled := w.started(t, "acme", 3)
	both := w.create(t, "acme", 4)
	done := w.started(t, "acme", 1)
	for _, run := range []export.Run{cancelled, both, done} {
		_, err := w.runs.RequestCancel(t.Context(), run.Ref(), export.Cancellation{By: "a", Reason: "b", At: at(150)})
		require.NoError(t, err)
	}
	w.finish(t, done.Ref(), aborted(done))
	waiting, err = dispatch.Waiting(t.Context(), "", 10)
	require.NoError(t, err)
	require.Equal(t, []storage.Waiting{
		{Ref: cancelled.Ref(), ProfileID: "prof-json-raw", Cancel: true},
		{Ref: both.Ref(), ProfileID: "prof-json-raw", Pending: true, Cancel: true},
		{Ref: pending.Ref(), ProfileID: "prof-json-raw", Pending: true},
	}, waiting, "in the order of request, tenant by tenant; %s is under way", running.ID)
	waiting, err = dispatch.Waiting(t.Context(), "", 1)
	require.NoError(t, err)
	require.Len(t, waiting, 2, "those of one tenant")
	waiting, err = dispatch.Waiting(t.Context(), "acme", 1)
	require.NoError(t, err)
	require.Len(t, waiting, 1, "those of the next")
	waiting, err = dispatch.Waiting(t.Context(), "globex", 1)
	require.NoError(t, err)
	require.Empty(t, waiting)

	_, err = postgres.NewDispatch(openAppOnly(t, w)).Waiting(t.Context(), "", 1)
	require.ErrorContains(t, err, "database.dispatch")
}

func openAppOnly(t *testing.T, w world) *postgres.DB {
	t.Helper()
	db, err := postgres.Open(t.Context(), postgres.Config{App: w.App, MaxConns: 1})
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return db
}

// The dispatcher's role reads the names of waiting runs and nothing else,
// whatever it sets for itself.
func TestDispatchRoleSeesOnlyNames(t *testing.T) {
	w := newWorld(t)
	w.create(t, "acme", 1)
	running := w.started(t, "acme", 2)
	conn, err := pgx.Connect(t.Context(), w.Dispatch)
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // test
	ids := func() (found []string) {
		rows, err := conn.Query(t.Context(), "select id from export_runs order by id")
		require.NoError(t, err)
		found, err = pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err)
		return found
	}
	require.Equal(t, []string{runID(1)}, ids())
	_, err = conn.Exec(t.Context(), "select set_config('app.current_tenant', 'acme', false)")
	require.NoError(t, err)
	require.Equal(t, []string{runID(1)}, ids(), "%s does not wait", running.ID)

	forbidden := []string{
		"select selectors from export_runs", "select * from export_runs", "select requested_by from export_runs", "select labels from export_runs",
		"select id from export_runs for update", "update export_runs set status = 'failed'", "update export_runs set dispatched_at = now()", "insert into export_runs (tenant) values ('acme')",
		"delete from export_runs", "truncate export_runs", "copy export_runs to stdout",
	}
	for _, table := range exportTables {
		if table != "export_runs" {
			forbidden = append(forbidden, "select tenant from "+table, "insert into "+table+" (tenant) values ('acme')",
				"update "+table+" set tenant = 'acme'", "delete from "+table, "truncate "+table+" cascade")
		}
	}
	for _, statement := range forbidden {
		_, err := conn.Exec(t.Context(), statement)
		var refused *pgconn.PgError
		require.ErrorAs(t, err, &refused, statement)
		require.Equal(t, "42501", refused.Code, statement)
	}
}

// The application reads and writes rows of its transaction's tenant only.
func TestExportTablesAreBehindTheWall(t *testing.T) {
	w := newWorld(t)
	run := w.started(t, "globex", 1)
	resolve := w.begin(t, run.Ref(), export.PhaseResolve, 1)
	require.NoError(t, w.exec.SavePlan(t.Context(), resolve, digest("plan"), digest("selection"), shards(1), at(101)))
	require.NoError(t, w.exec.Pin(t.Context(), resolve, digest("b"), 1))
	require.NoError(t, w.exec.SaveFiles(t.Context(), resolve, []storage.File{{Path: "f", Digest: digest("b"), Size: 1}}))
	_, err := w.exec.KeepSignature(t.Context(), resolve, storage.StoredSignature{Artifact: "a", KeyID: "k", Signature: []byte("s")})
	require.NoError(t, err)
	require.NoError(t, w.exec.SaveDistribution(t.Context(), resolve, storage.Distribution{Type: "http", Location: "/"}, at(102)))
	require.NoError(t, w.exec.SaveSources(t.Context(), resolve, counted))
	_, err = w.exec.SaveGuard(t.Context(), resolve, shrunk(false))
	require.NoError(t, err)
	_, _, err = w.runs.CreateRun(t.Context(), request("globex", 2), storage.Idempotency{Key: "k", RequestHash: digest("r")})
	require.NoError(t, err)
	_, _, err = postgres.NewProfiles(w.DB).CreateProfile(t.Context(), storagetest.NewProfile("globex", "nightly", 1), storage.Idempotency{})
	require.NoError(t, err)
	snapshot, pack := storagetest.NewSnapshot("globex", "blocking", "1", 1)
	_, _, err = postgres.NewPolicySnapshots(w.DB).ImportSnapshot(t.Context(), snapshot, pack, storage.Idempotency{})
	require.NoError(t, err)
	require.NoError(t, w.DB.WithTenant(t.Context(), "globex", func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "insert into mirror_generations (tenant, last) values ('globex', 1)")
		return err
	}))
	before := w.fingerprint(t)
	for _, table := range exportTables {
		require.Positive(t, value[int](t, w, "globex", "select count(*) from "+table), table)
		require.Zero(t, value[int](t, w, "acme", "select count(*) from "+table), table)
		for _, statement := range []string{
			"delete from " + table, "update " + table + " set tenant = 'acme'", "truncate " + table + " cascade",
			"select count(*) from (select * from " + table + " for update) x",
		} {
			// Refused, or without a row to work on.
			_ = w.WithTenant(t.Context(), "acme", func(tx pgx.Tx) error {
				_, err := tx.Exec(t.Context(), statement)
				return err
			})
		}
	}
	require.Equal(t, before, w.fingerprint(t))
	err = w.WithTenant(t.Context(), "acme", func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `insert into export_attempts (tenant, project, run_id, phase, attempt) values ('globex', '_', $1, 'x', 1)`, run.ID)
		return err
	})
	require.Equal(t, export.CodeCrossTenant, export.CodeOf(err))
	err = w.WithTenant(t.Context(), "acme", func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), `insert into export_attempts (tenant, project, run_id, phase, attempt) values ('acme', '_', $1, 'x', 1)`, run.ID)
		return err
	})
	require.Equal(t, export.CodeStateConflict, export.CodeOf(err), "a foreign run is as absent as any")
}
