// Package comparison says what changed between the documents of two runs, in the words
// of advisories: which were added, removed or changed, and of those that changed
// whether it is their severity, their ranges, what fixes them, or only their text.
//
// Nothing that is the same is read. Both runs have a plan, which cuts their documents
// into shards, and a shard's hash covers the keys and digests of its documents: shards
// of one hash are passed over. Of the gaps between them both lists are read side by
// side, in the order of their keys, and of documents whose digests differ the documents
// themselves:
//
//	gaps   = what is between the shards that both plans have
//	pairs  = merge(list as of the one run, list as of the other) of each gap, where digests differ
//	change = what the two documents of a pair say differently
//
// The lists are asked of the ledger as of the runs' moments, so the answer does not
// depend on what became of their bundles. They are never held: an answer comes in pages,
// and a page is bounded in what it looks at.
package comparison

import (
	"context"
	"slices"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
)

// Side is one of the two runs: its plan, and its documents as of its moment.
type Side struct {
	// Shards are those of its plan, in order, of its own tenant's evidence.
	Shards []Shard
	// List calls yield with the run's documents in keys, in the order of their keys.
	List func(ctx context.Context, keys ledger.KeyRange, yield func(ledger.Row) error) error
	// CurrentOf gives the current revisions, as of the run's moment, of the documents
	// that rows are revisions of, selected by the run or not.
	CurrentOf func(ctx context.Context, rows []ledger.Row, yield func(ledger.Row) error) error
}

// Shard is what a plan says of a shard.
type Shard struct {
	Kind   string
	Cursor string        // the key of its first document
	Hash   bundle.Digest // over the keys and digests of its documents
}

// Comparison is from one run to another of the same tenant.
type Comparison struct {
	From, To Side
	// Lines reads documents of the tenant; see ledger.Store.
	Lines func(ctx context.Context, places []ledger.Place, yield func(ledger.Line) error) error
}

// Filter narrows an answer. The zero value takes everything.
type Filter struct {
	Kinds []string // of evidence
	Only  string   // one of OnlyWords, "" = any
}

// OnlyWords are what an answer can be narrowed to: a way of changing, or what changed.
var OnlyWords = append([]string{Added, Removed, Changed}, Aspects...)

// Bounds are what a page may look at. Each is at least 1.
type Bounds struct {
	Pairs int   // documents that are opened and told about
	Rows  int   // of both lists
	Bytes int64 // of the documents that are opened; one document may be larger
}

// Page gives the changes behind a key ("" = from the first) in the order of keys, and
// the key that the next page continues behind, "" at the end. A page may hold fewer
// changes than it may, and none.
func (c Comparison) Page(ctx context.Context, after string, f Filter, b Bounds) (changes []Change, next string, err error) {
	pairs, next, err := c.pairs(ctx, after, f, b)
	if err != nil {
		return nil, "", err
	}
	if pairs, err = c.reunite(ctx, pairs); err != nil {
		return nil, "", err
	}
	pairs = slices.DeleteFunc(pairs, func(p pair) bool { return !f.mayTake(p) })
	err = c.read(ctx, pairs, func(change Change) {
		if f.takes(change) {
			changes = append(changes, change)
		}
	})
	return changes, next, err
}

// Same counts the shards that both plans have.
func (c Comparison) Same() int { return len(common(c.From.Shards, c.To.Shards)) }

// mayTake reports whether a pair can be what is asked for, before its documents are read.
func (f Filter) mayTake(p pair) bool {
	switch f.Only {
	case "":
		return true
	case Added, Removed:
		return p.way() == f.Only
	}
	return p.way() == Changed
}

func (f Filter) takes(c Change) bool {
	return f.Only == "" || f.Only == c.Change || slices.Contains(c.What, f.Only)
}

// mayTakeAlone does so before it is known whether a document that one side lacks under
// its key is there under another: then it has changed, and is told of where it was.
func (f Filter) mayTakeAlone(p pair) bool {
	switch {
	case f.Only == "" || p.from != nil && p.to != nil:
		return f.mayTake(p)
	case p.from != nil:
		return f.Only != Added
	}
	return f.Only == Added
}
