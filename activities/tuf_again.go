package activities

import (
	"context"
	"fmt"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/tuf"
)

// rootEntries are the roots that go into the bundle of a full mirror: the
// installation's, or, when a mirror is built again, those that it has.
func (e *Export) rootEntries(ctx context.Context, run, named export.Run) ([]document, error) {
	if run.RebuildOf == "" || !export.IsFullMirror(run.Kind, run.Variant) {
		chain, err := e.rootsOf(run)
		return rootDocuments(chain), err
	}
	var documents []document
	err := e.eachTUF(ctx, named, func(path string, text []byte) error {
		if path == bundle.TUFRootPath || bundle.TUFRootVersion(path) > 0 {
			documents = append(documents, document{path, text})
		}
		return nil
	})
	return documents, err
}

// eachTUF reads the stored metadata of a run; of one whose bundle is gone there is none.
func (e *Export) eachTUF(ctx context.Context, of export.Run, do func(path string, text []byte) error) error {
	if of.State == export.StateExpired {
		return nil
	}
	files, err := e.Execution.BundleFiles(ctx, of.Ref())
	if err != nil {
		return fmt.Errorf("list the bundle that is built again: %w", err)
	}
	for _, f := range files {
		if !bundle.IsTUF(f.Path) {
			continue
		}
		text, err := e.get(ctx, of.Tenant, f)
		if err != nil {
			return err
		}
		if err := do(f.Path, text); err != nil {
			return err
		}
	}
	return nil
}

// lifetimes are those of the configuration, or, when a mirror is built again, those
// that it was made with.
func (s *sealing) lifetimes(ctx context.Context, at time.Time) (tuf.Lifetimes, error) {
	if !s.again {
		return s.TUF.lifetimes(), nil
	}
	named, err := s.original(ctx, s.run)
	if err != nil {
		return tuf.Lifetimes{}, err
	}
	var set tuf.Set
	err = s.eachTUF(ctx, named, func(path string, text []byte) error {
		switch path {
		case bundle.TUFTargetsPath:
			set.Targets = text
		case bundle.TUFSnapshotPath:
			set.Snapshot = text
		case bundle.TUFTimestampPath:
			set.Timestamp = text
		}
		return nil
	})
	if err != nil {
		return tuf.Lifetimes{}, err
	}
	last, err := tuf.LifetimesOf(set, at)
	if err != nil {
		return last, fmt.Errorf("metadata of the mirror that is built again: %w: %w", err, storage.ErrCorrupt)
	}
	return last, nil
}
