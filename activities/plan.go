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
	if err := refuseBuilding(run); err != nil {
		return PhaseResult{}, err
	}
	if run.RebuildOf != "" {
		of, err := e.original(ctx, run)
		if err != nil {
			return PhaseResult{}, err
		}
		if _, err := e.Execution.Start(ctx, claim, of.AsOf, e.Clock()); err != nil {
			return PhaseResult{}, fmt.Errorf("start run: %w", err)
		}
		return PhaseResult{Rebuild: true}, nil
	}
	if _, err := e.rootsOf(run); err != nil { // before anything is packed
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

// refuseBuilding refuses what kinds that build cannot follow, before anything is
// packed: whose evidence a record of a database is of nobody could tell, and a part
// of a document decides nothing.
func refuseBuilding(run export.Run) error {
	if !export.Assembled(run.Kind, run.Variant) {
		return nil
	}
	kind := run.Kind + ":" + run.Variant
	if run.Reach != nil {
		return export.Errorf(export.CodeSelector, "%s is made of one tenant's evidence: leave the other tenants out of the selectors, or export json:raw", kind)
	}
	if run.Options.Redaction != nil {
		return export.Errorf(export.CodeValidation, "%s is made of whole evidence: leave options.redaction out, or export json:raw", kind)
	}
	return nil
}

// headOf is the moment of its own ledger that a run reads: now, or the one that it was
// asked for as of, or, where it reads several, that of its request, as of the others.
func (e *Export) headOf(ctx context.Context, run export.Run) (int64, error) {
	if export.IsDelta(run.Kind, run.Variant) {
		_, target, err := e.ends(ctx, run)
		return target.AsOf, err
	}
	if mirror, err := e.mirrorOf(ctx, run); err != nil || mirror != nil {
		if err != nil {
			return 0, err
		}
		return mirror.AsOf, nil
	}
	asked := run.Options.AsOf != 0
	if run.Reach == nil || asked {
		head, err := e.Ledger.Head(ctx, run.Tenant)
		if err != nil || !asked {
			return head, err
		}
		return run.Options.AsOf, run.CheckAsOf(head)
	}
	own, err := readingOf(run, storage.OwnSource())
	return own.AsOf, err
}
