package fault

import (
	"context"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Runs passes what the API writes to inner through its point.
func (i *Injector) Runs(inner storage.Runs) storage.Runs { return &runs{i, inner} }

type runs struct {
	injector *Injector
	inner    storage.Runs
}

func (r *runs) CreateRun(ctx context.Context, run export.Run, idem storage.Idempotency) (stored export.Run, created bool, err error) {
	stored, err = answer(ctx, r.injector, CreateRun, func(ctx context.Context) (run2 export.Run, err error) {
		run2, created, err = r.inner.CreateRun(ctx, run, idem)
		return run2, err
	})
	return stored, created && err == nil, err
}

func (r *runs) FindRun(ctx context.Context, tenant string, idem storage.Idempotency) (run export.Run, found bool, err error) {
	run, err = read(r.injector, func() (first export.Run, err error) {
		first, found, err = r.inner.FindRun(ctx, tenant, idem)
		return first, err
	})
	return run, found, err
}

func (r *runs) GetRun(ctx context.Context, ref export.Ref) (export.Run, error) {
	return read(r.injector, func() (export.Run, error) { return r.inner.GetRun(ctx, ref) })
}

func (r *runs) ListRuns(ctx context.Context, tenant string, f storage.RunFilter) (page []export.Run, next string, err error) {
	page, err = read(r.injector, func() (found []export.Run, err error) {
		found, next, err = r.inner.ListRuns(ctx, tenant, f)
		return found, err
	})
	return page, next, err
}

func (r *runs) NewestMirror(ctx context.Context, base export.Run) (export.Run, error) {
	return read(r.injector, func() (export.Run, error) { return r.inner.NewestMirror(ctx, base) })
}

func (r *runs) RequestCancel(ctx context.Context, ref export.Ref, c export.Cancellation) (export.Run, error) {
	return answer(ctx, r.injector, RequestCancel, func(ctx context.Context) (export.Run, error) { return r.inner.RequestCancel(ctx, ref, c) })
}

func (r *runs) Decide(ctx context.Context, ref export.Ref, d export.Decision) (export.Run, error) {
	return answer(ctx, r.injector, Decide, func(ctx context.Context) (export.Run, error) { return r.inner.Decide(ctx, ref, d) })
}

func (r *runs) GuardReport(ctx context.Context, ref export.Ref) (storage.Guarded, error) {
	return read(r.injector, func() (storage.Guarded, error) { return r.inner.GuardReport(ctx, ref) })
}

func (r *runs) Events(ctx context.Context, ref export.Ref, after int64, limit int) ([]export.Event, error) {
	return read(r.injector, func() ([]export.Event, error) { return r.inner.Events(ctx, ref, after, limit) })
}

func (r *runs) Files(ctx context.Context, ref export.Ref) ([]storage.File, error) {
	return read(r.injector, func() ([]storage.File, error) { return r.inner.Files(ctx, ref) })
}

func (r *runs) Planned(ctx context.Context, ref export.Ref, from, limit int) (plan bundle.Digest, shards []storage.PlannedShard, err error) {
	shards, err = read(r.injector, func() (found []storage.PlannedShard, err error) {
		plan, found, err = r.inner.Planned(ctx, ref, from, limit)
		return found, err
	})
	return plan, shards, err
}

func (r *runs) Shares(ctx context.Context, ref export.Ref) ([]storage.Share, error) {
	return read(r.injector, func() ([]storage.Share, error) { return r.inner.Shares(ctx, ref) })
}

func (r *runs) PackedBefore(ctx context.Context, tenant string, recipe bundle.Digest, hashes []bundle.Digest) ([]bool, error) {
	return read(r.injector, func() ([]bool, error) { return r.inner.PackedBefore(ctx, tenant, recipe, hashes) })
}

// Dispatch passes the giving out of runs to inner through its point.
func (i *Injector) Dispatch(inner storage.Dispatch) storage.Dispatch { return &dispatch{i, inner} }

type dispatch struct {
	injector *Injector
	inner    storage.Dispatch
}

func (d *dispatch) Waiting(ctx context.Context, after string, tenants int) ([]storage.Waiting, error) {
	return read(d.injector, func() ([]storage.Waiting, error) { return d.inner.Waiting(ctx, after, tenants) })
}

func (d *dispatch) Claim(ctx context.Context, tenant string, at time.Time) ([]storage.Waiting, error) {
	return answer(ctx, d.injector, ClaimTurn, func(ctx context.Context) ([]storage.Waiting, error) { return d.inner.Claim(ctx, tenant, at) })
}

func (r *runs) Attestations(ctx context.Context, ref export.Ref) ([]storage.StoredSignature, error) {
	return read(r.injector, func() ([]storage.StoredSignature, error) { return r.inner.Attestations(ctx, ref) })
}
