package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

func TestNeighbours(t *testing.T) {
	storagetest.Neighbours(t, func(t *testing.T) storagetest.Neighbourhood {
		db := pgtest.New(t)
		book := postgres.NewLedger(db.DB)
		return storagetest.Neighbourhood{Neighbours: postgres.NewNeighbours(db.DB), Tenants: postgres.NewTenants(db.DB), Now: time.Now,
			Record: func(t *testing.T, tenant, project, id string) {
				_, err := book.Import(t.Context(), tenant, []ledger.Observation{small(project, id, someTime, 1)})
				require.NoError(t, err)
			}}
	})
}

// Whatever is in a tenant's name, nothing is asked of the database by it.
func TestNeighboursHaveNames(t *testing.T) {
	_, err := postgres.NewNeighbours(pgtest.New(t).DB).Look(t.Context(), "../globex")
	require.ErrorContains(t, err, "is not a tenant name")
}

// What a run may read of others is fixed with it: the service has no right to change it.
func TestTheReachOfARunNeverChanges(t *testing.T) {
	w := newWorld(t)
	run := w.ask(t, "acme", 1, 1)[0]
	require.Nil(t, run.Reach)
	conn := connect(t, w.App)
	_, err := conn.Exec(t.Context(), "select set_config('app.current_tenant', 'acme', false)")
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), "update export_runs set reach = '{}' where tenant = 'acme'")
	require.ErrorContains(t, err, "42501")
}
