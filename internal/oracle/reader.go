package oracle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Reader is somebody who downloads while the world is on fire: every entry that
// is listed can be read whole and right, or is not listed any more.
type Reader struct {
	Runs    storage.Runs
	Objects storage.Opener
}

// Look reads a few of the run's entries. What it finds wrong is an error; a run
// that is not there yet, or whose entries are gone, is not.
func (r Reader) Look(ctx context.Context, ref export.Ref) error {
	entries, err := r.Runs.Files(ctx, ref)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list entries: %w", err)
	}
	rand.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
	for _, e := range entries[:min(len(entries), 5)] {
		if err := r.entry(ctx, ref, e); err != nil {
			return err
		}
	}
	return nil
}

func (r Reader) entry(ctx context.Context, ref export.Ref, e storage.File) error {
	blob, err := r.Objects.Open(ctx, ref.Tenant, e.Digest)
	if errors.Is(err, storage.ErrNotFound) {
		return r.gone(ctx, ref, e)
	}
	if err != nil {
		return fmt.Errorf("open entry %s: %w", e.Path, err)
	}
	defer blob.Close()
	content, err := io.ReadAll(io.NewSectionReader(blob, 0, blob.Size()))
	if err != nil {
		return fmt.Errorf("read entry %s: %w", e.Path, err)
	}
	if got := bundle.DigestOf(content); got != e.Digest || int64(len(content)) != e.Size {
		return fmt.Errorf("entry %s has %d bytes with digest %s, its row says %d with %s", e.Path, len(content), got, e.Size, e.Digest)
	}
	return nil
}

// gone: an entry without its blob must not be listed any more.
func (r Reader) gone(ctx context.Context, ref export.Ref, e storage.File) error {
	entries, err := r.Runs.Files(ctx, ref)
	if err != nil {
		return fmt.Errorf("list entries again: %w", err)
	}
	if slices.ContainsFunc(entries, func(other storage.File) bool { return other.Path == e.Path && other.Digest == e.Digest }) {
		return fmt.Errorf("entry %s is listed and its blob %s is not there", e.Path, e.Digest)
	}
	return nil
}
