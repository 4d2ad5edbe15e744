package bundle

import (
	"bytes"
	"slices"
)

// moveBeyond is the size from which an object out of order is not put in order
// at once. Doing so at every level would copy a long text below many objects
// once per level: a small document that costs like a large one. Instead the
// move is noted, and all moves are made in one pass at the end.
const moveBeyond = 16 << 10

// move is an object whose members must still be put in order. Moves are noted
// when objects end, so the moves inside one come before it, from first on.
type move struct {
	start, end  uint32 // of the members in canonizer.out
	first       uint32 // move inside it
	kept, count uint32 // its members in canonizer.kept, in order
}

// reorder sorts the members from first on and writes them again, in order,
// from body on. Their total length does not change.
func (c *canonizer) reorder(first, body, moves int) error {
	open := c.members[first:]
	slices.SortFunc(open, func(a, b member) int { return compareUTF16(c.key(&a), c.key(&b)) })
	for i := 1; i < len(open); i++ {
		if bytes.Equal(c.key(&open[i-1]), c.key(&open[i])) {
			return c.duplicate(max(open[i-1].at, open[i].at), c.key(&open[i]))
		}
	}
	if len(c.out)-body > moveBeyond {
		c.moves = append(c.moves, move{
			start: uint32(body), end: uint32(len(c.out)), first: uint32(moves),
			kept: uint32(len(c.kept)), count: uint32(len(open)),
		})
		c.kept = append(c.kept, open...)
		return nil
	}
	c.scratch = append(c.scratch[:0], c.out[body:]...)
	c.out = c.out[:body]
	for i := range open {
		if i > 0 {
			c.out = append(c.out, ',')
		}
		c.out = append(c.out, c.scratch[int(open[i].start)-body:int(open[i].end)-body]...)
	}
	return nil
}

// settle makes the moves that were noted.
func (c *canonizer) settle() {
	if len(c.moves) == 0 {
		return
	}
	w := backwardWriter{c: c, out: make([]byte, len(c.out)), at: len(c.out)}
	w.span(0, len(c.out), 0, len(c.moves))
	c.out = w.out
}

// backwardWriter writes from the end to the beginning, because that is the
// order in which the outermost moves of a span are found.
type backwardWriter struct {
	c   *canonizer
	out []byte
	at  int
}

func (w *backwardWriter) write(b []byte) {
	w.at -= len(b)
	copy(w.out[w.at:], b)
}

// span writes canonizer.out[start:end], which contains the moves from first to
// before next.
func (w *backwardWriter) span(start, end, first, next int) {
	for next > first {
		m := &w.c.moves[next-1]
		w.write(w.c.out[m.end:end])
		for i := int(m.count) - 1; i >= 0; i-- {
			member := &w.c.kept[int(m.kept)+i]
			w.span(int(member.start), int(member.end), int(member.firstMove), int(member.endMove))
			if i > 0 {
				w.write([]byte{','})
			}
		}
		end, next = int(m.start), int(m.first)
	}
	w.write(w.c.out[start:end])
}
