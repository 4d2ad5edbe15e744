package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// partFile is what has come of a file that is being downloaded. It lies beside
// the file, under a name that the next attempt finds; only a whole and checked
// file gets its real name.
type partFile struct {
	*os.File
	path string
	had  int64 // bytes of an earlier attempt
}

// openPart opens the part of target that belongs to id, or begins one. A part
// that another stella is writing, or that somebody else could have put there, is
// refused.
func openPart(target, id string) (*partFile, error) {
	path := filepath.Join(filepath.Dir(target), ".stella-"+id+".partial")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		file, err = openOwn(path)
	}
	if err != nil {
		return nil, inputErrorf("write %s: %w", target, err)
	}
	if !lockFile(file) {
		file.Close()
		return nil, inputErrorf("write %s: another stella is downloading this run to that directory", target)
	}
	had, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("write %s: %w", target, err)
	}
	return &partFile{File: file, path: path, had: had}, nil
}

// openOwn opens a file that is there, if it is a regular file of ours: in a
// directory where others may write, the name could be their link or their file.
func openOwn(path string) (*os.File, error) {
	seen, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !seen.Mode().IsRegular() || !ownedByUs(seen) {
		return nil, fmt.Errorf("%s is not a file of ours; remove it", path)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	opened, err := file.Stat()
	if err == nil && !os.SameFile(seen, opened) {
		err = fmt.Errorf("%s was replaced just now", path)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// restart throws away what is there.
func (p *partFile) restart() error {
	p.had = 0
	if err := p.Truncate(0); err != nil {
		return err
	}
	_, err := p.Seek(0, io.SeekStart)
	return err
}

// drop removes the part.
func (p *partFile) drop() { errors.Join(p.Close(), os.Remove(p.path)) } //nolint:errcheck // it was not wanted

// keep leaves the part for the next attempt and gives its size; an empty one goes.
func (p *partFile) keep() int64 {
	size, err := p.Seek(0, io.SeekEnd)
	if err != nil || size == 0 {
		p.drop()
		return 0
	}
	p.Close()
	return size
}

// become forces the part to disk and gives it its real name.
func (p *partFile) become(target string) error {
	if err := errors.Join(p.Sync(), p.Close()); err != nil {
		return fmt.Errorf("write %s: %w", target, err)
	}
	if err := os.Rename(p.path, target); err != nil {
		return inputErrorf("write %s: %w", target, err)
	}
	return nil
}
