package delta

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
)

// List is things in the order of their places.
type List[T any] interface {
	// Next gives the next one, which stays until the one after it; nil behind the last.
	Next() (*T, error)
	// Place is where the one that Next gave last belongs: bytewise behind those that
	// were asked for before.
	Place() (string, error)
}

// Compare tells what became of documents between base and target: before is nil of
// one that was added, after of one that went; of one that changed neither. Documents
// that are the same in both are passed over, by their bytes alone.
func Compare(base, target *Documents, each func(before, after *Line) error) error {
	same := func(a, b *Line) bool { return bytes.Equal(a.Text, b.Text) }
	return compare(base, target, same, each)
}

// CompareOriginals tells what became of originals, as Compare does. None changes: its
// name is of its content.
func CompareOriginals(base, target List[bundle.Original], each func(before, after *bundle.Original) error) error {
	same := func(a, b *bundle.Original) bool { return *a == *b }
	return compare(base, target, same, func(before, after *bundle.Original) error {
		if before != nil && after != nil {
			return fmt.Errorf("%w: %s has %d bytes and %d bytes", ErrLine, before.Path, before.Bytes, after.Bytes)
		}
		return each(before, after)
	})
}

func compare[T any](base, target List[T], same func(a, b *T) bool, each func(before, after *T) error) error {
	b, err := base.Next()
	t, tErr := target.Next()
	for err = errors.Join(err, tErr); err == nil && (b != nil || t != nil); {
		order := 0
		if b == nil || t == nil || !same(b, t) {
			if order, err = orderOf(base, target, b != nil, t != nil); err != nil {
				break
			}
			if err = each(only(b, order <= 0), only(t, order >= 0)); err != nil {
				break
			}
		}
		if order <= 0 {
			b, err = base.Next()
		}
		if order >= 0 && err == nil {
			t, err = target.Next()
		}
	}
	return err
}

// only gives what it is given where that is wanted, else nil.
func only[T any](it *T, wanted bool) *T {
	if wanted {
		return it
	}
	return nil
}

// orderOf says which list's next comes first: less than 0 the base's, 0 both are in
// one place.
func orderOf[T any](base, target List[T], inBase, inTarget bool) (int, error) {
	if !inBase {
		_, err := target.Place()
		return 1, err
	}
	before, err := base.Place()
	if err != nil || !inTarget {
		return -1, err
	}
	after, err := target.Place()
	return strings.Compare(before, after), err
}
