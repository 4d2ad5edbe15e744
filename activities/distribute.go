package activities

import (
	"context"
	"fmt"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Distribute makes the bundle available for download. The archive is a view
// over blobs, so nothing is copied; what is checked is that everything the
// view promises is there (ARCHITECTURE D13).
func (e *Export) Distribute(ctx context.Context, in PhaseInput) (PhaseResult, error) {
	result, err := e.distribute(ctx, in.Ref)
	return result, e.fail(ctx, in.Ref, export.PhaseDistribute, err)
}

func (e *Export) distribute(ctx context.Context, ref export.Ref) (PhaseResult, error) {
	claim, run, err := e.begin(ctx, ref, export.PhaseDistribute)
	if err != nil {
		return PhaseResult{}, err
	}
	if err := offered(run); err != nil {
		return PhaseResult{}, err
	}
	begins := export.Event{Type: export.EventDistributing, Message: "offering the bundle for download", At: e.Clock(),
		Metrics: map[string]int64{"bytes": run.Result.ArchiveBytes}}
	if err := e.Execution.AddEvent(ctx, claim, "", begins); err != nil {
		return PhaseResult{}, fmt.Errorf("record that distribution begins: %w", err)
	}
	files, err := e.Execution.OfferedFiles(ctx, ref)
	if err != nil {
		return PhaseResult{}, fmt.Errorf("list bundle files: %w", err)
	}
	beat := newHeartbeat(ctx)
	for i, f := range files {
		beat.tick(int64(i))
		if err := e.present(ctx, ref.Tenant, f); err != nil {
			return PhaseResult{}, err
		}
	}
	archive, err := bundle.ParseDigest(run.Result.ArchiveDigest)
	if err != nil {
		return PhaseResult{}, fmt.Errorf("archive digest of the run: %w", err)
	}
	err = e.Execution.SaveDistribution(ctx, claim, storage.Distribution{
		Type: "http", Location: "/api/export/runs/" + ref.RunID + "/download",
		Digest: archive, Size: run.Result.ArchiveBytes,
	}, e.Clock())
	if err != nil {
		return PhaseResult{}, fmt.Errorf("save distribution: %w", err)
	}
	return PhaseResult{Bytes: run.Result.ArchiveBytes, Digest: archive.String()}, nil
}

// present proves that f's blob exists with the size its row promises.
func (e *Export) present(ctx context.Context, tenant string, f storage.File) error {
	blob, err := storage.OpenExact(ctx, e.Objects, tenant, f.Digest, f.Size)
	if err != nil {
		return fmt.Errorf("bundle entry %s: %w", f.Path, err)
	}
	return blob.Close()
}
