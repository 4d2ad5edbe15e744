package frontend

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// resolveDelta writes into a run that makes a delta between which full mirrors it lies:
// the base it names, and the target it names or else the newest of the base's family.
// What the delta is made of is fixed with that: whenever the run is tried again,
// it is between these two.
func (s *Server) resolveDelta(ctx context.Context, run *export.Run, asked askedRun) error {
	o := &run.Options
	switch {
	case !export.IsDelta(run.Kind, run.Variant):
		if o.BaseRunID != "" || o.TargetRunID != "" {
			return fieldError(export.CodeValidation, "options.baseRunId", "a run of kind %s:%s lies between no mirrors; leave it out, and options.targetRunId", run.Kind, run.Variant)
		}
		return nil
	case o.BaseRunID == "":
		return fieldError(export.CodeValidation, "options.baseRunId", "is missing: name the run of the full mirror that the delta begins at")
	case asked.dryRun:
		return fieldError(export.CodeValidation, "options.dryRun", "what a delta takes is not known before both mirrors were compared; leave it out")
	case o.AsOf != 0 || !asked.asOfTime.IsZero():
		return fieldError(export.CodeValidation, "options.asOf", "a delta is as of its target; leave it out, and name another target")
	}
	base, err := s.mirrorOf(ctx, "options.baseRunId", o.BaseRunID)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(asked.selectors, export.Selectors{}) && !reflect.DeepEqual(asked.selectors, base.Selectors) {
		return fieldError(export.CodeSelector, "selectors", "a delta takes what its mirrors take; leave them out")
	}
	var target export.Run
	if o.TargetRunID != "" {
		target, err = s.mirrorOf(ctx, "options.targetRunId", o.TargetRunID)
	} else {
		target, err = s.newestMirror(ctx, base)
	}
	if err != nil {
		return err
	}
	if err := sameFamily(base, target); err != nil {
		return err
	}
	if err := run.CheckEnds(base, target); err != nil {
		return err
	}
	run.Project, run.Selectors, o.TargetRunID = base.Project, base.Selectors, target.ID
	return nil
}

// mirrorOf gives the full mirror that a field names. One of another tenant, or of
// another project than the caller's, is none.
func (s *Server) mirrorOf(ctx context.Context, field, id string) (export.Run, error) {
	run, err := s.findRun(ctx, id)
	var refused *export.Error
	switch {
	case errors.As(err, &refused) && refused.Code == export.CodeRunNotFound:
		return run, fieldError(export.CodeBaseManifest, field, "there is no such run: name a run of kind mirror:full that succeeded (stella export list)")
	case err != nil:
		return run, err
	case !export.IsFullMirror(run.Kind, run.Variant):
		return run, fieldError(export.CodeBaseManifest, field, "run %s is of kind %s:%s; name the run of a full mirror (mirror:full)", run.ID, run.Kind, run.Variant)
	case run.State != export.StateSucceeded || run.Generation == 0:
		return run, fieldError(export.CodeBaseManifest, field, "run %s is %s; name a mirror that succeeded and whose bundle is there", run.ID, run.State)
	}
	return run, nil
}

// newestMirror gives the mirror that a delta leads to when the request names none. Where
// the base itself is the newest, there is nothing to lead to: an empty delta is made only
// for those who name both its ends, since one that nobody meant looks like a day on which
// nothing happened.
func (s *Server) newestMirror(ctx context.Context, base export.Run) (export.Run, error) {
	newest, err := s.cfg.Runs.NewestMirror(ctx, base)
	switch {
	case errors.Is(err, storage.ErrNotFound): // it went meanwhile
		return base, fieldError(export.CodeBaseManifest, "options.baseRunId", "run %s is not there any more; name a run of kind mirror:full that succeeded (stella export list)", base.ID)
	case err != nil:
		return base, fmt.Errorf("find the newest mirror: %w", err)
	case newest.ID == base.ID:
		return base, fieldError(export.CodeBaseManifest, "options.targetRunId", "run %s is the newest mirror of its profile and selection (generation %d), so a delta from it would be empty; "+
			"make a mirror first (mirror:full), or name the run here to have an empty delta", base.ID, base.Generation)
	}
	return newest, nil
}

// mirrorFamily is what mirrors must share, beside their selection, for a delta to lie
// between them: a project, and a profile in whichever revision.
type mirrorFamily struct{ project, profile string }

func family(run export.Run) mirrorFamily { return mirrorFamily{run.Project, run.ProfileID} }

// sameFamily refuses two mirrors that no delta can lie between.
func sameFamily(base, target export.Run) error {
	const field = "options.targetRunId"
	switch {
	case family(base) != family(target):
		return fieldError(export.CodeBaseManifest, field, "run %s is of profile %s, the base %s of %s; a delta lies between mirrors of one project and profile",
			target.ID, target.ProfileName, base.ID, base.ProfileName)
	case !reflect.DeepEqual(base.Selectors, target.Selectors):
		return fieldError(export.CodeBaseManifest, field, "run %s and the base %s select different evidence; a delta lies between mirrors of one selection", target.ID, base.ID)
	case base.Generation > target.Generation:
		return fieldError(export.CodeBaseManifest, field, "run %s is generation %d, older than the base's %d; a delta leads forward", target.ID, target.Generation, base.Generation)
	}
	return nil
}
