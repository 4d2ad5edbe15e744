package activities

import (
	"context"
	"fmt"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Plan starts the run and fixes the moment of the ledger it reads: all later
// phases, and all their retries, see the same set.
func (e *Export) Plan(ctx context.Context, in PhaseInput) (PhaseResult, error) {
	result, err := e.plan(ctx, in.Ref)
	return result, e.fail(ctx, in.Ref, export.PhasePlan, err)
}

func (e *Export) plan(ctx context.Context, ref export.Ref) (PhaseResult, error) {
	claim, run, err := e.begin(ctx, ref, export.PhasePlan)
	if err != nil {
		return PhaseResult{}, err
	}
	if _, err := e.Adapters.For(run.Kind, run.Variant); err != nil {
		return PhaseResult{}, err
	}
	head, err := e.headOf(ctx, run)
	if err != nil {
		return PhaseResult{}, fmt.Errorf("read ledger head: %w", err)
	}
	if _, err := e.Execution.Start(ctx, claim, head, e.Clock()); err != nil {
		return PhaseResult{}, fmt.Errorf("start run: %w", err)
	}
	return PhaseResult{}, nil
}

// headOf is the moment of its own ledger that a run reads: now, or, where it reads
// several, that of its request, as of the others.
func (e *Export) headOf(ctx context.Context, run export.Run) (int64, error) {
	if run.Reach == nil {
		return e.Ledger.Head(ctx, run.Tenant)
	}
	own, err := readingOf(run, storage.OwnSource())
	return own.AsOf, err
}
