package frontend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// countCorrupt notes that a stored byte of run was not what its digest says, or
// was not there: a disk or a person changes what must not change. The error names
// the blob.
func (s *Server) countCorrupt(ctx context.Context, run export.Run, err error) {
	s.log.LogAttrs(ctx, slog.LevelError, "stored bytes are wrong and were not served; exportcenter fsck --deep finds all of them",
		slog.String("tenant", run.Tenant), slog.String("runId", run.ID), slog.String("traceId", callOf(ctx).trace),
		slog.Int64("corruptReads", s.corrupt.Add(1)), slog.Any("error", err))
}

// lost makes a missing blob of a run that exists what it is: a loss, not the
// absence of what was asked for.
func lost(err error) error {
	if !errors.Is(err, storage.ErrNotFound) {
		return err
	}
	return fmt.Errorf("%w: %v", storage.ErrCorrupt, err)
}
