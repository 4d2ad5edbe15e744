package files

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
)

const probeDir = "probe"

// Check proves the store by writing a file, reading it back and removing it.
func (s *Store) Check(ctx context.Context) (err error) {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("check blob store: %w", err)
	}
	file, name, err := s.create(probeDir)
	if err != nil {
		return fmt.Errorf("check blob store: %w", err)
	}
	defer func() {
		if joined := errors.Join(err, file.Close(), s.root.Remove(name)); joined != nil {
			err = fmt.Errorf("check blob store: %w", joined)
		}
	}()
	probe := []byte("probe\n")
	if _, err := file.Write(probe); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	back, err := s.root.ReadFile(name)
	if err == nil && !bytes.Equal(back, probe) {
		err = errors.New("the probe read back differs from what was written")
	}
	return err
}

// has reports whether the blob is there already, byte for byte. One that was
// damaged on disk is not; it is replaced by the new bytes.
func (s *Store) has(name string, digest bundle.Digest, size int64) (bool, error) {
	info, err := s.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || !info.Mode().IsRegular() || info.Size() != size {
		return false, err
	}
	file, err := s.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	sum := sha256.New()
	_, err = io.Copy(sum, file)
	return bundle.Digest(sum.Sum(nil)) == digest, errors.Join(err, file.Close())
}

// ensureDir makes dir and its parents so that they survive a power cut: each
// new name is forced to disk in its parent.
func (s *Store) ensureDir(dir string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ensureLocked(dir)
}

func (s *Store) ensureLocked(dir string) error {
	if dir == "." || s.ready[dir] {
		return nil
	}
	parent := path.Dir(dir)
	if err := s.ensureLocked(parent); err != nil {
		return err
	}
	if err := s.root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := s.syncDir(parent); err != nil {
		return err
	}
	s.ready[dir] = true
	return nil
}

// syncDir forces the names in dir to disk.
func (s *Store) syncDir(dir string) error {
	d, err := s.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// sweepStaging removes staged files and probes whose writer is gone: nobody
// holds their lock. Where the filesystem has no locks, silence since limit
// decides.
func (s *Store) sweepStaging(limit time.Time) error {
	namespaces, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return err
	}
	for _, n := range namespaces {
		dir := path.Join(n.Name(), stagingDir)
		if n.Name() == probeDir {
			dir = probeDir
		}
		if err := s.sweepDir(dir, limit); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove abandoned files: %w", err)
		}
	}
	return nil
}

func (s *Store) sweepDir(dir string, limit time.Time) error {
	unlock, err := s.lockDir(dir, syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()
	entries, err := fs.ReadDir(s.root.FS(), dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		err := s.sweepFile(path.Join(dir, e.Name()), limit)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // its writer ended just now
			return err
		}
	}
	return nil
}

func (s *Store) sweepFile(name string, limit time.Time) error {
	file, err := s.root.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	err = lock(file, syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) || err != nil && !info.ModTime().Before(limit) {
		return nil
	}
	return s.root.Remove(name)
}

// lock locks an open file (flock(2)). The lock belongs to the open file, so
// the kernel drops it however its process ends.
func lock(file *os.File, how int) error {
	for {
		if err := syscall.Flock(int(file.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// lockDir locks a directory of files being written: shared by those who make
// a file in it and lock that, alone by who removes the ones nobody holds.
func (s *Store) lockDir(dir string, how int) (unlock func(), err error) {
	d, err := s.root.Open(dir)
	if err != nil {
		return nil, err
	}
	lock(d, how) //nolint:errcheck // a filesystem without locks goes by the clock
	return func() { d.Close() }, nil
}
