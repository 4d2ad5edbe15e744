package fault

import (
	"context"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// Ledger passes imports and removals to inner through their points.
func (i *Injector) Ledger(inner ledger.Store) ledger.Store { return &book{i, inner} }

type book struct {
	injector *Injector
	inner    ledger.Store
}

func (b *book) Import(ctx context.Context, tenant string, batch []ledger.Observation) (ledger.Counts, error) {
	return answer(ctx, b.injector, Import, func(ctx context.Context) (ledger.Counts, error) { return b.inner.Import(ctx, tenant, batch) })
}

func (b *book) Remove(ctx context.Context, tenant string, batch []ledger.Removal) (ledger.RemovalCounts, error) {
	return answer(ctx, b.injector, RemoveDocuments, func(ctx context.Context) (ledger.RemovalCounts, error) { return b.inner.Remove(ctx, tenant, batch) })
}

func (b *book) Head(ctx context.Context, tenant string) (int64, error) {
	return read(b.injector, func() (int64, error) { return b.inner.Head(ctx, tenant) })
}

func (b *book) Current(ctx context.Context, tenant, project string, seq int64, sel export.Selectors, keys ledger.KeyRange, yield func(ledger.Row) error) error {
	_, err := read(b.injector, func() (struct{}, error) {
		return struct{}{}, b.inner.Current(ctx, tenant, project, seq, sel, keys, yield)
	})
	return err
}

func (b *book) Touched(ctx context.Context, tenant, project string, after, seq int64, limit int) (keys []string, all bool, err error) {
	keys, err = read(b.injector, func() (found []string, err error) {
		found, all, err = b.inner.Touched(ctx, tenant, project, after, seq, limit)
		return found, err
	})
	return keys, all, err
}

func (b *book) Lines(ctx context.Context, tenant string, places []ledger.Place, yield func(ledger.Line) error) error {
	_, err := read(b.injector, func() (struct{}, error) { return struct{}{}, b.inner.Lines(ctx, tenant, places, yield) })
	return err
}

func (b *book) Originals(ctx context.Context, tenant string, places []ledger.Place, yield func(ledger.Place, []byte) error) error {
	_, err := read(b.injector, func() (struct{}, error) { return struct{}{}, b.inner.Originals(ctx, tenant, places, yield) })
	return err
}

func (b *book) Original(ctx context.Context, tenant string, digest bundle.Digest) ([]byte, error) {
	return read(b.injector, func() ([]byte, error) { return b.inner.Original(ctx, tenant, digest) })
}
