package bundle

import (
	"fmt"
	"sync"
)

// MaxDepth bounds the nesting of a JSON document: the outermost array or
// object is at depth 1. It is far beyond what evidence formats use, and small
// enough that no reader in any language runs out of stack.
const MaxDepth = 256

// MaxDocumentBytes bounds what Canonical reads. Larger documents are refused.
const MaxDocumentBytes = 256 << 20

// JSONError says where in a document reading stopped, and why.
type JSONError struct {
	Offset  int // of the byte at fault, from 0
	Problem string
}

func (e *JSONError) Error() string {
	return fmt.Sprintf("JSON at byte %d: %s", e.Offset, e.Problem)
}

// Canonical gives the RFC 8785 form of one JSON document: members sorted by
// UTF-16 code units, no insignificant white space, one spelling per string and
// number.
//
// It refuses what has no single meaning: duplicate keys, invalid UTF-8, lone
// surrogates, integers beyond 2^53 and numbers beyond float64 (both would
// silently become others), anything after the document, nesting beyond
// MaxDepth. Errors are *JSONError and name the byte.
func Canonical(raw []byte) ([]byte, error) {
	return AppendCanonical(make([]byte, 0, len(raw)), raw)
}

// AppendCanonical appends the canonical form of raw to dst.
func AppendCanonical(dst, raw []byte) ([]byte, error) {
	if len(raw) > MaxDocumentBytes || len(dst) > MaxDocumentBytes {
		return dst, &JSONError{MaxDocumentBytes, "document is larger than 256 MiB"}
	}
	c := canonizers.Get().(*canonizer)
	c.in, c.out = raw, dst
	err := c.document()
	out := c.out
	c.release()
	if err != nil {
		return dst, err
	}
	return out, nil
}

// canonizer reads in once and writes out as it goes. Members of the objects
// that are still open are remembered by their position in out; an object whose
// members did not come in order is put in order when it ends, a large one in a
// last pass, so that the work stays in proportion to the document.
type canonizer struct {
	in      []byte
	pos     int
	out     []byte
	depth   int
	members []member
	keys    []byte // decoded forms of keys that need escapes in out
	scratch []byte
	moves   []move   // objects to put in order at the end
	kept    []member // their members
}

var canonizers = sync.Pool{New: func() any { return new(canonizer) }}

// keepScratch bounds what a pooled canonizer may hold on to.
const keepScratch = 1 << 20

func (c *canonizer) release() {
	c.in, c.out, c.pos, c.depth = nil, nil, 0, 0
	c.members, c.keys, c.scratch = c.members[:0], c.keys[:0], c.scratch[:0]
	c.moves, c.kept = c.moves[:0], c.kept[:0]
	if (cap(c.members)+cap(c.kept)+cap(c.moves))*memberSize > keepScratch {
		c.members, c.kept, c.moves = nil, nil, nil
	}
	if cap(c.keys) > keepScratch {
		c.keys = nil
	}
	if cap(c.scratch) > keepScratch {
		c.scratch = nil
	}
	canonizers.Put(c)
}

func (c *canonizer) fail(at int, format string, args ...any) error {
	return &JSONError{at, fmt.Sprintf(format, args...)}
}

// unexpected is the error for a byte that cannot be here.
func (c *canonizer) unexpected(want string) error {
	if c.pos >= len(c.in) {
		return c.fail(c.pos, "document ends where %s should be", want)
	}
	return c.fail(c.pos, "%q where %s should be", c.in[c.pos], want)
}

func (c *canonizer) document() error {
	if err := c.value(); err != nil {
		return err
	}
	if c.skip(); c.pos < len(c.in) {
		return c.fail(c.pos, "data after the document")
	}
	c.settle()
	return nil
}

// skip passes white space and returns the next byte, 0 at the end.
func (c *canonizer) skip() byte {
	for c.pos < len(c.in) {
		switch b := c.in[c.pos]; b {
		case ' ', '\n', '\t', '\r':
			c.pos++
		default:
			return b
		}
	}
	return 0
}

func (c *canonizer) value() error {
	switch b := c.skip(); b {
	case '{':
		return c.object()
	case '[':
		return c.array()
	case '"':
		_, err := c.text()
		return err
	case 't':
		return c.literal("true")
	case 'f':
		return c.literal("false")
	case 'n':
		return c.literal("null")
	default:
		if b == '-' || b >= '0' && b <= '9' {
			return c.number()
		}
		return c.unexpected("a value")
	}
}

func (c *canonizer) literal(word string) error {
	if len(c.in)-c.pos < len(word) || string(c.in[c.pos:c.pos+len(word)]) != word {
		return c.fail(c.pos, "not a JSON value (expected %s)", word)
	}
	c.pos += len(word)
	c.out = append(c.out, word...)
	return nil
}

// enter begins an array or object.
func (c *canonizer) enter(bracket byte) error {
	if c.depth++; c.depth > MaxDepth {
		return c.fail(c.pos, "nested deeper than %d", MaxDepth)
	}
	c.pos++
	c.out = append(c.out, bracket)
	return nil
}

// leave ends an array or object.
func (c *canonizer) leave(bracket byte) {
	c.depth--
	c.pos++
	c.out = append(c.out, bracket)
}

func (c *canonizer) array() error {
	if err := c.enter('['); err != nil {
		return err
	}
	if c.skip() == ']' {
		c.leave(']')
		return nil
	}
	for {
		if err := c.value(); err != nil {
			return err
		}
		switch c.skip() {
		case ',':
			c.pos++
			c.out = append(c.out, ',')
		case ']':
			c.leave(']')
			return nil
		default:
			return c.unexpected("',' or ']'")
		}
	}
}
