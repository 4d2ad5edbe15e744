package jsonraw

import (
	"bytes"
	"encoding/json"
	"errors"

	"github.com/stella-ops/exportcenter/export"
)

// keep is what a redaction allows of a value: all of it, or some members of
// an object, or some of each element of a list. A value that is not of the kind
// a path expects is not allowed by it.
type keep struct {
	whole    bool
	members  map[string]*keep
	elements *keep
}

// allowed makes the tree of the paths of one kind of evidence.
func allowed(paths []string) (*keep, error) {
	root := &keep{}
	for _, path := range paths {
		steps, err := export.ParseFieldPath(path)
		if err != nil {
			return nil, err
		}
		at := root
		for _, step := range steps {
			at = at.member(step.Name)
			for range step.Lists {
				if at.elements == nil {
					at.elements = &keep{}
				}
				at = at.elements
			}
		}
		at.whole = true
	}
	return root, nil
}

func (k *keep) member(name string) *keep {
	if k.members == nil {
		k.members = map[string]*keep{}
	}
	if k.members[name] == nil {
		k.members[name] = &keep{}
	}
	return k.members[name]
}

// takes reports whether something of the value raw is allowed.
func (k *keep) takes(raw []byte) bool {
	return k != nil && (k.whole || raw[0] == '{' && k.members != nil || raw[0] == '[' && k.elements != nil)
}

// redaction is one document being redacted.
type redaction struct {
	raw     []byte // canonical: no white space, so a part ends where the next begins
	at      int
	out     []byte
	dropped int64
}

var errNotCanonical = errors.New("the stored form is not canonical JSON; run exportcenter fsck")

// redact appends to out what k allows of the canonical document raw, and counts
// the members and elements that it leaves out, each where it is cut off. What
// stays is not written anew, so it is canonical too.
func (k *keep) redact(out, raw []byte) ([]byte, int64, error) {
	if len(raw) == 0 || raw[0] != '{' {
		return out, 0, errNotCanonical
	}
	r := redaction{raw: raw, out: out}
	if err := r.container(k); err != nil || r.at != len(raw) {
		return out, 0, errNotCanonical
	}
	return r.out, r.dropped, nil
}

// value takes the value at r.at, of which k takes something.
func (r *redaction) value(k *keep) error {
	if !k.whole {
		return r.container(k)
	}
	start := r.at
	if err := r.skip(); err != nil {
		return err
	}
	r.out = append(r.out, r.raw[start:r.at]...)
	return nil
}

// container takes the allowed parts of the object or list at r.at.
func (r *redaction) container(k *keep) error {
	open, end := r.raw[r.at], byte(']')
	if open == '{' {
		end = '}'
	}
	r.out, r.at = append(r.out, open), r.at+1
	if r.peek() == end {
		r.out, r.at = append(r.out, end), r.at+1
		return nil
	}
	for first := true; ; r.at++ { // over the comma
		key, inner := r.at, k.elements
		if open == '{' {
			name, err := r.name()
			if err != nil {
				return err
			}
			inner = k.members[string(name)]
		}
		if r.at >= len(r.raw) {
			return errNotCanonical
		}
		if !inner.takes(r.raw[r.at:]) {
			r.dropped++
			if err := r.skip(); err != nil {
				return err
			}
		} else {
			if !first {
				r.out = append(r.out, ',')
			}
			first = false
			r.out = append(r.out, r.raw[key:r.at]...)
			if err := r.value(inner); err != nil {
				return err
			}
		}
		switch r.peek() {
		case end:
			r.out, r.at = append(r.out, end), r.at+1
			return nil
		case ',':
		default:
			return errNotCanonical
		}
	}
}

func (r *redaction) peek() byte {
	if r.at < len(r.raw) {
		return r.raw[r.at]
	}
	return 0
}

// name reads a member's name and the colon behind it.
func (r *redaction) name() ([]byte, error) {
	start := r.at
	if r.peek() != '"' || r.text() != nil || r.peek() != ':' {
		return nil, errNotCanonical
	}
	name := r.raw[start+1 : r.at-1]
	if bytes.IndexByte(name, '\\') >= 0 {
		var plain string
		if err := json.Unmarshal(r.raw[start:r.at], &plain); err != nil {
			return nil, errNotCanonical
		}
		name = []byte(plain)
	}
	r.at++
	return name, nil
}

// text passes over the string at r.at.
func (r *redaction) text() error {
	for r.at++; r.at < len(r.raw); r.at++ {
		switch r.raw[r.at] {
		case '"':
			r.at++
			return nil
		case '\\':
			r.at++
		}
	}
	return errNotCanonical
}

// skip passes over the value at r.at.
func (r *redaction) skip() error {
	start, depth := r.at, 0
	for r.at < len(r.raw) {
		switch r.raw[r.at] {
		case '"':
			if err := r.text(); err != nil {
				return err
			}
			if depth == 0 {
				return nil
			}
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 { // the end of what is around it
				return r.moved(start)
			}
			if depth--; depth == 0 {
				r.at++
				return nil
			}
		case ',':
			if depth == 0 {
				return r.moved(start)
			}
		}
		r.at++
	}
	return errNotCanonical
}

func (r *redaction) moved(from int) error {
	if r.at == from {
		return errNotCanonical
	}
	return nil
}
