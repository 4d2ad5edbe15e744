package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	"github.com/stella-ops/exportcenter/internal/extsort"
)

// relation is lines to be joined by the texts of their key before the side.
type relation struct {
	sorter *extsort.Sorter
	// texts is how many texts of a key say what meets; the side follows them.
	texts   int
	scratch string
	hold    int // bytes of a group's lines that are kept in memory
	budget  *budget
}

func newRelation(scratch string, memory, texts int, room *budget) *relation {
	return &relation{extsort.New(scratch, memory), texts, scratch, memory / 4, room}
}

func (r *relation) add(key []byte, payload any) error {
	line, err := appendLine(key, payload)
	if err != nil {
		return err
	}
	if err := r.budget.take(len(line)); err != nil {
		return err
	}
	return r.sorter.Add(line)
}

// join calls meet for each pair of a left and a right line of one group. The
// left side of a group is held in memory up to a bound, and in a file beyond;
// the right side is streamed, in blocks of the same bound when the left is in a
// file. So memory depends on neither.
func join[L, R any](ctx context.Context, r *relation, meet func(left *L, right *R) error) error {
	g := &group[L, R]{relation: r, ctx: ctx, meet: meet}
	defer g.spill.drop()
	for line, err := range r.sorter.Sorted(ctx) {
		if err != nil {
			return err
		}
		key, payload, err := splitLine(line)
		if err != nil {
			return err
		}
		head, side, err := cutKey(key, r.texts)
		if err != nil {
			return err
		}
		if !bytes.Equal(head, g.key) {
			if err := g.end(); err != nil {
				return err
			}
			g.key = append(g.key[:0], head...)
		}
		if side[0] == leftSide[0] {
			err = g.addLeft(payload)
		} else {
			err = g.addRight(payload)
		}
		if err != nil {
			return err
		}
	}
	return g.end()
}

// group is one group of a join: the lines of one key.
type group[L, R any] struct {
	*relation
	ctx   context.Context
	meet  func(left *L, right *R) error
	key   []byte
	left  block[L]
	spill spill // the rest of the left side, once it was too large
	right block[R]
}

// block is lines in memory, read.
type block[T any] struct {
	items []*T
	bytes int // of the lines they were read from
}

func (b *block[T]) add(line []byte) error {
	item, err := readItem[T](line)
	if err != nil {
		return err
	}
	b.items, b.bytes = append(b.items, item), b.bytes+len(line)
	return nil
}

func (b *block[T]) reset() {
	clear(b.items)
	b.items, b.bytes = b.items[:0], 0
}

func readItem[T any](line []byte) (*T, error) {
	item := new(T)
	if err := json.Unmarshal(line, item); err != nil {
		return nil, fmt.Errorf("join: read %T: %w", item, err)
	}
	return item, nil
}

func (g *group[L, R]) addLeft(line []byte) error {
	if g.left.bytes+len(line) <= g.hold || len(g.left.items) == 0 {
		return g.left.add(line)
	}
	return g.spill.write(g.scratch, line)
}

func (g *group[L, R]) addRight(line []byte) error {
	if len(g.left.items) == 0 {
		return nil // nothing to meet
	}
	if err := g.right.add(line); err != nil {
		return err
	}
	if g.spill.empty() || g.right.bytes >= g.hold {
		return g.flush()
	}
	return nil
}

// flush lets the lines of the right side that are held meet the left side.
func (g *group[L, R]) flush() error {
	for _, left := range g.left.items {
		if err := g.meetAll(left); err != nil {
			return err
		}
	}
	err := g.spill.each(func(line []byte) error {
		left, err := readItem[L](line)
		if err != nil {
			return err
		}
		return g.meetAll(left)
	})
	g.right.reset()
	return err
}

func (g *group[L, R]) meetAll(left *L) error {
	for _, right := range g.right.items {
		if err := g.ctx.Err(); err != nil {
			return err // looked at for each pair: one may take a second
		}
		if err := g.meet(left, right); err != nil {
			return err
		}
	}
	return nil
}

func (g *group[L, R]) end() error {
	var err error
	if len(g.right.items) > 0 {
		err = g.flush()
	}
	g.left.reset()
	g.right.reset()
	g.spill.drop()
	return err
}
