package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// ends gives the two full mirrors that a delta lies between, and refuses a delta that
// others could read than those whom the mirrors are for.
func (e *Export) ends(ctx context.Context, run export.Run) (base, target export.Run, err error) {
	for _, end := range []struct {
		id string
		to *export.Run
	}{{run.Options.BaseRunID, &base}, {run.Options.TargetRunID, &target}} {
		if *end.to, _, err = e.publishedMirror(ctx, run, end.id); err != nil {
			return base, target, err
		}
	}
	return base, target, run.CheckEnds(base, target)
}

// publishedMirror gives a full mirror that was published, and its files.
func (e *Export) publishedMirror(ctx context.Context, run export.Run, id string) (export.Run, []storage.File, error) {
	found, files, err := e.Execution.Published(ctx, run, id)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return found, nil, export.Errorf(export.CodeBaseManifest, "the mirror of run %.100s is not there any more; make a delta from one that is", id)
	case err != nil:
		return found, nil, err
	case !export.IsFullMirror(found.Kind, found.Variant):
		return found, nil, export.Errorf(export.CodeBaseManifest, "run %s is of profile %s:%s; a delta lies between full mirrors", id, found.Kind, found.Variant)
	}
	return found, files, nil
}

// resolveDelta makes the plan of a delta, which is empty: what it is made of lies in
// two mirrors and not in the ledger. All that they are is pinned, so that neither goes
// while they are compared, nor in a retry of that.
func (e *Export) resolveDelta(ctx context.Context, claim storage.Claim, run export.Run) (PhaseResult, error) {
	defer newHeartbeat(ctx).wait()()
	if _, _, err := e.ends(ctx, run); err != nil {
		return PhaseResult{}, err
	}
	mirrors := [2]publishedRoots{}
	for i, id := range []string{run.Options.BaseRunID, run.Options.TargetRunID} {
		mirror, files, err := e.publishedMirror(ctx, run, id)
		if err != nil {
			return PhaseResult{}, err
		}
		if err := e.pinFiles(ctx, claim, files); err != nil {
			return PhaseResult{}, err
		}
		mirrors[i] = rootsPublished(mirror, files)
	}
	if err := mirrors[0].goOnIn(mirrors[1]); err != nil {
		return PhaseResult{}, err
	}
	// A selection of its own: no run that lists documents may follow from this plan.
	selection := bundle.DigestOf([]byte("delta\n" + run.Options.BaseRunID + "\n" + run.Options.TargetRunID))
	digest, err := e.savePlan(ctx, claim, selection, nil)
	if err != nil {
		return PhaseResult{}, err
	}
	if err := e.packingBegins(ctx, claim, run, &planner{}); err != nil {
		return PhaseResult{}, err
	}
	e.log(run, export.PhaseResolve).Info("planned a delta", "base", run.Options.BaseRunID, "target", run.Options.TargetRunID)
	return PhaseResult{Digest: digest.String(), Builds: true, Encrypted: run.Encryption != nil}, nil
}

// pinFiles keeps the blobs of files from the collector.
func (e *Export) pinFiles(ctx context.Context, claim storage.Claim, files []storage.File) error {
	blobs := make([]storage.Sized, len(files))
	for i, f := range files {
		blobs[i] = storage.Sized{Digest: f.Digest, Size: f.Size}
	}
	for some := range slices.Chunk(blobs, pinAtOnce) {
		if err := e.Execution.PinAll(ctx, claim, some); err != nil {
			return fmt.Errorf("pin %d blobs of a mirror: %w", len(some), err)
		}
	}
	return nil
}
