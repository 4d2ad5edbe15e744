package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Removal removes what a tenant that is offboarded has in a store. Like Repair it
// makes nothing.
type Removal struct {
	survey *Survey
	repair *Repair
}

// OpenRemoval opens the store in dir, which must be there.
func OpenRemoval(dir string) (*Removal, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	return &Removal{survey: &Survey{root: root}, repair: &Repair{&Store{root: root}}}, nil
}

// Close releases the directory.
func (r *Removal) Close() error { return r.survey.Close() }

// Blobs calls yield with every published blob of a tenant, by digest.
func (r *Removal) Blobs(ctx context.Context, tenant string, yield func(storage.BlobFile) error) error {
	if err := begin(ctx, tenant); err != nil {
		return err
	}
	return r.survey.Blobs(ctx, storage.Namespace(tenant), yield)
}

// Erase removes a blob behind the fence on all blobs of the tenant; absent is not an
// error. See Store.DeleteUnmarked.
func (r *Removal) Erase(ctx context.Context, tenant string, digest bundle.Digest, still storage.Still) error {
	return r.repair.DeleteUnmarked(ctx, tenant, digest, still)
}

// RemoveStaged removes the files that were being written, and counts them. One that
// somebody still writes is an error that is worth another try.
func (r *Removal) RemoveStaged(ctx context.Context, tenant string, now time.Time) (removed int, err error) {
	if err := begin(ctx, tenant); err != nil {
		return 0, err
	}
	dir := path.Join(storage.Namespace(tenant), stagingDir)
	err = r.survey.list(ctx, dir, func(e fs.DirEntry) error {
		at := path.Join(dir, e.Name())
		if !e.Type().IsRegular() {
			return errForeign(at)
		}
		done, err := r.repair.RemoveStaged(ctx, at, now)
		if err == nil && !done {
			err = &export.Error{Code: export.CodeUnavailable, Class: export.ClassTransient,
				Message: fmt.Sprintf("a process still writes %s; end it, or wait for it, and try again", at)}
		}
		if done {
			removed++
		}
		return err
	})
	return removed, err
}

// RemoveDirectories removes a tenant's directories, which must be empty, and forces
// it to disk: what was in them does not come back after a power cut. What the store
// did not make is not removed, and named.
func (r *Removal) RemoveDirectories(ctx context.Context, tenant string) error {
	if err := begin(ctx, tenant); err != nil {
		return err
	}
	top := storage.Namespace(tenant)
	published := path.Join(top, publishedDir)
	err := r.survey.list(ctx, published, func(e fs.DirEntry) error {
		return r.removeDirectory(path.Join(published, e.Name()))
	})
	for _, dir := range []string{published, path.Join(top, stagingDir), top} {
		if err == nil {
			err = r.removeDirectory(dir)
		}
	}
	if err != nil {
		return err
	}
	if err := r.repair.store.syncDir("."); err != nil {
		return fmt.Errorf("force the removal to disk: %w", err)
	}
	return nil
}

func (r *Removal) removeDirectory(at string) error {
	info, err := r.repair.store.root.Lstat(at)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && !info.IsDir() {
		return errForeign(at)
	}
	if err == nil {
		err = r.repair.store.root.Remove(at)
	}
	switch {
	case errors.Is(err, syscall.ENOTEMPTY), errors.Is(err, fs.ErrExist):
		return errForeign(at)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("remove directory: %w", err)
	}
	return nil
}

// errForeign: what is there, or in there, is nothing of ours.
func errForeign(at string) error {
	return &export.Error{Code: export.CodeStateConflict, Class: export.ClassPermanent, Field: at,
		Message: fmt.Sprintf("%s of the blob store is, or has in it, what the store did not make (`exportcenter fsck` names it: file-foreign); take it away, then try again", at)}
}
