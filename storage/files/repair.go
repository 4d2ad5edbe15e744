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
	"github.com/stella-ops/exportcenter/storage"
)

// Repair removes files of a store. Unlike Open it makes nothing, and removes
// nothing by itself.
type Repair struct{ store *Store }

// OpenRepair opens the store in dir, which must be there.
func OpenRepair(dir string) (*Repair, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	return &Repair{&Store{root: root}}, nil
}

// Close releases the directory.
func (r *Repair) Close() error { return r.store.Close() }

// Delete removes a blob that is marked; absent is not an error.
func (r *Repair) Delete(ctx context.Context, tenant string, digest bundle.Digest, still storage.Still) error {
	return r.store.Delete(ctx, tenant, digest, still)
}

// DeleteUnmarked removes a blob that has no mark; absent is not an error.
func (r *Repair) DeleteUnmarked(ctx context.Context, tenant string, digest bundle.Digest, still storage.Still) error {
	return r.store.DeleteUnmarked(ctx, tenant, digest, still)
}

// RemoveStaged removes a staged file that nobody writes and nobody touched
// since; false when it is not such a file any more. Where the filesystem has
// locks, nobody holds its lock; where it has none, the time alone decides.
func (r *Repair) RemoveStaged(ctx context.Context, name string, since time.Time) (bool, error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	dir := path.Dir(name)
	if top := path.Dir(dir); dir != probeDir && (path.Base(dir) != stagingDir || !isHex(top, 64)) {
		return false, fmt.Errorf("remove %q: it is no staged file", name)
	}
	unlock, err := r.store.lockDir(dir, syscall.LOCK_EX)
	if err != nil {
		return false, fmt.Errorf("remove %s: %w", name, err)
	}
	defer unlock()
	info, err := r.store.root.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("remove %s: %w", name, err)
	case !info.Mode().IsRegular() || info.ModTime().After(since):
		return false, nil
	}
	if err := r.store.sweepFile(name, since); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("remove %s: %w", name, err)
	}
	_, err = r.store.root.Lstat(name)
	return errors.Is(err, fs.ErrNotExist), nil
}
