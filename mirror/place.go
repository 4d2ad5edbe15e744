package mirror

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/stella-ops/exportcenter/bundle"
)

// place is the directory of a mirror, while a command is at work on it.
type place struct {
	dir  string
	disk *disk
	lock *os.File
}

func (p *place) path(name ...string) string {
	return filepath.Join(append([]string{p.dir}, name...)...)
}

// enter locks the directory of a mirror: alone, or with others that only read.
func enter(dir string, alone bool, o Options) (*place, error) {
	p := &place{dir: dir, disk: &disk{at: o.at}}
	for range 10 {
		if err := p.locked(alone); err != nil || p.lock == nil {
			return p, err
		}
		// Whoever had the lock before may have removed its file: then it keeps nobody out.
		ours, err := p.lock.Stat()
		if err != nil {
			return nil, errors.Join(err, p.leave())
		}
		if at, err := os.Lstat(p.path(lockName)); err == nil && os.SameFile(ours, at) {
			return p, nil
		}
		if err := p.leave(); err != nil {
			return nil, err
		}
	}
	return nil, refuse(ReasonBusy, "%s: other commands are at work on this mirror; try again when they are done", dir)
}

// locked takes the lock; there is none of a copy that is only read.
func (p *place) locked(alone bool) error {
	flags := os.O_RDONLY
	if alone {
		flags = os.O_RDWR
	}
	lock, err := os.OpenFile(p.path(lockName), flags, fileMode)
	if errors.Is(err, fs.ErrNotExist) && alone {
		lock, err = p.newLock()
	}
	if errors.Is(err, fs.ErrNotExist) && !alone {
		p.lock = nil // a copy: nobody is at work on it who would have made one
		return nil
	}
	if err != nil {
		return err
	}
	if beforeLock != nil {
		beforeLock()
	}
	free, err := tryLock(lock, alone)
	if err == nil && !free {
		err = refuse(ReasonBusy, "%s: another command is at work on this mirror; try again when it is done", p.dir)
	}
	if err != nil {
		return errors.Join(err, lock.Close())
	}
	p.lock = lock
	return nil
}

// beforeLock is for tests: what happens between opening and locking.
var beforeLock func()

func (p *place) newLock() (*os.File, error) {
	if err := p.disk.may("lock", p.path(lockName)); err != nil {
		return nil, err
	}
	return os.OpenFile(p.path(lockName), os.O_CREATE|os.O_RDWR, fileMode)
}

// leave gives the directory free.
func (p *place) leave() error {
	if p.lock == nil {
		return nil
	}
	return p.lock.Close()
}

// current gives what the directory holds: where, and what it knows of it.
func (p *place) current() (generation string, state State, err error) {
	generation, err = os.Readlink(p.path(currentName))
	if errors.Is(err, fs.ErrNotExist) {
		return "", state, refuse(ReasonMirror, "%s holds no mirror; make one of a full mirror with \"stella mirror init\"", p.dir)
	}
	if err != nil {
		return "", state, refuse(ReasonMirror, "%s: %w", p.dir, err)
	}
	for _, name := range []string{filepath.Dir(generation), generation} {
		if info, err := os.Lstat(p.path(name)); err != nil || !info.IsDir() {
			return "", state, spoilt("%s: %s leads to no directory of this mirror", p.dir, currentName)
		}
	}
	raw, err := readBounded(p.path(generation, stateName), maxState)
	if err == nil {
		state, err = ParseState(raw)
	}
	if err == nil && generationDir(state.Mirror.Generation) != generation {
		err = errors.New(stateName + " is of another generation than its directory")
	}
	if err != nil {
		return "", state, spoilt("%s: %w", p.path(generation), err)
	}
	return generation, state, nil
}

// clean removes what commands that ended on the way left: all but the generations to keep.
func (p *place) clean(keep ...string) error {
	for _, name := range litter {
		if err := p.disk.remove(p.path(name)); err != nil {
			return err
		}
	}
	generations, err := os.ReadDir(p.path(generationsName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, g := range generations {
		if name := filepath.Join(generationsName, g.Name()); !slices.Contains(keep, name) && err == nil {
			err = p.disk.remove(p.path(name))
		}
	}
	return err
}

// keep makes a tree that was built the mirror of the directory: by one rename, after all
// that it leads to has reached the disk.
func (p *place) keep(state State) error {
	if err := p.put(state); err != nil {
		return err
	}
	return p.disk.point(p.path(currentName), generationDir(state.Mirror.Generation))
}

// put writes the state beside a tree that was built, and puts both where generations are.
func (p *place) put(state State) error {
	text, err := state.Encode()
	if err != nil {
		return err
	}
	if err := p.disk.content(p.path(buildingName, stateName), text); err != nil {
		return err
	}
	if err := p.disk.settle(p.path(buildingName)); err != nil {
		return err
	}
	if err := p.disk.mkdir(p.path(generationsName)); err != nil {
		return err
	}
	return p.disk.rename(p.path(buildingName), p.path(generationDir(state.Mirror.Generation)))
}

// journal is what a command that is not done applies, by the digests of manifests.
type journal struct {
	Deltas []bundle.Digest `json:"deltas"`
}

// readJournal gives the deltas of a command that ended on the way; none without one.
// One that cannot be read is none: what was applied, the state says.
func (p *place) readJournal() []bundle.Digest {
	var j journal
	raw, err := readBounded(p.path(journalName), maxState)
	if err != nil || bundle.UnmarshalStrict(raw, &j) != nil {
		return nil
	}
	return j.Deltas
}

// writeJournal notes what is about to be applied.
func (p *place) writeJournal(deltas []bundle.Digest) error {
	text, err := bundle.MarshalCanonical(journal{deltas})
	if err != nil {
		return err
	}
	temporary := p.path(journalName + newSuffix)
	if err := p.disk.remove(temporary); err != nil {
		return err
	}
	if err := p.disk.content(temporary, text); err != nil {
		return err
	}
	return p.disk.rename(temporary, p.path(journalName))
}
