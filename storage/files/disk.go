package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"time"
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

// has reports whether a complete blob of this size has its name already. One
// of another size was damaged on disk; it is replaced by the new bytes.
func (s *Store) has(name string, size int64) (bool, error) {
	info, err := s.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return info.Mode().IsRegular() && info.Size() == size, nil
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

// sweepStaging removes staged files last written before limit, and forgotten probes.
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
		if err := s.sweepDir(dir, limit); err != nil {
			return fmt.Errorf("remove abandoned files: %w", err)
		}
	}
	return nil
}

func (s *Store) sweepDir(dir string, limit time.Time) error {
	entries, err := fs.ReadDir(s.root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // its writer ended just now
		}
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() || !info.ModTime().Before(limit) {
			continue
		}
		if err := s.root.Remove(path.Join(dir, e.Name())); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
