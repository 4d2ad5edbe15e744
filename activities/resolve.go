package activities

import (
	"context"
	"fmt"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// Resolve lists the documents the run selects, in order, as of the planned
// moment, cuts them into shards and stores that as the run's plan.
func (e *Export) Resolve(ctx context.Context, in PhaseInput) (PhaseResult, error) {
	result, err := e.resolve(ctx, in.Ref)
	return result, e.fail(ctx, in.Ref, export.PhaseResolve, err)
}

func (e *Export) resolve(ctx context.Context, ref export.Ref) (PhaseResult, error) {
	claim, run, err := e.begin(ctx, ref, export.PhaseResolve)
	if err != nil {
		return PhaseResult{}, err
	}
	staged, err := e.Objects.Stage(ctx, ref.Tenant)
	if err != nil {
		return PhaseResult{}, fmt.Errorf("stage plan: %w", err)
	}
	defer staged.Discard() //nolint:errcheck // a no-op after Publish

	planner := newPlanner(staged)
	beat := newHeartbeat(ctx)
	arrived := beat.wait()
	defer arrived()
	err = e.Ledger.Current(ctx, ref.Tenant, run.Project, run.AsOf, run.Selectors, func(row ledger.Row) error {
		arrived()
		beat.tick(planner.records)
		return planner.add(row)
	})
	if err != nil {
		return PhaseResult{}, fmt.Errorf("list documents as of %d: %w", run.AsOf, err)
	}
	if err := planner.finish(); err != nil {
		return PhaseResult{}, err
	}
	if planner.records == 0 && !run.Options.AllowEmpty {
		return PhaseResult{}, export.Errorf(export.CodeEmptySelection,
			"the selectors match no document; import evidence first, widen the selectors, or allow an empty export (options.allowEmpty, stella's --allow-empty)")
	}
	digest, err := e.publish(ctx, claim, staged)
	if err != nil {
		return PhaseResult{}, fmt.Errorf("store plan: %w", err)
	}
	if err := e.Execution.SavePlan(ctx, claim, digest, planner.shards, e.Clock()); err != nil {
		return PhaseResult{}, fmt.Errorf("save plan: %w", err)
	}
	e.log(run, export.PhaseResolve).Info("planned", "shards", len(planner.shards), "records", planner.records)
	return PhaseResult{Shards: len(planner.shards), Records: planner.records, Bytes: planner.bytes, Digest: digest.String()}, nil
}
