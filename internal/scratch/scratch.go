// Package scratch gives attempts directories that are gone after them, also
// after a crash: each process has one that it locks, and who starts removes those
// of processes that are gone.
package scratch

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Dir is a process's part of a scratch directory.
type Dir struct {
	path string
	lock *os.File
}

const (
	prefix   = "exportcenter-work-" // nobody else's: base may be /tmp
	lockName = "lock"
)

// Open makes a part for this process below base, which several processes of one
// machine may share, and removes the parts of processes that are gone.
func Open(base string) (*Dir, error) {
	if err := os.MkdirAll(base, 0o700); err != nil {
		return nil, fmt.Errorf("scratch directory: %w", err)
	}
	removeLeft(base)
	path, err := os.MkdirTemp(base, prefix)
	if err != nil {
		return nil, fmt.Errorf("scratch directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err == nil {
		var taken bool
		if taken, err = tryLock(lock); err == nil && !taken {
			err = errors.New("another process has locked it")
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("scratch directory %s: %w", path, err), os.RemoveAll(path))
	}
	if _, err := os.Stat(lock.Name()); err != nil {
		// Who started at the same time took it for a part that was left.
		return nil, errors.Join(fmt.Errorf("scratch directory %s: another process removed it; start again", path), lock.Close())
	}
	return &Dir{path: path, lock: lock}, nil
}

// removeLeft removes parts that nobody has locked. A part without a lock file is
// one being made, or one whose maker died at that moment: it is empty then, and
// removing an empty directory harms nobody.
func removeLeft(base string) {
	entries, err := os.ReadDir(base)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), prefix) {
			continue
		}
		path := filepath.Join(base, e.Name())
		lock, err := os.OpenFile(filepath.Join(path, lockName), os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if free, err := tryLock(lock); err == nil && free {
			os.RemoveAll(path) //nolint:errcheck // the next start tries again
		}
		lock.Close() //nolint:errcheck // nothing was written
	}
}

// Attempt makes a directory for one attempt; remove removes it with all it holds.
func (d *Dir) Attempt() (path string, remove func() error, err error) {
	path, err = os.MkdirTemp(d.path, "attempt-")
	if err != nil {
		return "", nil, fmt.Errorf("scratch directory: %w", err)
	}
	return path, func() error { return os.RemoveAll(path) }, nil
}

// Close removes the process's part.
func (d *Dir) Close() error {
	return errors.Join(os.RemoveAll(d.path), d.lock.Close())
}
