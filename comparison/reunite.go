package comparison

import (
	"context"
	"errors"
	"fmt"

	"github.com/stella-ops/exportcenter/ledger"
)

// errEnough ends a list whose reader has what it wants.
var errEnough = errors.New("enough was listed")

// reunite finds the documents that stand under another key in the other run. A key
// begins with a document's first package, so an advisory that is about another one
// moves: it has changed, and was not removed and added. It is told of where it was.
func (c Comparison) reunite(ctx context.Context, pairs []pair) ([]pair, error) {
	var gone, come []ledger.Row
	for _, p := range pairs {
		switch p.way() {
		case Removed:
			gone = append(gone, *p.from)
		case Added:
			come = append(come, *p.to)
		}
	}
	movedTo, err := c.To.elsewhere(ctx, gone)
	if err != nil {
		return nil, err
	}
	movedFrom, err := c.From.elsewhere(ctx, come)
	if err != nil {
		return nil, err
	}
	kept := pairs[:0]
	for _, p := range pairs {
		switch p.way() {
		case Added:
			if movedFrom[name(*p.to)] != nil {
				continue
			}
		case Removed:
			if p.to = movedTo[name(*p.from)]; p.to != nil && p.to.Digest == p.from.Digest {
				continue // another release of the ledger's readers found another package in it
			}
		}
		kept = append(kept, p)
	}
	return kept, nil
}

// name is what a document is called, whatever it is about.
func name(r ledger.Row) ledger.Identity {
	return ledger.Identity{Kind: r.Kind, Source: r.Source, Stream: r.Stream, UpstreamID: r.UpstreamID}
}

// elsewhere gives those of rows' documents that the run has under another key.
func (s Side) elsewhere(ctx context.Context, rows []ledger.Row) (map[ledger.Identity]*ledger.Row, error) {
	if len(rows) == 0 {
		return nil, nil //nolint:nilnil // a map to look into
	}
	keys := make(map[ledger.Identity]string, len(rows))
	for _, row := range rows {
		keys[name(row)] = row.Key()
	}
	var moved []ledger.Row
	err := s.CurrentOf(ctx, rows, func(row ledger.Row) error {
		if row.Key() != keys[name(row)] { // else the run was asked for that key, and does not select it
			moved = append(moved, row)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for %d documents elsewhere: %w", len(rows), err)
	}
	found := make(map[ledger.Identity]*ledger.Row, len(moved))
	for _, row := range moved {
		key := row.Key()
		err := s.List(ctx, ledger.KeyRange{Kind: string(row.Kind), From: key, To: follows(key)}, func(selected ledger.Row) error {
			found[name(selected)] = &selected
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("look for a document elsewhere: %w", err)
		}
	}
	return found, nil
}
