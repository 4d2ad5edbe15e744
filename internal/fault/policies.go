package fault

import (
	"context"
	"time"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Policies passes what is done to policy snapshots to inner through its point.
func (i *Injector) Policies(inner storage.PolicySnapshots) storage.PolicySnapshots {
	return &policies{i, inner}
}

type policies struct {
	injector *Injector
	inner    storage.PolicySnapshots
}

func (p *policies) ImportSnapshot(ctx context.Context, s export.PolicySnapshot, pack []byte, idem storage.Idempotency) (stored export.PolicySnapshot, created bool, err error) {
	stored, err = answer(ctx, p.injector, ImportSnapshot, func(ctx context.Context) (first export.PolicySnapshot, err error) {
		first, created, err = p.inner.ImportSnapshot(ctx, s, pack, idem)
		return first, err
	})
	return stored, created && err == nil, err
}

func (p *policies) GetSnapshot(ctx context.Context, tenant, id string) (export.PolicySnapshot, error) {
	return read(p.injector, func() (export.PolicySnapshot, error) { return p.inner.GetSnapshot(ctx, tenant, id) })
}

func (p *policies) ReadPack(ctx context.Context, tenant, id string) (s export.PolicySnapshot, pack []byte, err error) {
	s, err = read(p.injector, func() (found export.PolicySnapshot, err error) {
		found, pack, err = p.inner.ReadPack(ctx, tenant, id)
		return found, err
	})
	return s, pack, err
}

func (p *policies) ListSnapshots(ctx context.Context, tenant string, f storage.SnapshotFilter) (page []export.PolicySnapshot, next string, err error) {
	page, err = read(p.injector, func() (found []export.PolicySnapshot, err error) {
		found, next, err = p.inner.ListSnapshots(ctx, tenant, f)
		return found, err
	})
	return page, next, err
}

func (p *policies) ArchiveSnapshot(ctx context.Context, tenant, id, by string, at time.Time) (export.PolicySnapshot, error) {
	return answer(ctx, p.injector, ArchiveSnapshot, func(ctx context.Context) (export.PolicySnapshot, error) {
		return p.inner.ArchiveSnapshot(ctx, tenant, id, by, at)
	})
}
