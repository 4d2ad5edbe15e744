package storage

import (
	"context"
	"time"

	"github.com/stella-ops/exportcenter/export"
)

// Tenants are the tenants of an installation, and whether they may use it. A tenant
// is noted when it is created here, or by its first run or document.
type Tenants interface {
	// CreateTenant notes a tenant; ErrConflict when it is there already, or ever was.
	CreateTenant(ctx context.Context, t export.Tenant) error
	// GetTenant gives one; ErrNotFound when there is none.
	GetTenant(ctx context.Context, name string) (export.Tenant, error)
	// ListTenants gives up to limit tenants after the name after, by name. Only names
	// and states are set.
	ListTenants(ctx context.Context, after string, limit int) ([]export.Tenant, error)
	// ChangeTenant sets the state and who wanted it when and why, unless the tenant has
	// that state already. It gives the tenant as it is then, and ErrNotFound. One that
	// is offboarded, or is to be, is ErrConflict.
	ChangeTenant(ctx context.Context, name string, state export.TenantState, change export.TenantChange) (export.Tenant, error)
	// SetQuotas says what a tenant may use. It gives the tenant as it is then, and
	// ErrNotFound; ErrConflict for one that is offboarded, or is to be.
	SetQuotas(ctx context.Context, name string, q export.TenantQuotas) (export.Tenant, error)
	// OffboardTenant asks for a tenant to be removed. One that may not be (not suspended,
	// not for as long as after, runs at work) is an *export.Error with a code. Asking
	// again changes nothing.
	OffboardTenant(ctx context.Context, name string, change export.TenantChange, after time.Duration) (export.Tenant, error)
	// ClosedTenants are the names and states of those who may not use the installation now.
	ClosedTenants(ctx context.Context) ([]export.Tenant, error)
}
