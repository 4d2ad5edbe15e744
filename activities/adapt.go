package activities

import (
	"context"
	"fmt"
	"io"

	"github.com/stella-ops/exportcenter/export"
)

// Adapt packs every shard of the plan that is not packed yet. A retry goes on
// at the shard boundary where the last attempt stopped: the rows say which
// shards are done, and a shard's bytes depend on nothing but its documents.
func (e *Export) Adapt(ctx context.Context, in PhaseInput) (PhaseResult, error) {
	result, err := e.adapt(ctx, in.Ref)
	return result, e.fail(ctx, in.Ref, export.PhaseAdapt, err)
}

func (e *Export) adapt(ctx context.Context, ref export.Ref) (PhaseResult, error) {
	claim, run, err := e.begin(ctx, ref, export.PhaseAdapt)
	if err != nil {
		return PhaseResult{}, err
	}
	adapter, err := e.Adapters.For(run.Kind, run.Variant)
	if err != nil {
		return PhaseResult{}, err
	}
	planDigest, shards, err := e.Execution.Plan(ctx, ref)
	if err != nil {
		return PhaseResult{}, fmt.Errorf("load plan: %w", err)
	}
	plan, err := e.Objects.Open(ctx, ref.Tenant, planDigest)
	if err != nil {
		return PhaseResult{}, fmt.Errorf("open plan: %w", err)
	}
	defer plan.Close()

	p := &packing{Export: e, claim: claim, adapter: adapter, shards: shards, beat: newHeartbeat(ctx)}
	defer p.discard()
	if err := p.event(ctx, export.EventAdapterStart, "packing begins"); err != nil {
		return PhaseResult{}, err
	}
	if err := p.packAll(ctx, io.NewSectionReader(plan, 0, plan.Size())); err != nil {
		return PhaseResult{}, err
	}
	if err := p.event(ctx, export.EventAdapterComplete, "all shards are packed"); err != nil {
		return PhaseResult{}, err
	}
	return p.total, nil
}
