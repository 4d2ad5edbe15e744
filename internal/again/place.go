package again

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/stella-ops/exportcenter/internal/scratch"
)

// place is a directory for one rebuild, which is gone afterwards.
type place struct {
	dir  string
	part *scratch.Dir
	own  string // a base that was made for this rebuild alone; "" where one was named
}

// openPlace makes a directory below base, or, when base is "", in the system's for
// temporary files. With asRoot it can be entered by the user that PostgreSQL runs as;
// what was there before is left as it was, but for what a killed rebuild left: it may be /tmp.
func openPlace(base string, asRoot bool) (_ *place, err error) {
	p := &place{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("scratch directory: %w", err), p.close())
		}
	}()
	var made []string
	if base == "" {
		if p.own, err = os.MkdirTemp("", "exportcenter-rebuild-"); err != nil {
			return nil, err
		}
		base, made = p.own, []string{p.own}
	} else if base, err = filepath.Abs(base); err != nil {
		return nil, err
	} else if made, err = absent(base); err != nil {
		return nil, err
	}
	if p.part, err = scratch.Open(base); err != nil {
		return nil, err
	}
	if p.dir, _, err = p.part.Attempt(); err != nil {
		return nil, err
	}
	if !asRoot {
		return p, nil
	}
	for _, dir := range append(made, filepath.Dir(p.dir), p.dir) {
		if err := os.Chmod(dir, 0o711); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// absent gives the directories of a path that are not there. What is there as its last
// one must be a directory: by a symlink somebody else would choose where it leads.
func absent(path string) (missing []string, err error) {
	info, err := os.Lstat(path)
	if err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%s is no directory (%v); name a directory itself", path, info.Mode().Type())
	}
	for ; errors.Is(err, fs.ErrNotExist); _, err = os.Lstat(path) {
		missing = append(missing, path)
		path = filepath.Dir(path)
	}
	return missing, err
}

// close removes everything that was made for this rebuild alone.
func (p *place) close() (err error) {
	if p.part != nil {
		err = p.part.Close()
	}
	if p.own != "" {
		err = errors.Join(err, os.RemoveAll(p.own))
	}
	return err
}
