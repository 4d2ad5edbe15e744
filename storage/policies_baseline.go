package storage

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// Baseline is the built-in policy snapshot: the pack that comes with the program.
type Baseline struct {
	Snapshot export.PolicySnapshot // without a tenant: it is everybody's
	Pack     []byte
}

// NewBaseline makes the built-in snapshot of its pack.
func NewBaseline(name, version string, pack []byte) Baseline {
	return Baseline{Pack: pack, Snapshot: export.PolicySnapshot{
		ID: export.BaselineSnapshot, Name: name, Version: version, Digest: bundle.DigestOf(pack).String(), Bytes: int64(len(pack)),
		Description: "What decides when a run names no policy snapshot", CreatedBy: "exportcenter",
	}}
}

// WithBaseline adds the built-in snapshot to those of a store: every tenant has it.
func WithBaseline(store PolicySnapshots, builtin Baseline) PolicySnapshots {
	return &withBaseline{store, builtin}
}

type withBaseline struct {
	PolicySnapshots
	builtin Baseline
}

// of gives the built-in snapshot as a tenant has it.
func (w *withBaseline) of(tenant string) export.PolicySnapshot {
	s := w.builtin.Snapshot
	s.Tenant = tenant
	return s
}

func (w *withBaseline) GetSnapshot(ctx context.Context, tenant, id string) (export.PolicySnapshot, error) {
	if id == export.BaselineSnapshot {
		return w.of(tenant), nil
	}
	return w.PolicySnapshots.GetSnapshot(ctx, tenant, id)
}

func (w *withBaseline) ReadPack(ctx context.Context, tenant, id string) (export.PolicySnapshot, []byte, error) {
	if id == export.BaselineSnapshot {
		return w.of(tenant), slices.Clone(w.builtin.Pack), nil
	}
	return w.PolicySnapshots.ReadPack(ctx, tenant, id)
}

func (w *withBaseline) ListSnapshots(ctx context.Context, tenant string, f SnapshotFilter) ([]export.PolicySnapshot, string, error) {
	after, err := f.After()
	if err != nil {
		return nil, "", err
	}
	page, next, err := w.PolicySnapshots.ListSnapshots(ctx, tenant, f)
	if err != nil {
		return nil, "", err
	}
	own := w.of(tenant)
	place := PlaceOf(own)
	if !f.Admits(own) || place.Compare(after) <= 0 {
		return page, next, nil
	}
	// A page that another one follows is full: what is cut off of it comes there.
	page = append(slices.Clone(page), own)
	slices.SortStableFunc(page, func(a, b export.PolicySnapshot) int { return PlaceOf(a).Compare(PlaceOf(b)) })
	cut, more := SnapshotPage(page, f.Limit)
	if more == "" {
		more = next
	}
	return cut, more, nil
}

func (w *withBaseline) ArchiveSnapshot(ctx context.Context, tenant, id string, by string, at time.Time) (export.PolicySnapshot, error) {
	if id == export.BaselineSnapshot {
		return export.PolicySnapshot{}, &export.Error{Code: export.CodeStateConflict, Class: export.ClassPermanent, Field: "id", Err: ErrConflict,
			Message: fmt.Sprintf("policy snapshot %s is built in and is not archived", id)}
	}
	return w.PolicySnapshots.ArchiveSnapshot(ctx, tenant, id, by, at)
}
