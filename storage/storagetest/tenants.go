package storagetest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Tenants is the suite that defines a list of tenants.
func Tenants(t *testing.T, open func(t *testing.T) storage.Tenants) {
	at := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	tenants, ctx := open(t), t.Context()
	acme := export.Tenant{Name: "acme", State: export.TenantActive, DisplayName: "Acme", CreatedAt: at, CreatedBy: "root"}
	require.NoError(t, tenants.CreateTenant(ctx, acme))
	require.ErrorIs(t, tenants.CreateTenant(ctx, acme), storage.ErrConflict)
	require.NoError(t, tenants.CreateTenant(ctx, export.Tenant{Name: "globex", State: export.TenantActive, CreatedAt: at}))
	got, err := tenants.GetTenant(ctx, "acme")
	require.NoError(t, err)
	require.Equal(t, acme, got)
	_, err = tenants.GetTenant(ctx, "nobody")
	require.ErrorIs(t, err, storage.ErrNotFound)
	_, err = tenants.ChangeTenant(ctx, "nobody", export.TenantSuspended, export.TenantChange{At: at})
	require.ErrorIs(t, err, storage.ErrNotFound)

	first := export.TenantChange{At: at.Add(time.Hour), By: "root", Reason: "unpaid"}
	got, err = tenants.ChangeTenant(ctx, "acme", export.TenantSuspended, first)
	require.NoError(t, err)
	acme.State, acme.Change = export.TenantSuspended, &first
	require.Equal(t, acme, got)
	got, err = tenants.ChangeTenant(ctx, "acme", export.TenantSuspended, export.TenantChange{At: at.Add(2 * time.Hour), By: "other"})
	require.NoError(t, err)
	require.Equal(t, acme, got, "suspending twice is suspending once")

	closed, err := tenants.ClosedTenants(ctx)
	require.NoError(t, err)
	require.Equal(t, []export.Tenant{{Name: "acme", State: export.TenantSuspended}}, closed)
	list, err := tenants.ListTenants(ctx, "", 10)
	require.NoError(t, err)
	require.Equal(t, []export.Tenant{{Name: "acme", State: export.TenantSuspended}, {Name: "globex", State: export.TenantActive}}, list)
	list, err = tenants.ListTenants(ctx, "acme", 1)
	require.NoError(t, err)
	require.Equal(t, []export.Tenant{{Name: "globex", State: export.TenantActive}}, list)
	list, err = tenants.ListTenants(ctx, "", 1)
	require.NoError(t, err)
	require.Len(t, list, 1)

	runs, bytes := 7, int64(1<<40)
	for _, q := range []export.TenantQuotas{{RunsPerDay: &runs, Bytes: &bytes}, {Bytes: new(int64)}, {}} {
		got, err = tenants.SetQuotas(ctx, "acme", q)
		require.NoError(t, err)
		acme.Quotas = q
		require.Equal(t, acme, got)
	}
	_, err = tenants.SetQuotas(ctx, "nobody", export.TenantQuotas{})
	require.ErrorIs(t, err, storage.ErrNotFound)
	got, err = tenants.GetTenant(ctx, "globex")
	require.NoError(t, err)
	require.Equal(t, export.TenantQuotas{}, got.Quotas)

	_, err = tenants.ChangeTenant(ctx, "acme", export.TenantActive, export.TenantChange{At: at.Add(3 * time.Hour), By: "root", Reason: "paid"})
	require.NoError(t, err)
	closed, err = tenants.ClosedTenants(ctx)
	require.NoError(t, err)
	require.Empty(t, closed)

	offboard(t, tenants, at)
}

// offboard: only from suspended, only after the time, and for good.
func offboard(t *testing.T, tenants storage.Tenants, at time.Time) {
	ctx, wait := t.Context(), time.Hour
	ask := func(after time.Duration, by string) (export.Tenant, error) {
		return tenants.OffboardTenant(ctx, "acme", export.TenantChange{At: at.Add(after), By: by, Reason: "left"}, wait)
	}
	_, err := tenants.OffboardTenant(ctx, "nobody", export.TenantChange{At: at}, 0)
	require.ErrorIs(t, err, storage.ErrNotFound)
	_, err = ask(9*time.Hour, "root")
	require.Equal(t, export.CodeStateConflict, export.CodeOf(err))
	require.ErrorContains(t, err, "suspend it first")
	_, err = tenants.ChangeTenant(ctx, "acme", export.TenantSuspended, export.TenantChange{At: at.Add(9 * time.Hour), By: "root"})
	require.NoError(t, err)
	_, err = ask(10*time.Hour-time.Second, "root")
	require.Equal(t, export.CodeStateConflict, export.CodeOf(err))
	require.ErrorContains(t, err, "from 2026-11-21T18:00:00Z on")
	got, err := ask(10*time.Hour, "root")
	require.NoError(t, err)
	require.Equal(t, export.TenantOffboarding, got.State)
	require.Equal(t, export.TenantChange{At: at.Add(10 * time.Hour), By: "root", Reason: "left"}, *got.Change)
	again, err := ask(11*time.Hour, "another")
	require.NoError(t, err)
	require.Equal(t, got, again, "asking twice is asking once")
	for _, state := range []export.TenantState{export.TenantActive, export.TenantSuspended} {
		_, err = tenants.ChangeTenant(ctx, "acme", state, export.TenantChange{At: at.Add(12 * time.Hour), By: "root"})
		require.ErrorIs(t, err, storage.ErrConflict)
	}
	_, err = tenants.SetQuotas(ctx, "acme", export.TenantQuotas{})
	require.ErrorIs(t, err, storage.ErrConflict)
	require.ErrorIs(t, tenants.CreateTenant(ctx, export.Tenant{Name: "acme", State: export.TenantActive}), storage.ErrConflict)
	closed, err := tenants.ClosedTenants(ctx)
	require.NoError(t, err)
	require.Equal(t, []export.Tenant{{Name: "acme", State: export.TenantOffboarding}}, closed)
}
