package frontendtest

import (
	"context"
	"slices"
	"strings"
	"sync"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Tenants holds tenants in memory.
type Tenants struct {
	mu      sync.Mutex
	tenants map[string]export.Tenant
	fail    error // what reading the closed ones answers when it is set
}

// NewTenants makes an installation without tenants.
func NewTenants() *Tenants { return &Tenants{tenants: map[string]export.Tenant{}} }

// CreateTenant implements storage.Tenants.
func (t *Tenants) CreateTenant(_ context.Context, tenant export.Tenant) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, there := t.tenants[tenant.Name]; there {
		return storage.ErrConflict
	}
	t.tenants[tenant.Name] = tenant
	return nil
}

// GetTenant implements storage.Tenants.
func (t *Tenants) GetTenant(_ context.Context, name string) (export.Tenant, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tenant, there := t.tenants[name]
	if !there {
		return tenant, storage.ErrNotFound
	}
	return tenant, nil
}

// SetQuotas implements storage.Tenants.
func (t *Tenants) SetQuotas(_ context.Context, name string, q export.TenantQuotas) (export.Tenant, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tenant, there := t.tenants[name]
	if !there {
		return tenant, storage.ErrNotFound
	}
	tenant.Quotas = q
	t.tenants[name] = tenant
	return tenant, nil
}

// ChangeTenant implements storage.Tenants.
func (t *Tenants) ChangeTenant(_ context.Context, name string, state export.TenantState, change export.TenantChange) (export.Tenant, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tenant, there := t.tenants[name]
	if !there {
		return tenant, storage.ErrNotFound
	}
	if tenant.State != state {
		tenant.State, tenant.Change = state, &change
		t.tenants[name] = tenant
	}
	return tenant, nil
}

// ListTenants implements storage.Tenants.
func (t *Tenants) ListTenants(_ context.Context, after string, limit int) ([]export.Tenant, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []export.Tenant
	for name, tenant := range t.tenants {
		if name > after {
			found = append(found, export.Tenant{Name: name, State: tenant.State})
		}
	}
	slices.SortFunc(found, func(a, b export.Tenant) int { return strings.Compare(a.Name, b.Name) })
	return found[:min(limit, len(found))], nil
}

// ClosedTenants implements storage.Tenants.
func (t *Tenants) ClosedTenants(context.Context) ([]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var closed []string
	for name, tenant := range t.tenants {
		if tenant.State != export.TenantActive {
			closed = append(closed, name)
		}
	}
	return closed, t.fail
}

// Set changes what reading the closed ones answers.
func (t *Tenants) Set(fail error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fail = fail
}
