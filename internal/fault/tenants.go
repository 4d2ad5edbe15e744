package fault

import (
	"context"
	"time"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Tenants passes what is done to tenants to inner through its point.
func (i *Injector) Tenants(inner storage.Tenants) storage.Tenants { return &tenants{i, inner} }

type tenants struct {
	injector *Injector
	inner    storage.Tenants
}

func (t *tenants) CreateTenant(ctx context.Context, tenant export.Tenant) error {
	return t.injector.At(ctx, CreateTenant, func(ctx context.Context) error { return t.inner.CreateTenant(ctx, tenant) })
}

func (t *tenants) GetTenant(ctx context.Context, name string) (export.Tenant, error) {
	return read(t.injector, func() (export.Tenant, error) { return t.inner.GetTenant(ctx, name) })
}

func (t *tenants) ListTenants(ctx context.Context, after string, limit int) ([]export.Tenant, error) {
	return read(t.injector, func() ([]export.Tenant, error) { return t.inner.ListTenants(ctx, after, limit) })
}

func (t *tenants) ChangeTenant(ctx context.Context, name string, state export.TenantState, change export.TenantChange) (export.Tenant, error) {
	return answer(ctx, t.injector, ChangeTenant, func(ctx context.Context) (export.Tenant, error) {
		return t.inner.ChangeTenant(ctx, name, state, change)
	})
}

func (t *tenants) SetQuotas(ctx context.Context, name string, q export.TenantQuotas) (export.Tenant, error) {
	return answer(ctx, t.injector, SetQuotas, func(ctx context.Context) (export.Tenant, error) { return t.inner.SetQuotas(ctx, name, q) })
}

func (t *tenants) OffboardTenant(ctx context.Context, name string, change export.TenantChange, after time.Duration) (export.Tenant, error) {
	return answer(ctx, t.injector, OffboardTenant, func(ctx context.Context) (export.Tenant, error) {
		return t.inner.OffboardTenant(ctx, name, change, after)
	})
}

func (t *tenants) ClosedTenants(ctx context.Context) ([]export.Tenant, error) {
	return read(t.injector, func() ([]export.Tenant, error) { return t.inner.ClosedTenants(ctx) })
}
