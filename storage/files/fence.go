package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"syscall"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// A file is removed by its name, whatever it is by then. Whoever is stopped
// right before that, and goes on after the database has ended its transaction,
// would remove what another run has stored meanwhile under the same name. So
// blobs are erased behind a fence: a lock (flock(2)) on a directory, then the
// proof that the transaction lives, then the removal, all without letting go. In
// whatever moment an eraser is stopped, either its proof comes after the end of
// its transaction, and fails; or it has the lock, and whoever could give the blob
// to others waits for the lock, and so for the removal. The kernel drops the lock
// of a process that is killed. docs/decisions/0009 has what else was weighed.
//
// Who has to wait depends on who could take the blob. One that is marked cannot
// be pinned until another eraser has deleted it and then its mark: so erasers
// wait for each other, on the blob's own directory, and nobody else does. One
// without a mark can be pinned as soon as the transaction has ended: so its
// eraser locks the directory of all blobs, and all who are about to rely on a
// blob that they have pinned pass by that lock once. An eraser that comes after
// them cannot prove anything any more.
//
// Nobody waits for ever: whoever finds the lock held for fencePatience fails, and
// it is worth a retry. Where a filesystem has no locks on directories (NFS), only
// the proof is left.
const (
	fencePatience = 5 * time.Second
	fencePause    = 2 * time.Millisecond
)

// Delete removes a blob that is marked. The removal is not forced to disk: a blob
// that comes back after a power cut is garbage, which does no harm and which fsck
// finds.
func (s *Store) Delete(ctx context.Context, tenant string, digest bundle.Digest, still storage.Still) error {
	return s.erase(ctx, tenant, digest, path.Dir(blobPath(storage.Namespace(tenant), digest)), still)
}

// DeleteUnmarked removes a blob that has no mark.
func (s *Store) DeleteUnmarked(ctx context.Context, tenant string, digest bundle.Digest, still storage.Still) error {
	return s.erase(ctx, tenant, digest, path.Join(storage.Namespace(tenant), publishedDir), still)
}

// erase removes a blob, absent or not, behind the fence on dir.
func (s *Store) erase(ctx context.Context, tenant string, digest bundle.Digest, dir string, still storage.Still) error {
	if err := begin(ctx, tenant); err != nil {
		return fmt.Errorf("delete blob %s: %w", digest, err)
	}
	release, err := s.fence(ctx, dir, syscall.LOCK_EX)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // there is no blob where it would be
	}
	if err != nil {
		return fmt.Errorf("delete blob %s: %w", digest, err)
	}
	defer release()
	if err := still(ctx); err != nil {
		return fmt.Errorf("delete blob %s: it may be another's by now: %w", digest, err)
	}
	err = s.root.Remove(blobPath(storage.Namespace(tenant), digest))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("delete blob %s: %w", digest, err)
	}
	return nil
}

// Stored reports whether a blob of that size is there.
func (s *Store) Stored(ctx context.Context, tenant string, digest bundle.Digest, size int64) (bool, error) {
	if err := begin(ctx, tenant); err != nil {
		return false, fmt.Errorf("look for blob %s: %w", digest, err)
	}
	namespace := storage.Namespace(tenant)
	if err := s.passErasers(ctx, namespace); err != nil {
		return false, fmt.Errorf("look for blob %s: %w", digest, err)
	}
	info, err := s.root.Lstat(blobPath(namespace, digest))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for blob %s: %w", digest, err)
	}
	return info.Mode().IsRegular() && info.Size() == size, nil
}

// passErasers returns once nobody is erasing a blob of the namespace that is not
// marked. What is pinned by now is not erased any more.
func (s *Store) passErasers(ctx context.Context, namespace string) error {
	release, err := s.fence(ctx, path.Join(namespace, publishedDir), syscall.LOCK_SH)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	release()
	return nil
}

// fence locks a directory of blobs, and waits for who has the lock.
func (s *Store) fence(ctx context.Context, dir string, how int) (release func(), err error) {
	d, err := s.root.Open(dir)
	if err != nil {
		return nil, err
	}
	patience := time.NewTimer(fencePatience)
	defer patience.Stop()
	for {
		err := lock(d, how|syscall.LOCK_NB)
		if err == nil || cannotLock(err) {
			return func() { d.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", dir, err), d.Close())
		}
		select {
		case <-time.After(fencePause):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), d.Close())
		case <-patience.C:
			return nil, errors.Join(errHeld(dir), d.Close())
		}
	}
}

// cannotLock reports whether a filesystem says that it has no locks on
// directories. NFS turns flock into a lock on bytes, for which a directory cannot
// be opened (EBADF); see flock(2).
func cannotLock(err error) bool {
	return errors.Is(err, syscall.EBADF) || errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.EINVAL)
}

func errHeld(dir string) error {
	return &export.Error{Code: export.CodeUnavailable, Class: export.ClassTransient, Message: fmt.Sprintf(
		"a process that is erasing a blob in %s has not gone on for %s; is one stopped? Let it go on or kill it; then try again", dir, fencePatience)}
}
