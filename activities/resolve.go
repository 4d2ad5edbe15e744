package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// Resolve makes the run's plan: the documents it selects, in order, as of the
// planned moment, cut into shards. It follows from the last plan of the same
// selection where it can, and shards that were packed before are taken as they
// are. The rest is shared out into ranges.
func (e *Export) Resolve(ctx context.Context, in PhaseInput) (PhaseResult, error) {
	result, err := e.resolve(ctx, in.Ref)
	return result, e.fail(ctx, in.Ref, export.PhaseResolve, err)
}

func (e *Export) resolve(ctx context.Context, ref export.Ref) (PhaseResult, error) {
	claim, run, err := e.begin(ctx, ref, export.PhaseResolve)
	if err != nil {
		return PhaseResult{}, err
	}
	if export.IsDelta(run.Kind, run.Variant) {
		return e.resolveDelta(ctx, claim, run)
	}
	beat := newHeartbeat(ctx)
	if err := e.mayRead(ctx, run); err != nil {
		return PhaseResult{}, err
	}
	if run.RebuildOf != "" {
		if err := e.intact(ctx, run, beat); err != nil {
			return PhaseResult{}, err
		}
	}
	selection, err := selectionOf(run)
	if err != nil {
		return PhaseResult{}, err
	}
	planner := newPlanner(func(shards []storage.ShardPlaces) error {
		for i := range shards {
			shards[i].Hash = storage.PlacesKey(run.Project, shards[i].Hash)
		}
		return e.Execution.SavePlaces(ctx, claim, shards)
	})
	if err := e.plans(ctx, run, selection, planner, beat); err != nil {
		return PhaseResult{}, err
	}
	if planner.records == 0 && !run.Options.AllowEmpty {
		return PhaseResult{}, export.Errorf(export.CodeEmptySelection,
			"the selectors match no document; import evidence first, widen the selectors, or allow an empty export (options.allowEmpty, stella's --allow-empty)")
	}
	if err := fitsQuota(run, planner.bytes); err != nil {
		return PhaseResult{}, err
	}
	defer beat.wait()()
	digest, err := e.savePlan(ctx, claim, selection, planner.shards)
	if err != nil {
		return PhaseResult{}, err
	}
	if err := e.packingBegins(ctx, claim, run, planner); err != nil {
		return PhaseResult{}, err
	}
	result := PhaseResult{Shards: len(planner.shards), Records: planner.records, Bytes: planner.bytes, Digest: digest.String()}
	if err := e.mayRead(ctx, run); err != nil { // what was packed before is theirs too
		return PhaseResult{}, err
	}
	left, err := e.reuse(ctx, claim, run)
	if err != nil {
		return PhaseResult{}, err
	}
	result.Ranges, result.Builds = rangesOf(left), export.Assembled(run.Kind, run.Variant)
	result.Encrypted = run.Encryption != nil
	if result.Guarded, err = e.guards(run); err != nil {
		return PhaseResult{}, err
	}
	e.log(run, export.PhaseResolve).Info("planned", "shards", len(planner.shards), "to_pack", len(left), "records", planner.records)
	return result, nil
}

// fitsQuota refuses a plan that takes more than one run of its profile may: before
// anything is packed, and in the bytes that a dry run tells.
func fitsQuota(run export.Run, bytes int64) error {
	bound := run.Quotas.MaxBytes
	if bound == 0 || bytes <= bound {
		return nil
	}
	err := export.Errorf(export.CodeQuota, "the selection has %d bytes and a run of profile %s may take %d (its quotas.maxBytes); "+
		"narrow the selectors, see with a dry run what they take, or raise the bound in a new revision of the profile", bytes, run.ProfileName, bound)
	err.Class = export.ClassQuota
	return err
}

// packingBegins records that the adapter has its work; with nothing to pack, it
// has done it.
func (e *Export) packingBegins(ctx context.Context, claim storage.Claim, run export.Run, plan *planner) error {
	metrics := map[string]int64{"shards": int64(len(plan.shards)), "records": plan.records, "bytes": plan.bytes}
	event := export.Event{Type: export.EventAdapterStart, Message: "packing begins", At: e.Clock(), Metrics: metrics}
	err := e.Execution.AddEvent(ctx, claim, "", event)
	if err == nil && len(plan.shards) == 0 && !export.Assembled(run.Kind, run.Variant) {
		event.Type, event.Message = export.EventAdapterComplete, "there is nothing to pack"
		err = e.Execution.AddEvent(ctx, claim, "", event)
	}
	if err != nil {
		return fmt.Errorf("record %s: %w", event.Type, err)
	}
	return nil
}

// selectionOf names what a run selects: runs of a project with the same
// selection differ in nothing but the moment they read at.
func selectionOf(run export.Run) (bundle.Digest, error) {
	text, err := bundle.MarshalCanonical(run.Selectors)
	if err != nil {
		return bundle.Digest{}, fmt.Errorf("selectors of the run: %w", err)
	}
	return bundle.DigestOf(text), nil
}

// plans fills the planner. Of a run that reads several tenants' evidence every
// reading is listed as a whole, one after the other, each within its own tenant's
// wall: a last plan is of one ledger (docs/decisions/0012).
func (e *Export) plans(ctx context.Context, run export.Run, selection bundle.Digest, planner *planner, beat *heartbeat) error {
	if run.Reach != nil {
		for _, reading := range run.Reach.Readings {
			if err := planner.from(SourceOf(run, reading)); err != nil {
				return err
			}
			if err := e.list(ctx, run, reading, ledger.KeyRange{}, planner, beat); err != nil {
				return err
			}
		}
		return planner.end()
	}
	own := readingsOf(run)[0]
	found := beat.wait()
	parts, err := e.parts(ctx, run, selection)
	found()
	if err != nil {
		return err
	}
	for _, part := range parts {
		if part.kept != nil {
			err = planner.adopt(*part.kept)
		} else {
			err = e.list(ctx, run, own, part.keys, planner, beat)
		}
		if err != nil {
			return err
		}
	}
	return planner.end()
}

// What may have changed since the last plan for it to be worth following. The
// first bounds what is read of the changes, the second the share of shards that
// are listed again, in percent.
const (
	touchedAtMost = 50_000
	staleAtMost   = 60
	// What terms select is looked up anew for every part.
	partsByTerms = 4
)

// parts tells what of the last plan can stay, and what is to be listed.
func (e *Export) parts(ctx context.Context, run export.Run, selection bundle.Digest) ([]stretch, error) {
	if run.RebuildOf != "" {
		return everything, nil
	}
	asOf, old, err := e.Execution.LastPlan(ctx, run, selection)
	if errors.Is(err, storage.ErrNotFound) || err == nil && asOf > run.AsOf {
		return everything, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find the last plan: %w", err)
	}
	touched, all, err := e.Ledger.Touched(ctx, run.Tenant, run.Project, asOf, run.AsOf, touchedAtMost)
	if err != nil {
		return nil, fmt.Errorf("ask what changed since the last plan: %w", err)
	}
	if !all {
		return everything, nil
	}
	parts := derive(old, touched)
	kept := 0
	for _, part := range parts {
		if part.kept != nil {
			kept++
		}
	}
	if byTerms := len(run.Selectors.Products) + len(run.Selectors.Ecosystems) + len(run.Selectors.Include) + len(run.Selectors.Exclude) + len(run.Selectors.SBOMSubjects); byTerms > 0 && len(parts)-kept > partsByTerms {
		return everything, nil
	}
	if stale := len(old) - kept; stale*100 > staleAtMost*len(old) {
		return everything, nil
	}
	return parts, nil
}

// list reads a part of the documents into the planner.
func (e *Export) list(ctx context.Context, run export.Run, of export.Reading, keys ledger.KeyRange, planner *planner, beat *heartbeat) error {
	// To the end: a pass over everything may find nothing that is wanted for long.
	defer beat.wait()()
	err := e.Ledger.Current(ctx, of.Tenant, of.Project, of.AsOf, run.Selectors, keys, func(row ledger.Row) error {
		beat.tick(planner.records)
		return planner.add(row)
	})
	if err != nil {
		return fmt.Errorf("list documents as of %d: %w", of.AsOf, err)
	}
	return nil
}

// savePlan stores the plan and records it.
func (e *Export) savePlan(ctx context.Context, claim storage.Claim, selection bundle.Digest, shards []storage.Shard) (bundle.Digest, error) {
	staged, err := e.Objects.Stage(ctx, claim.Ref.Tenant)
	if err != nil {
		return bundle.Digest{}, fmt.Errorf("stage plan: %w", err)
	}
	defer staged.Discard() //nolint:errcheck // a no-op after Publish
	if err := writePlan(staged, shards); err != nil {
		return bundle.Digest{}, err
	}
	digest, err := e.publish(ctx, claim, staged)
	if err != nil {
		return bundle.Digest{}, fmt.Errorf("store plan: %w", err)
	}
	if err := e.Execution.SavePlan(ctx, claim, digest, selection, shards, e.Clock()); err != nil {
		e.takeBack(ctx, claim.Ref.Tenant, digest)
		return bundle.Digest{}, fmt.Errorf("save plan: %w", err)
	}
	return digest, nil
}
