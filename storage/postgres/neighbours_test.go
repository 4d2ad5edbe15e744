package postgres_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// A neighbour is seen as it is: how far its ledger is, which projects have
// documents, whether it may be used; and nothing of another one.
func TestNeighboursAreSeenOneByOne(t *testing.T) {
	db := pgtest.New(t)
	neighbours, book, tenants := postgres.NewNeighbours(db.DB), postgres.NewLedger(db.DB), postgres.NewTenants(db.DB)
	for _, absent := range []string{"globex", "nobody"} {
		_, err := neighbours.Look(t.Context(), absent)
		require.ErrorIs(t, err, storage.ErrNotFound)
	}
	_, err := neighbours.Look(t.Context(), "../globex")
	require.Error(t, err)

	require.NoError(t, tenants.CreateTenant(t.Context(), export.Tenant{Name: "globex", State: export.TenantActive}))
	found, err := neighbours.Look(t.Context(), "globex")
	require.NoError(t, err)
	require.True(t, found.Active)
	require.Zero(t, found.Head)
	require.Empty(t, found.Projects)
	require.WithinDuration(t, time.Now(), found.Now, time.Minute)
	require.Equal(t, time.UTC, found.Now.Location())

	for i, project := range []string{"web", "", "b", "web", "a-b", "a", "web"} {
		_, err := book.Import(t.Context(), "globex", []ledger.Observation{small(project, fmt.Sprint("d", i), someTime, 1)})
		require.NoError(t, err)
	}
	_, err = book.Import(t.Context(), "initech", []ledger.Observation{small("secret", "d1", someTime, 1)})
	require.NoError(t, err)
	found, err = neighbours.Look(t.Context(), "globex")
	require.NoError(t, err)
	require.EqualValues(t, 7, found.Head)
	require.Equal(t, []string{"_", "a", "a-b", "b", "web"}, found.Projects)

	_, err = tenants.ChangeTenant(t.Context(), "globex", export.TenantSuspended, export.TenantChange{At: at(1)})
	require.NoError(t, err)
	found, err = neighbours.Look(t.Context(), "globex")
	require.NoError(t, err)
	require.False(t, found.Active)
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
