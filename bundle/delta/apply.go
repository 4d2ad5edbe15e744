package delta

import (
	"errors"
	"fmt"

	"github.com/stella-ops/exportcenter/bundle"
)

// ErrOtherBase is wrapped when a delta speaks of what is not as the base has it.
var ErrOtherBase = errors.New("the base does not have what the delta changes")

// Apply gives the documents that the target has: those of base, with what changed put
// in and what was removed left out. Every removal must be of a document that base has,
// as it has it.
func Apply(base, changed *Documents, removed *Removals, each func(*Line) error) error {
	return merge(base, changed, removed, func(was *Line, gone *Tombstone) error {
		digest, err := was.Original()
		if err == nil && digest != gone.LastDigest {
			err = fmt.Errorf("%w: it removes %q of %s, which is %s there", ErrOtherBase, gone.Key, gone.LastDigest, digest)
		}
		return err
	}, func(line *Line, _ bool) error { return each(line) })
}

// ApplyOriginals gives the originals that the target has, and of each whether it comes
// with the delta: those of base but what was removed, and those of added.
func ApplyOriginals(base, added List[bundle.Original], removed *Originals, each func(o *bundle.Original, comes bool) error) error {
	return merge(base, added, removed, func(was, gone *bundle.Original) error {
		if *was != *gone {
			return fmt.Errorf("%w: it removes %s of %d bytes, which has %d", ErrOtherBase, gone.Path, gone.Bytes, was.Bytes)
		}
		return nil
	}, each)
}

// merging is three lists and what of each is next, nil behind the last.
type merging[T, R any] struct {
	base, changed *following[T]
	removed       *following[R]
	fits          func(was *T, gone *R) error
	each          func(it *T, changed bool) error
}

// following is a list, and what is next in it.
type following[T any] struct {
	list  List[T]
	it    *T
	place string
}

func (f *following[T]) next() (err error) {
	if f.it, err = f.list.Next(); err == nil && f.it != nil {
		f.place, err = f.list.Place()
	}
	return err
}

// before reports whether f has something that comes before all of g.
func before[T, R any](f *following[T], g *following[R]) bool {
	return f.it != nil && (g.it == nil || f.place < g.place)
}

// same reports whether both have something, in one place.
func same[T, R any](f *following[T], g *following[R]) bool {
	return f.it != nil && g.it != nil && f.place == g.place
}

func merge[T, R any](base, changed List[T], removed List[R], fits func(*T, *R) error, each func(*T, bool) error) error {
	m := merging[T, R]{&following[T]{list: base}, &following[T]{list: changed}, &following[R]{list: removed}, fits, each}
	err := errors.Join(m.base.next(), m.changed.next(), m.removed.next())
	for err == nil && (m.base.it != nil || m.changed.it != nil || m.removed.it != nil) {
		err = m.step()
	}
	return err
}

// step takes what comes first.
func (m *merging[T, R]) step() error {
	switch {
	case before(m.removed, m.base):
		return fmt.Errorf("%w: it removes %q, which is not there", ErrOtherBase, m.removed.place)
	case same(m.removed, m.changed):
		return fmt.Errorf("%w: %q is removed and changed", ErrLine, m.removed.place)
	case before(m.changed, m.base), same(m.changed, m.base):
		return m.change()
	case same(m.removed, m.base):
		return errors.Join(m.fits(m.base.it, m.removed.it), m.removed.next(), m.base.next())
	}
	if err := m.each(m.base.it, false); err != nil {
		return err
	}
	return m.base.next()
}

// change puts in what changed, in place of what the base has there.
func (m *merging[T, R]) change() error {
	replaces := same(m.changed, m.base)
	if err := m.each(m.changed.it, true); err != nil {
		return err
	}
	if err := m.changed.next(); err != nil || !replaces {
		return err
	}
	return m.base.next()
}
