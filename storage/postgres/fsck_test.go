package postgres_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

func names(t *testing.T, dsn, tenant string) []string {
	t.Helper()
	conn := connect(t, dsn)
	_, err := conn.Exec(t.Context(), "select set_config('app.current_tenant', $1, false)", tenant)
	require.NoError(t, err)
	rows, err := conn.Query(t.Context(), "select tenant from tenants order by tenant")
	require.NoError(t, err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return found
}

// A tenant is listed from its first run or document on, for the dispatcher's
// role; the service sees the name of its own tenant only.
func TestTenantsAreListedByNameOnly(t *testing.T) {
	w := newWorld(t)
	_, err := postgres.NewLedger(w.DB).Import(t.Context(), "acme", []ledger.Observation{document("s", "a", someTime, "x")})
	require.NoError(t, err)
	w.create(t, "globex", 1)
	w.create(t, "globex", 2)
	got, err := postgres.NewSurvey(w.DB).Tenants(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"acme", "globex"}, got)
	require.Equal(t, []string{"acme", "globex"}, names(t, w.Dispatch, "acme"))
	require.Equal(t, []string{"globex"}, names(t, w.App, "globex"))
	require.Empty(t, names(t, w.App, "hooli"))
	require.Empty(t, names(t, w.App, ""))
	require.Empty(t, names(t, w.Owner, "acme"))
	for _, statement := range []string{"delete from tenants", "insert into tenants values ('hooli')", "update tenants set tenant = 'x'"} {
		_, err := connect(t, w.Dispatch).Exec(t.Context(), statement)
		require.True(t, postgres.State(err, "42501"), "%s: %v", statement, err)
	}
	for _, statement := range []string{"delete from tenants", "insert into tenants values ('hooli')", "update tenants set tenant = 'x'"} {
		err := w.WithTenant(t.Context(), "globex", func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), statement)
			return err
		})
		require.Equal(t, export.CodeCrossTenant, export.CodeOf(err), statement)
	}
	_, err = connect(t, w.Admin).Exec(t.Context(), "delete from tenants where tenant = 'globex'")
	require.True(t, postgres.State(err, "23503"), "a tenant that has something cannot leave the list: %v", err)

	_, err = postgres.NewSurvey(openAppOnly(t, w)).Tenants(t.Context())
	require.ErrorContains(t, err, "database.dispatch")
}

// An installation that comes from an older version has all its tenants listed,
// and its wall stands as before.
func TestTenantsOfAnOlderInstallationAreListed(t *testing.T) {
	w := newWorld(t)
	_, err := postgres.NewLedger(w.DB).Import(t.Context(), "acme", []ledger.Observation{document("s", "a", someTime, "x")})
	require.NoError(t, err)
	w.create(t, "globex", 1)
	require.NoError(t, postgres.MigrateDown(t.Context(), w.Owner, 3))
	_, err = postgres.NewSurvey(w.DB).Tenants(t.Context())
	require.ErrorContains(t, err, "exportcenter migrate")
	require.NoError(t, postgres.Migrate(t.Context(), w.Owner))
	got, err := postgres.NewSurvey(w.DB).Tenants(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"acme", "globex"}, got)
	owner := connect(t, w.Owner)
	for _, table := range []string{"tenants", "ledger_heads", "export_runs"} {
		require.Zero(t, countRows(t, owner, nil, table), table)
	}
}

// Pages give every row once, in order.
func TestSurveyPagesHaveNoSeams(t *testing.T) {
	w := newWorld(t)
	const runs, blobs = 7, 23
	claims := make([]storage.Claim, runs)
	for n := range runs {
		claims[n] = w.begin(t, w.started(t, "acme", n+1).Ref(), export.PhaseAdapt, 1)
	}
	w.create(t, "globex", 99)
	for n := range blobs {
		require.NoError(t, w.exec.Pin(t.Context(), claims[n%runs], digest(fmt.Sprint(n)), int64(n)))
	}
	survey := postgres.NewSurvey(w.DB)
	for _, size := range []int{1, 3, 100} {
		var ids []string
		for after := ""; ; after = ids[len(ids)-1] {
			page, err := survey.RunRecords(t.Context(), "acme", after, size)
			require.NoError(t, err)
			for _, r := range page {
				require.Len(t, r.Outbox, 1)
				require.Equal(t, export.TransitionRequested, r.Outbox[0].Event)
				require.Equal(t, storage.RunRecord{ID: r.ID, State: export.StateRunning, LastSign: at(100), Counter: 2, Events: 2, FirstEvent: 1,
					LastEvent: 2, Ends: []export.EventType{}, Outbox: r.Outbox, Delivered: []string{}, Pins: r.Pins}, r)
				ids = append(ids, r.ID)
			}
			if len(page) < size {
				break
			}
		}
		require.Len(t, ids, runs)
		require.IsIncreasing(t, ids)

		var found []string
		var after *bundle.Digest
		for {
			page, err := survey.BlobRecords(t.Context(), "acme", after, size)
			require.NoError(t, err)
			for _, b := range page {
				require.EqualValues(t, 1, b.Pins)
				require.EqualValues(t, 1, b.UnderWay)
				found = append(found, b.Digest.Hex())
				after = &b.Digest
			}
			if len(page) < size {
				break
			}
		}
		require.Len(t, found, blobs)
		require.IsIncreasing(t, found)
	}
	foreign, err := survey.BlobRecord(t.Context(), "globex", digest("1"))
	require.NoError(t, err)
	require.Nil(t, foreign)
}

// More documents than a page holds are all told, once.
func TestSurveyTellsEveryDocument(t *testing.T) {
	w := newWorld(t)
	var batch []ledger.Observation
	for n := range 1001 {
		batch = append(batch, document("s", fmt.Sprint(n), someTime, "x"))
	}
	_, err := postgres.NewLedger(w.DB).Import(t.Context(), "acme", batch)
	require.NoError(t, err)
	survey := postgres.NewSurvey(w.DB)
	var found []string
	require.NoError(t, survey.Documents(t.Context(), "acme", func(d storage.DocumentRecord) error {
		require.Equal(t, d.Digest, bundle.DigestOf(d.Raw))
		found = append(found, d.Digest.Hex())
		return nil
	}))
	require.Len(t, found, len(batch))
	slices.Sort(found)
	require.IsIncreasing(t, found)
	counts, err := survey.LedgerRecord(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, storage.LedgerRecord{Head: 1001, Greatest: 1001, Count: 1001}, counts)
	counts, err = survey.LedgerRecord(t.Context(), "globex")
	require.NoError(t, err)
	require.Zero(t, counts)
}
