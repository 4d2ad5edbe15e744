package frontend

import (
	"context"
	"fmt"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// DownloadRun gives the bundle: a view computed over the run's blobs, so that
// the first byte does not wait for the last. A blob is compared with its digest
// before a byte of it is given (openCompared): a range costs its own bytes
// and those of the blobs in which it begins and ends. The run's row is read each
// time; where the files lie in the archive is remembered (outlines).
func (h handlers) DownloadRun(ctx context.Context, req DownloadRunRequestObject) (DownloadRunResponseObject, error) {
	run, err := h.finishedInTime(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	outline, err := h.outlines.of(ctx, run)
	if err != nil {
		return nil, err
	}
	view := outline.View(func(m bundle.Member) (bundle.Source, error) {
		blob, err := h.openCompared(ctx, run.Tenant, m.Digest, m.Size)
		return blob, lost(err)
	})
	return archiveResponse{server: h.Server, call: callOf(ctx), run: run, view: view}, nil
}

// finishedInTime bounds the one read of the database that comes before an archive.
func (s *Server) finishedInTime(ctx context.Context, id string) (export.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	return s.finishedRun(ctx, id)
}

// finishedRun gives a run that has a bundle, or says why there is none.
func (s *Server) finishedRun(ctx context.Context, id string) (export.Run, error) {
	run, err := s.findRun(ctx, id)
	switch {
	case err != nil:
		return run, err
	case run.State == export.StateExpired:
		return run, export.Errorf(export.CodeExpired, "the bundle of this run has expired; start a new run")
	case run.RebuildOf != "":
		return run, export.Errorf(export.CodeNotReady, "the run builds run %s again, and has no bundle of its own", run.RebuildOf)
	case run.State.Terminal() && !run.State.Downloadable():
		return run, export.Errorf(export.CodeNotReady, "the run ended %s and has no bundle", run.State)
	case !run.State.Downloadable():
		return run, export.Errorf(export.CodeNotReady, "the run is %s; its bundle is there once it has succeeded", run.State)
	case run.Encryption != nil && run.Result.Encrypted == nil: // nobody can have made it so: plaintext does not leave
		return run, fmt.Errorf("run %s is to be encrypted and is not: %w", run.ID, storage.ErrCorrupt)
	}
	return run, nil
}
