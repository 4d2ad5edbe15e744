package mirror

import (
	"bytes"
	"errors"
	"io/fs"

	"github.com/stella-ops/exportcenter/bundle"
)

// take makes what was built and verified the directory's mirror, or, where the root from
// outside is not among its roots, only the base of the next delta: who stole a key that
// this root took away can make such a mirror, and nobody ever reads it.
func (a *applying) take(state State, built *tree) error {
	rooted, err := built.hasRoot(a.o.Mirror.Root)
	if err != nil {
		return err
	}
	generation := generationDir(state.Mirror.Generation)
	if rooted {
		if err := a.keep(state); err != nil {
			return err
		}
		a.at, a.passed, a.moved = generation, "", true
	} else {
		a.o.say("generation %d has not the trusted TUF root, and is only passed", state.Mirror.Generation)
		if err := a.put(state); err != nil {
			return err
		}
		a.passed = generation
	}
	a.state = state
	a.tidy(a.clean(a.at, a.passed))
	return nil
}

// hasRoot reports whether a root is among those of a tree, which was verified; nil is
// among all.
func (t *tree) hasRoot(root []byte) (bool, error) {
	for version := int64(1); root != nil; version++ {
		has, err := t.document(bundle.TUFRootPathOf(version))
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if bytes.Equal(has, root) {
			break
		}
	}
	return true, nil
}

// rootsFollow requires that the TUF roots of the next mirror go on from those of the
// one before: a key that a root took away may not come back by leaving that root out.
func rootsFollow(base, next *tree) error {
	for version := int64(1); base.has(bundle.TUFRootPathOf(version)); version++ {
		path := bundle.TUFRootPathOf(version)
		had, err := base.document(path)
		if err != nil {
			return err
		}
		has, err := next.document(path)
		if errors.Is(err, fs.ErrNotExist) {
			return refuse(ReasonRoots, "leads to a mirror without TUF root %d, which this one has: it is signed by keys that were changed since. Ask the producer", version)
		}
		if err != nil {
			return err
		}
		if !bytes.Equal(had, has) {
			return refuse(ReasonRoots, "leads to a mirror with another TUF root %d than this one has. Ask the producer", version)
		}
	}
	return nil
}
