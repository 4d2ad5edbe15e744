package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// MirrorRef is the mirror that a run belongs to (Options.MirrorRunID).
type MirrorRef struct {
	ExportID   string
	Generation int64
	// AsOf is the moment of the ledger that it read, and that the run reads too.
	AsOf                   int64
	ManifestDigest, Digest bundle.Digest // Digest is of the payload
}

// inputs are how a provenance names the mirror.
func (m MirrorRef) inputs() []bundle.Input {
	name := bundle.MirrorInput(m.ExportID, m.Generation)
	return []bundle.Input{{Name: name + bundle.ManifestPath, Digest: m.ManifestDigest}, {Name: name + bundle.PayloadSubject, Digest: m.Digest}}
}

// mirrorOf gives the mirror that a run belongs to, nil when it belongs to none.
func (e *Export) mirrorOf(ctx context.Context, run export.Run) (*MirrorRef, error) {
	if run.Options.MirrorRunID == "" {
		return nil, nil //nolint:nilnil // most runs belong to none
	}
	if e.MirrorOf != nil {
		ref, err := e.MirrorOf(ctx, run)
		return &ref, err
	}
	mirror, _, err := e.Execution.Published(ctx, run, run.Options.MirrorRunID)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, export.Errorf(export.CodeBaseManifest, "options.mirrorRunId: there is no mirror %s any more; name another one", run.Options.MirrorRunID)
	}
	if err != nil {
		return nil, fmt.Errorf("find the mirror of the run: %w", err)
	}
	if err := run.CheckMirror(mirror); err != nil {
		return nil, err
	}
	ref := MirrorRef{ExportID: mirror.ID, Generation: mirror.Generation, AsOf: mirror.AsOf}
	manifest, err1 := bundle.ParseDigest(mirror.Result.ManifestDigest)
	payload, err2 := bundle.ParseDigest(mirror.Result.PayloadDigest)
	ref.ManifestDigest, ref.Digest = manifest, payload
	return &ref, errors.Join(err1, err2)
}
