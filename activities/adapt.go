package activities

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/export"
)

// AdaptRange packs the shards of a range that are not packed yet. A retry goes
// on at the shard boundary where the last attempt stopped: the rows say which
// shards are done, and a shard's bytes depend on nothing but its documents.
func (e *Export) AdaptRange(ctx context.Context, in RangeInput) (PhaseResult, error) {
	result, err := e.adapt(ctx, in.Ref, in.Range, partOf(in.Range))
	return result, e.fail(ctx, in.Ref, export.PhaseAdapt, err)
}

// partOf is the part of the phase that a range is.
func partOf(of OrdinalRange) string { return strconv.Itoa(of.From) }

// Adapt packs the shards of a run that began under a version without ranges.
func (e *Export) Adapt(ctx context.Context, in PhaseInput) (PhaseResult, error) {
	result, err := e.adapt(ctx, in.Ref, OrdinalRange{To: math.MaxInt32}, "")
	return result, e.fail(ctx, in.Ref, export.PhaseAdapt, err)
}

func (e *Export) adapt(ctx context.Context, ref export.Ref, of OrdinalRange, part string) (PhaseResult, error) {
	claim, run, err := e.beginPart(ctx, ref, export.PhaseAdapt, part)
	if err != nil {
		return PhaseResult{}, err
	}
	adapter, err := e.Adapters.For(run.Kind, run.Variant)
	if err != nil {
		return PhaseResult{}, err
	}
	packs, err := e.Adapters.PackingOf(adapter)
	if err != nil {
		return PhaseResult{}, err
	}
	recipe, err := recipeOf(run, packs)
	if err != nil {
		return PhaseResult{}, err
	}
	shards, err := e.Execution.Shards(ctx, ref, of.From, of.To)
	if err != nil {
		return PhaseResult{}, fmt.Errorf("load plan: %w", err)
	}
	packer, err := packs.Packer(run.Options)
	if err != nil {
		return PhaseResult{}, err
	}
	p := &packing{Export: e, claim: claim, run: run, packer: packer, evidence: !adapters.Intermediate(packs), recipe: recipe, beat: newHeartbeat(ctx)}
	if err := p.packAll(ctx, shards); err != nil {
		return PhaseResult{}, err
	}
	return p.total, nil
}
