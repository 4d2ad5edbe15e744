package storagetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Neighbourhood is an empty installation of which tenants are looked at.
type Neighbourhood struct {
	storage.Neighbours
	Tenants storage.Tenants
	// Record records a document with this id in a project ("" = none) of a tenant.
	Record func(t *testing.T, tenant, project, id string)
	Now    func() time.Time // its clock, about
}

// Neighbours runs the suite of looks at other tenants: each is seen as it is - how far
// its ledger is, which projects have documents, whether it may be used - and nothing of
// another one.
func Neighbours(t *testing.T, open func(*testing.T) Neighbourhood) {
	t.Helper()
	n := open(t)
	for _, absent := range []string{"globex", "nobody"} {
		_, err := n.Look(t.Context(), absent)
		require.ErrorIs(t, err, storage.ErrNotFound)
	}
	for _, name := range []string{"globex", "initech"} {
		require.NoError(t, n.Tenants.CreateTenant(t.Context(), export.Tenant{Name: name, State: export.TenantActive}))
	}
	found, err := n.Look(t.Context(), "globex")
	require.NoError(t, err)
	require.True(t, found.Active)
	require.Zero(t, found.Head)
	require.Empty(t, found.Projects)
	require.WithinDuration(t, n.Now(), found.Now, time.Minute)
	require.Equal(t, time.UTC, found.Now.Location())

	for i, project := range []string{"web", "", "b", "web", "a-b", "a", "web"} {
		n.Record(t, "globex", project, string(rune('a'+i)))
	}
	n.Record(t, "initech", "secret", "a")
	found, err = n.Look(t.Context(), "globex")
	require.NoError(t, err)
	require.EqualValues(t, 7, found.Head)
	require.Equal(t, []string{"_", "a", "a-b", "b", "web"}, found.Projects)

	for _, state := range []export.TenantState{export.TenantSuspended, export.TenantActive} {
		_, err = n.Tenants.ChangeTenant(t.Context(), "globex", state, export.TenantChange{At: n.Now()})
		require.NoError(t, err)
		found, err = n.Look(t.Context(), "globex")
		require.NoError(t, err)
		require.Equal(t, state == export.TenantActive, found.Active)
	}
}
