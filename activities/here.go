package activities

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// BuildHere takes a run through its phases up to the manifest in this process, without
// Temporal: what a bundle says is made by the same code, for whoever compares it with one
// that is there. Nothing is signed, guarded or distributed. It gives the entries that were
// built, in archive order. Errors are those of the phases, with their causes.
func (e *Export) BuildHere(ctx context.Context, ref export.Ref, ranges int) ([]storage.File, error) {
	if _, err := e.plan(ctx, ref); err != nil {
		return nil, err
	}
	planned, err := e.resolve(ctx, ref)
	if err != nil {
		return nil, err
	}
	packing, within := errgroup.WithContext(ctx)
	packing.SetLimit(max(ranges, 1))
	for _, of := range planned.Ranges {
		packing.Go(func() error {
			_, err := e.adapt(within, ref, of, partOf(of))
			return err
		})
	}
	if err := packing.Wait(); err != nil {
		return nil, err
	}
	if planned.Builds {
		if _, err := e.assemble(ctx, ref); err != nil {
			return nil, err
		}
	}
	if _, err := e.manifest(ctx, ref); err != nil {
		return nil, err
	}
	return e.Execution.BundleFiles(ctx, ref)
}
