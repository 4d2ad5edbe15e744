package fault

import (
	"context"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/storage"
)

// Audit passes entries of the audit record to inner through their point.
func (i *Injector) Audit(inner storage.Audit) storage.Audit { return &record{i, inner} }

type record struct {
	injector *Injector
	inner    storage.Audit
}

func (r *record) Append(ctx context.Context, tenant string, entries []audit.Entry) error {
	return r.injector.At(ctx, Append, func(ctx context.Context) error { return r.inner.Append(ctx, tenant, entries) })
}

func (r *record) Entries(ctx context.Context, tenant string, f storage.AuditFilter) (rows []storage.AuditRow, scanned int64, err error) {
	rows, err = read(r.injector, func() (found []storage.AuditRow, err error) {
		found, scanned, err = r.inner.Entries(ctx, tenant, f)
		return found, err
	})
	return rows, scanned, err
}

func (r *record) Checkpoint(ctx context.Context, tenant string) (storage.SignedCheckpoint, error) {
	return read(r.injector, func() (storage.SignedCheckpoint, error) { return r.inner.Checkpoint(ctx, tenant) })
}

// Notary passes checkpoints to inner through their point.
func (i *Injector) Notary(inner storage.Notary) storage.Notary { return &notary{i, inner} }

type notary struct {
	injector *Injector
	inner    storage.Notary
}

func (n *notary) Unsigned(ctx context.Context, after string, limit int) ([]string, error) {
	return read(n.injector, func() ([]string, error) { return n.inner.Unsigned(ctx, after, limit) })
}

func (n *notary) End(ctx context.Context, tenant string) (audit.Link, error) {
	return read(n.injector, func() (audit.Link, error) { return n.inner.End(ctx, tenant) })
}

func (n *notary) KeepCheckpoint(ctx context.Context, tenant string, c storage.SignedCheckpoint) error {
	return n.injector.At(ctx, KeepCheckpoint, func(ctx context.Context) error { return n.inner.KeepCheckpoint(ctx, tenant, c) })
}
