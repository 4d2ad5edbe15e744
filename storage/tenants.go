package storage

import (
	"context"

	"github.com/stella-ops/exportcenter/export"
)

// Tenants are the tenants of an installation, and whether they may use it. A tenant
// is noted when it is created here, or by its first run or document.
type Tenants interface {
	// CreateTenant notes a tenant; ErrConflict when it is there already.
	CreateTenant(ctx context.Context, t export.Tenant) error
	// GetTenant gives one; ErrNotFound when there is none.
	GetTenant(ctx context.Context, name string) (export.Tenant, error)
	// ListTenants gives up to limit tenants after the name after, by name. Only names
	// and states are set.
	ListTenants(ctx context.Context, after string, limit int) ([]export.Tenant, error)
	// ChangeTenant sets the state and who wanted it when and why, unless the tenant has
	// that state already. It gives the tenant as it is then, and ErrNotFound.
	ChangeTenant(ctx context.Context, name string, state export.TenantState, change export.TenantChange) (export.Tenant, error)
	// SetQuotas says what a tenant may use. It gives the tenant as it is then, and
	// ErrNotFound.
	SetQuotas(ctx context.Context, name string, q export.TenantQuotas) (export.Tenant, error)
	// ClosedTenants are the names of those who may not use the installation now.
	ClosedTenants(ctx context.Context) ([]string, error)
}
