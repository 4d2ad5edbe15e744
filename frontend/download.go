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
// before a byte of it is given (storage.OpenVerified): a range costs its own bytes
// and those of the blobs in which it begins and ends.
func (h handlers) DownloadRun(ctx context.Context, req DownloadRunRequestObject) (DownloadRunResponseObject, error) {
	run, err := h.finishedRun(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	files, err := h.cfg.Runs.Files(ctx, run.Ref())
	if err != nil {
		return nil, fmt.Errorf("list files of run %s: %w", run.ID, err)
	}
	members := make([]bundle.Member, 0, len(files))
	for _, f := range files {
		members = append(members, bundle.Member{Path: f.Path, Size: f.Size, Digest: f.Digest})
	}
	view, err := bundle.NewView(members, func(m bundle.Member) (bundle.Source, error) {
		blob, err := storage.OpenVerified(ctx, h.cfg.Objects, run.Tenant, m.Digest, m.Size)
		return blob, lost(err)
	})
	if err != nil {
		return nil, fmt.Errorf("archive of run %s: %w", run.ID, err)
	}
	if view.Size() != run.Result.ArchiveBytes {
		return nil, fmt.Errorf("archive of run %s has %d bytes, its row says %d", run.ID, view.Size(), run.Result.ArchiveBytes)
	}
	return archiveResponse{server: h.Server, call: callOf(ctx), run: run, view: view}, nil
}

// finishedRun gives a run that has a bundle, or says why there is none.
func (s *Server) finishedRun(ctx context.Context, id string) (export.Run, error) {
	run, err := s.findRun(ctx, id)
	switch {
	case err != nil:
		return run, err
	case run.State == export.StateExpired:
		return run, export.Errorf(export.CodeExpired, "the bundle of this run has expired; start a new run")
	case run.State.Terminal() && !run.State.Downloadable():
		return run, export.Errorf(export.CodeNotReady, "the run ended %s and has no bundle", run.State)
	case !run.State.Downloadable():
		return run, export.Errorf(export.CodeNotReady, "the run is %s; its bundle is there once it has succeeded", run.State)
	}
	return run, nil
}
