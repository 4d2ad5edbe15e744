package comparison

import (
	"context"
	"errors"
	"iter"

	"github.com/stella-ops/exportcenter/ledger"
)

// pair is a document in the two runs; nil in one that does not have it.
type pair struct{ from, to *ledger.Row }

func (p pair) way() string {
	switch {
	case p.from == nil:
		return Added
	case p.to == nil:
		return Removed
	}
	return Changed
}

// row is the newer of its revisions that are there.
func (p pair) row() ledger.Row {
	if p.to != nil {
		return *p.to
	}
	return *p.from
}

func (p pair) bytes() (n int64) {
	for _, row := range []*ledger.Row{p.from, p.to} {
		if row != nil {
			n += row.CanonicalBytes
		}
	}
	return n
}

// pairs gives the documents behind a key that differ, as far as the bounds let it look,
// and the key behind which it did not look, "" when it has seen all.
func (c Comparison) pairs(ctx context.Context, after string, f Filter, b Bounds) (found []pair, next string, err error) {
	looked, size := 0, int64(0)
	for _, gap := range c.gaps(f.Kinds) {
		gap, empty := behind(gap, after)
		if empty {
			continue
		}
		err := c.merge(ctx, gap, func(p pair, key string) (more bool) {
			if p.from == nil || p.to == nil || p.from.Digest != p.to.Digest {
				if f.mayTakeAlone(p) {
					found, size = append(found, p), size+p.bytes()
				}
			}
			if looked++; len(found) < b.Pairs && looked < b.Rows && size < b.Bytes {
				return true
			}
			next = key
			return false
		})
		if err != nil || next != "" {
			return found, next, err
		}
	}
	return found, "", nil
}

// merge calls yield with the documents of a gap that either run has, in the order of
// their keys. It holds one row of each list.
func (c Comparison) merge(ctx context.Context, gap ledger.KeyRange, yield func(p pair, key string) bool) error {
	from, stopFrom := iter.Pull2(c.From.rows(ctx, gap))
	defer stopFrom()
	to, stopTo := iter.Pull2(c.To.rows(ctx, gap))
	defer stopTo()
	var a, b head
	for {
		if err := errors.Join(a.fill(from), b.fill(to)); err != nil {
			return err
		}
		var p pair
		var key string
		switch {
		case !a.there && !b.there:
			return nil
		case !b.there, a.there && a.key < b.key:
			p.from, key, a.there = copied(a.row), a.key, false
		case !a.there, b.key < a.key:
			p.to, key, b.there = copied(b.row), b.key, false
		default:
			p.from, p.to, key, a.there, b.there = copied(a.row), copied(b.row), a.key, false, false
		}
		if !yield(p, key) {
			return nil
		}
	}
}

func copied(row ledger.Row) *ledger.Row { return &row }

// head is the first row of a list that was not taken yet.
type head struct {
	row          ledger.Row
	key          string
	there, ended bool
}

// fill takes the next row when the last one was taken.
func (h *head) fill(pull func() (ledger.Row, error, bool)) error {
	if h.there || h.ended {
		return nil
	}
	row, err, more := pull()
	h.row, h.there, h.ended = row, more && err == nil, !more
	if h.there {
		h.key = row.Key()
	}
	return err
}

// rows lists the run's documents in keys; an error is its last pair.
func (s Side) rows(ctx context.Context, keys ledger.KeyRange) iter.Seq2[ledger.Row, error] {
	return func(yield func(ledger.Row, error) bool) {
		stopped := false
		err := s.List(ctx, keys, func(row ledger.Row) error {
			if stopped = !yield(row, nil); stopped {
				return errEnough
			}
			return nil
		})
		if err != nil && !stopped {
			yield(ledger.Row{}, err)
		}
	}
}
