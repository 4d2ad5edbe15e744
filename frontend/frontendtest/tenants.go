package frontendtest

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/offboarding"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
)

// Tenants holds tenants in memory.
type Tenants struct {
	// Working are ids of runs at work, by tenant; it is not changed beside calls.
	Working map[string][]string

	mu      sync.Mutex
	tenants map[string]export.Tenant
	records map[string][]byte
	runs    map[string][][]byte
	fail    error // what reading the closed ones answers when it is set
}

// NewTenants makes an installation without tenants.
func NewTenants() *Tenants {
	return &Tenants{tenants: map[string]export.Tenant{}, records: map[string][]byte{}, runs: map[string][][]byte{}, Working: map[string][]string{}}
}

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
	if tenant.State.Leaves() {
		return tenant, storage.ErrConflict
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
	if tenant.State == state {
		return tenant, nil
	}
	if tenant.State.Leaves() {
		return tenant, storage.ErrConflict
	}
	tenant.State, tenant.Change = state, &change
	t.tenants[name] = tenant
	return tenant, nil
}

// OffboardTenant implements storage.Tenants. Working are ids of runs at work.
func (t *Tenants) OffboardTenant(_ context.Context, name string, change export.TenantChange, after time.Duration) (export.Tenant, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tenant, there := t.tenants[name]
	if !there {
		return tenant, storage.ErrNotFound
	}
	if tenant.State.Leaves() {
		return tenant, nil
	}
	if err := tenant.MayLeave(change.At, after); err != nil {
		return tenant, err
	}
	if ids := t.Working[name]; len(ids) > 0 {
		return tenant, export.RunsAtWork(ids)
	}
	tenant.State, tenant.Change = export.TenantOffboarding, &change
	t.tenants[name] = tenant
	return tenant, nil
}

// Remove is what `exportcenter offboard` does to a tenant that is being offboarded:
// these runs are what it had, and signer signs.
func (t *Tenants) Remove(tb testing.TB, name string, at time.Time, signer signing.Signer, runs ...offboarding.Run) {
	tb.Helper()
	t.mu.Lock()
	defer t.mu.Unlock()
	tenant := t.tenants[name]
	sum, lines := sha256.New(), [][]byte{}
	for _, run := range runs {
		line, err := run.Line()
		if err != nil {
			tb.Fatal(err)
		}
		sum.Write(append(line, '\n')) //nolint:errcheck // never fails (hash.Hash)
		lines = append(lines, line)
	}
	record := offboarding.Record{Tenant: name, RequestedAt: tenant.Change.At, RequestedBy: tenant.Change.By, Reason: tenant.Change.Reason,
		BegunAt: at, EndedAt: at, Tables: []offboarding.Table{{Table: "export_runs", Rows: int64(len(runs))}}}
	record.Runs = offboarding.Runs{Count: int64(len(runs)), Digest: bundle.Digest(sum.Sum(nil))}
	envelope, err := record.Sign(tb.Context(), signer)
	if err != nil {
		tb.Fatal(err)
	}
	tenant.State, tenant.DisplayName, tenant.OffboardedAt = export.TenantOffboarded, "", at
	t.tenants[name], t.records[name], t.runs[name] = tenant, envelope, lines
}

// OffboardingRecord implements storage.OffboardingRecords.
func (t *Tenants) OffboardingRecord(_ context.Context, name string) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if record := t.records[name]; record != nil {
		return record, nil
	}
	return nil, storage.ErrNotFound
}

// OffboardedRuns implements storage.OffboardingRecords.
func (t *Tenants) OffboardedRuns(ctx context.Context, name, after string, limit int) (page [][]byte, last string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, line := range t.runs[name] {
		var run offboarding.Run
		if err := json.Unmarshal(line, &run); err != nil {
			return nil, "", err
		}
		if run.ID > after && len(page) < limit {
			page, last = append(page, line), run.ID
		}
	}
	return page, last, nil
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
func (t *Tenants) ClosedTenants(context.Context) ([]export.Tenant, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var closed []export.Tenant
	for name, tenant := range t.tenants {
		if tenant.State != export.TenantActive {
			closed = append(closed, export.Tenant{Name: name, State: tenant.State})
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
