package frontend

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// checkEngine holds a run's policy engine to its kind, and to the evidence it takes:
// all kinds, when none is named.
func checkEngine(profile export.Profile, engine string, kinds []string) error {
	switch {
	case engine == "":
		return nil
	case !export.Decides(profile.Kind, profile.Variant):
		return fieldError(export.CodeValidation, "options.policyEngine", "runs of kind %s decide nothing; leave it out", profile.Label())
	case engine == export.PolicyEngineImported && len(kinds) > 0 && !slices.Contains(kinds, string(ledger.KindFinding)):
		return fieldError(export.CodeValidation, "options.policyEngine",
			"the findings of another engine are evidence of kind finding, and the run takes %s only; use a profile that includes findings", strings.Join(kinds, ", "))
	}
	return nil
}

// resolveSnapshot writes into a run that decides by which policy snapshot it does, or
// carries its pack: the one it names, or the built-in one. What other kinds name is a word of whoever asks,
// and is recorded as it is.
func (s *Server) resolveSnapshot(ctx context.Context, run *export.Run) error {
	if !export.HoldsPolicy(run.Kind, run.Variant) {
		return nil
	}
	if run.Options.PolicySnapshotID == "" {
		run.Options.PolicySnapshotID = export.BaselineSnapshot
	}
	id := run.Options.PolicySnapshotID
	found, err := s.findSnapshot(ctx, id)
	var refused *export.Error
	switch {
	case errors.As(err, &refused) && refused.Code == export.CodeNoSnapshot:
		return storage.SnapshotRefused(id, "there is no such policy snapshot")
	case err != nil:
		return err
	case found.Archived():
		return storage.SnapshotRefused(id, "the policy snapshot is archived and makes no new runs")
	}
	return nil
}
