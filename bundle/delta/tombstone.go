package delta

import (
	"fmt"
	"io"

	"github.com/stella-ops/exportcenter/bundle"
)

// Tombstone says that a document is not in the target any more.
type Tombstone struct {
	Key
	// LastDigest is of the document as it was imported, in the base.
	LastDigest bundle.Digest `json:"lastDigest"`
}

// NewTombstone makes the tombstone of a line.
func NewTombstone(line *Line) (Tombstone, error) {
	err := line.parse()
	return Tombstone{Key: line.key, LastDigest: line.original}, err
}

// Encode gives the line of t, in RFC 8785 form, without its line feed.
func (t Tombstone) Encode() ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	return bundle.MarshalCanonical(t)
}

func (t Tombstone) check() error {
	for _, member := range []struct {
		name, value string
		may         bool // be empty
	}{
		{"kind", t.Kind, false}, {"source", t.Source, false}, {"upstreamId", t.UpstreamID, false}, {"stream", t.Stream, true}, {"subject", t.Subject, true},
	} {
		if member.value == "" && !member.may {
			return fmt.Errorf("%w: %s is missing", ErrLine, member.name)
		}
		if err := checkMember(member.name, member.value); err != nil {
			return fmt.Errorf("%w: %w", ErrLine, err)
		}
	}
	if t.LastDigest.IsZero() {
		return fmt.Errorf("%w: lastDigest is missing", ErrLine)
	}
	return nil
}

// ParseTombstone reads what Encode writes, and nothing else.
func ParseTombstone(line []byte) (t Tombstone, err error) {
	err = parseExact(line, &t, Tombstone.Encode)
	return t, err
}

// parseExact reads a line into v strictly, encodes v and compares.
func parseExact[T any](line []byte, v *T, encode func(T) ([]byte, error)) error {
	if err := bundle.UnmarshalStrict(line, v); err != nil {
		return fmt.Errorf("%w: %w", ErrLine, err)
	}
	again, err := encode(*v)
	if err != nil {
		return err
	}
	if string(again) != string(line) {
		return fmt.Errorf("%w: %w", ErrLine, bundle.ErrNotCanonical)
	}
	return nil
}

// Removals reads a list of tombstones, which must be in the order of their keys.
type Removals struct {
	*Files
	last string
	at   Tombstone
}

// NewRemovals reads the tombstones of files.
func NewRemovals(files *Files) *Removals { return &Removals{Files: files} }

// Next gives the next tombstone, which stays until the one after it; nil behind the last.
func (r *Removals) Next() (*Tombstone, error) {
	line, err := r.Files.Next()
	if err == io.EOF {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if r.at, err = ParseTombstone(line); err != nil {
		return nil, fmt.Errorf("%s: %w", r.Where(), err)
	}
	if place := r.at.Key.String(); place > r.last {
		r.last = place
		return &r.at, nil
	}
	return nil, fmt.Errorf("%s: %w: %q does not come after %q", r.Where(), ErrLine, r.at.Key.String(), r.last)
}

// Place is List's.
func (r *Removals) Place() (string, error) { return r.at.Key.String(), nil }
