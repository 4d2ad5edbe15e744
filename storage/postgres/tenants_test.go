package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

func TestTenants(t *testing.T) {
	storagetest.Tenants(t, func(t *testing.T) storage.Tenants { return postgres.NewTenants(pgtest.New(t).DB) })
}

// The dispatcher sees names and states, and changes neither.
func TestTheDispatcherSeesNoMoreOfATenant(t *testing.T) {
	db := pgtest.New(t)
	require.NoError(t, postgres.NewTenants(db.DB).CreateTenant(t.Context(), export.Tenant{Name: "acme", State: export.TenantActive, DisplayName: "secret"}))
	conn := connect(t, db.Dispatch)
	var name, state string
	require.NoError(t, conn.QueryRow(t.Context(), "select tenant, state from tenants").Scan(&name, &state))
	require.Equal(t, "acme active", name+" "+state)
	for _, sql := range []string{"select display_name from tenants", "select change_reason from tenants", "select * from tenants", "update tenants set state = 'suspended'"} {
		_, err := conn.Exec(t.Context(), sql)
		require.ErrorContains(t, err, "42501", sql)
	}
}

// A suspended tenant's runs stay where they are, except to be cancelled.
func TestNothingOfASuspendedTenantStarts(t *testing.T) {
	w := newWorld(t)
	tenants, dispatch := postgres.NewTenants(w.DB), postgres.NewDispatch(w.DB).Within(storage.Limits{Active: 5})
	acme, globex := w.ask(t, "acme", 1, 6), w.ask(t, "globex", 11, 11) // four of six have a slot
	waiting := func() []string {
		list, err := dispatch.Waiting(t.Context(), "", 10)
		require.NoError(t, err)
		return ids(list)
	}
	require.Contains(t, waiting(), acme[0].ID)
	_, err := tenants.ChangeTenant(t.Context(), "acme", export.TenantSuspended, export.TenantChange{At: at(1)})
	require.NoError(t, err)
	require.Equal(t, []string{globex[0].ID}, waiting())
	given, err := dispatch.Claim(t.Context(), "acme", at(2))
	require.NoError(t, err)
	require.Empty(t, given)
	given, err = w.GiveRuns(t.Context(), "acme", 5, at(2))
	require.NoError(t, err)
	require.Empty(t, given, "suspended after it was asked whether somebody waits")
	_, err = w.runs.RequestCancel(t.Context(), acme[1].Ref(), export.Cancellation{By: "a", Reason: "b", At: at(3)})
	require.NoError(t, err)
	require.ElementsMatch(t, []string{acme[1].ID, globex[0].ID}, waiting(), "an end may still be asked for")

	_, err = tenants.ChangeTenant(t.Context(), "acme", export.TenantActive, export.TenantChange{At: at(4)})
	require.NoError(t, err)
	require.Contains(t, waiting(), acme[0].ID)
	given, err = dispatch.Claim(t.Context(), "acme", at(5))
	require.NoError(t, err)
	require.Equal(t, []string{acme[4].ID}, ids(given))
}
