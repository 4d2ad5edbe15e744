package storagetest

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/storage"
)

// AuditRecord keeps the record of who did what in memory.
type AuditRecord struct {
	// Fail is what Append answers instead of writing, when it is set.
	Fail func(tenant string, entries []audit.Entry) error

	mu     sync.Mutex
	chains map[string][]auditLine
	signed map[string]storage.SignedCheckpoint
}

type auditLine struct {
	entry audit.Entry
	row   storage.AuditRow
}

// NewAudit makes an empty record.
func NewAudit() *AuditRecord {
	return &AuditRecord{chains: map[string][]auditLine{}, signed: map[string]storage.SignedCheckpoint{}}
}

// Append implements storage.Audit.
func (a *AuditRecord) Append(ctx context.Context, tenant string, entries []audit.Entry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.Fail != nil {
		if err := a.Fail(tenant, entries); err != nil {
			return err
		}
	}
	for _, e := range entries {
		e.Tenant = tenant
		line, end, err := a.end(tenant).Next(e)
		if err != nil {
			return err
		}
		a.chains[tenant] = append(a.chains[tenant], auditLine{e, storage.AuditRow{Link: end, Line: line}})
	}
	return nil
}

func (a *AuditRecord) end(tenant string) audit.Link {
	chain := a.chains[tenant]
	if len(chain) == 0 {
		return audit.Link{}
	}
	return chain[len(chain)-1].row.Link
}

// Entries implements storage.Audit.
func (a *AuditRecord) Entries(ctx context.Context, tenant string, f storage.AuditFilter) (rows []storage.AuditRow, scanned int64, err error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range a.chains[tenant] {
		switch e := l.entry; {
		case l.row.Seq <= f.After,
			!f.From.IsZero() && e.At.Before(f.From), !f.To.IsZero() && !e.At.Before(f.To),
			f.Subject != "" && e.Subject != f.Subject, f.Operation != "" && e.Operation != f.Operation,
			f.Project != "" && e.Project != f.Project,
			f.Event != "" && e.Event != f.Event, len(rows) == f.Limit:
		default:
			rows = append(rows, l.row)
		}
	}
	return rows, 0, nil
}

// Checkpoint implements storage.Audit.
func (a *AuditRecord) Checkpoint(_ context.Context, tenant string) (storage.SignedCheckpoint, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	c, ok := a.signed[tenant]
	if !ok {
		return c, storage.ErrNotFound
	}
	return c, nil
}

// Unsigned implements storage.Notary.
func (a *AuditRecord) Unsigned(_ context.Context, after string, limit int) (tenants []string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, tenant := range slices.Sorted(maps.Keys(a.chains)) {
		if tenant > after && a.signed[tenant].Seq < a.end(tenant).Seq && len(tenants) < limit {
			tenants = append(tenants, tenant)
		}
	}
	return tenants, nil
}

// End implements storage.Notary.
func (a *AuditRecord) End(_ context.Context, tenant string) (audit.Link, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.end(tenant), nil
}

// KeepCheckpoint implements storage.Notary.
func (a *AuditRecord) KeepCheckpoint(_ context.Context, tenant string, c storage.SignedCheckpoint) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.signed[tenant].Seq < c.Seq {
		a.signed[tenant] = c
	}
	return nil
}
