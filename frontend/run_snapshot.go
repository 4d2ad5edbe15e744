package frontend

import (
	"context"
	"errors"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// resolveSnapshot writes into a run that decides by which policy snapshot it does:
// the one it names, or the built-in one. What other kinds name is a word of whoever asks,
// and is recorded as it is.
func (s *Server) resolveSnapshot(ctx context.Context, run *export.Run) error {
	if !export.Decides(run.Kind, run.Variant) {
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
