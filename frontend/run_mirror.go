package frontend

import (
	"context"

	"github.com/stella-ops/exportcenter/export"
)

// followMirror gives a run that belongs to a mirror what it leaves to the mirror:
// selectors, and the policy snapshot that it decides by. nil where it belongs to none.
// Whether the rest fits is export.Run.CheckMirror's to say, also of the worker.
func (s *Server) followMirror(ctx context.Context, run *export.Run, asked askedRun) (*export.Run, error) {
	id := run.Options.MirrorRunID
	if id == "" {
		return nil, nil //nolint:nilnil // most runs belong to none
	}
	switch {
	case asked.options.AsOf != 0 || !asked.asOfTime.IsZero():
		return nil, fieldError(export.CodeValidation, "options.asOf", "the run reads as of its mirror's moment; leave options.asOf out")
	case asked.dryRun:
		return nil, fieldError(export.CodeValidation, "options.dryRun", "tells of the ledger as it is now, and a run of a mirror reads as of then; leave it out, or options.mirrorRunId")
	}
	mirror, err := s.mirrorOf(ctx, "options.mirrorRunId", id)
	if err != nil {
		return nil, err
	}
	run.Selectors = run.Selectors.InMirror(mirror.Selectors)
	if export.HoldsPolicy(run.Kind, run.Variant) && run.Options.PolicySnapshotID == "" {
		run.Options.PolicySnapshotID = mirror.Options.PolicySnapshotID
	}
	return &mirror, nil
}
