package ledger

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// Catalog answers what the ledger holds as of a sequence. The ledger only
// grows, so an answer as of one sequence never changes.
type Catalog interface {
	// SeqAt is the last sequence recorded until at, 0 before the first.
	SeqAt(ctx context.Context, tenant string, at time.Time) (int64, error)
	// Stats counts what the ledger holds as of seq, with at most top groups of
	// each sort.
	Stats(ctx context.Context, tenant, project string, seq int64, top int) (Stats, error)
	// Excluded counts what each member of sel that is there leaves out of the
	// current documents as of seq.
	Excluded(ctx context.Context, tenant, project string, seq int64, sel export.Selectors) ([]Exclusion, error)
	// Documents lists documents as of seq in the order of recording: current ones,
	// removed ones, or both. It
	// looks at a bounded part of the ledger: next is what the following call
	// takes as f.After, 0 at the end, however many were found.
	Documents(ctx context.Context, tenant, project string, seq int64, f DocumentFilter) (page []Document, next int64, err error)
	// CurrentOf calls yield with the current revisions as of seq of those documents that
	// rows are revisions of, whatever they are about, in the order of their keys.
	CurrentOf(ctx context.Context, tenant, project string, seq int64, rows []Row, yield func(Row) error) error
	// RemovalOf gives the removal of what has the bytes of digest, and its sequence:
	// when every document of which they are a revision is gone now, the last of
	// their removals. Else it is nil.
	RemovalOf(ctx context.Context, tenant string, digest bundle.Digest) (removal *Removal, seq int64, err error)
}

// Stats is what the ledger holds as of a sequence.
type Stats struct {
	// First and Last are when the first and the last of the revisions were
	// recorded; zero when there is none, or when nobody noted it.
	First, Last time.Time
	// Removed documents are gone: the greatest of their revisions is a removal.
	Removed                             int64
	Total                               Count
	Kinds, Sources, Formats, Ecosystems []NamedCount // most documents first
}

// Count is how much of something there is.
type Count struct {
	Documents int64 // current revisions
	Revisions int64 // all of them
	Bytes     int64 // original bytes of the current ones
}

// Add adds other to c.
func (c *Count) Add(other Count) {
	c.Documents += other.Documents
	c.Revisions += other.Revisions
	c.Bytes += other.Bytes
}

// NamedCount is a group and how much of it there is.
type NamedCount struct {
	Name string
	Count
}

// TopCounts gives the n groups with most documents, then most revisions, then
// by name.
func TopCounts(groups map[string]Count, n int) []NamedCount {
	counts := make([]NamedCount, 0, len(groups))
	for name, count := range groups {
		counts = append(counts, NamedCount{name, count})
	}
	slices.SortFunc(counts, func(a, b NamedCount) int {
		switch {
		case a.Documents != b.Documents:
			return int(max(-1, min(1, b.Documents-a.Documents)))
		case a.Revisions != b.Revisions:
			return int(max(-1, min(1, b.Revisions-a.Revisions)))
		}
		return strings.Compare(a.Name, b.Name)
	})
	return counts[:min(n, len(counts))]
}

// DocumentFilter narrows a list of documents; "" is any.
type DocumentFilter struct {
	Kind       Kind
	Source     string
	Stream     string
	Ecosystem  string // exact
	UpstreamID string // exact
	PurlPrefix string // of one of the document's products
	After      int64  // only documents recorded after this sequence
	Limit      int    // at least 1
	Removed    Removed
}

// Removed says whether a list has documents that were removed.
type Removed int

// Lists of what is there, of what was removed, and of both.
const (
	WithoutRemoved Removed = iota
	OnlyRemoved
	WithRemoved
)

// Document is an entry of a list.
type Document struct {
	Seq        int64
	Kind       Kind
	Format     string
	UpstreamID string
	Source     string
	Stream     string
	Subject    string
	Modified   string // in ModifiedLayout, "" without one
	Digest     bundle.Digest
	Bytes      int64 // length of the original
	// Removal is nil unless the document was removed. Then Seq is the removal's,
	// and the rest is of the greatest revision.
	Removal *Removal
}
