// Package ledger is the evidence ledger's vocabulary: observations, their
// identity and currency, and what a reader may ask as of a sequence.
//
// The ledger only grows. A document is identified by (tenant, source, stream,
// kind, upstream id); its revisions differ by their bytes. As of sequence S the
// current revision is, among those numbered S or lower, the one with the
// greatest (Modified, SHA-256) - never the one that came last - so the order of
// arrival leaves no trace (ARCHITECTURE D1, CONTRACT ruling 1). A removal has its
// place among the revisions of its document; while it is the greatest of them,
// readers do not see the document (Removal).
package ledger

import (
	"context"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/jsonobject"
)

// Kind is what a document is evidence of.
type Kind string

// Kinds of evidence.
const (
	KindAdvisory    Kind = "advisory"
	KindVEX         Kind = "vex"
	KindSBOM        Kind = "sbom"
	KindFinding     Kind = "finding"
	KindPolicy      Kind = "policy"
	KindAttestation Kind = "attestation"
	KindArtifact    Kind = "artifact"
)

// PayloadType is the word for k in payload file names: data/raw/<type>-<shard>.
func (k Kind) PayloadType() string {
	switch k {
	case KindAdvisory:
		return "advisories"
	case KindSBOM:
		return "sboms"
	case KindFinding:
		return "findings"
	case KindAttestation:
		return "attestations"
	case KindArtifact:
		return "artifacts"
	}
	return string(k)
}

// MaxDocument bounds one document: 64 MiB (issue Spine 2).
const MaxDocument = 64 << 20

// Entry is one document as it arrives: untrusted bytes and where they came from.
type Entry struct {
	Source string // who published it; "" = the format's own word ("osv")
	Stream string // which collection of the source
	File   string // file the bytes came from, for messages only
	Name   string // entry within the file ("line 17"), for messages only
	Bytes  []byte

	opened *opened // what Open found
}

// Observation is a document that was understood: the original bytes, the
// canonical form computed once, and what it can be selected by.
type Observation struct {
	Project    string
	Kind       Kind
	Format     string // "osv"
	Source     string
	Stream     string
	UpstreamID string // the document's own id, or the hex SHA-256 of its bytes
	// Modified is the document's own modification time in ModifiedLayout, ""
	// when it has none. It sorts as text.
	Modified string

	Digest    bundle.Digest // of Raw
	Raw       []byte        // the original bytes, untouched
	Canonical []byte        // RFC 8785 form of Raw; never contains a line feed

	// Subject is the lexically first package URL or product, "" without one
	// (ruling 6). Lines of an export are ordered by (Subject, UpstreamID, Source, Stream).
	Subject    string
	Ecosystems []string // sorted, unique
	Products   []string // package URLs, sorted, unique
	Aliases    []string // sorted, unique
	// Severities are the words the document itself gives, of critical, high,
	// medium, low, none; sorted, unique. They serve selection only and are in
	// no line of a raw export.
	Severities []string
}

// ModifiedLayout is the one form of Observation.Modified: UTC, nanoseconds.
const ModifiedLayout = jsonobject.TimeLayout

// Rejection says why an entry did not become an observation.
type Rejection struct {
	File   string `json:"file"`
	Entry  string `json:"entry"`
	Reason string `json:"reason"`
}

// Counts is what became of the entries of an import:
// Accepted + Unchanged + Superseded + Rejected = Read.
type Counts struct {
	Read int64 `json:"read"`
	// Accepted observations were new and are current.
	Accepted int64 `json:"accepted"`
	// Unchanged entries have an identity and bytes that are already recorded.
	Unchanged int64 `json:"unchanged"`
	// Superseded observations were recorded, but a greater revision is already there.
	Superseded int64 `json:"superseded"`
	Rejected   int64 `json:"rejected"`
}

// Add adds other to c.
func (c *Counts) Add(other Counts) {
	c.Read += other.Read
	c.Accepted += other.Accepted
	c.Unchanged += other.Unchanged
	c.Superseded += other.Superseded
	c.Rejected += other.Rejected
}

// Batch bounds of one import transaction (ARCHITECTURE D1; larger since
// docs/decisions/0005, because a batch is what is kept together in order).
const (
	BatchDocuments = 4096
	BatchBytes     = 8 << 20
)

// Store is the ledger as its rooms use it.
type Store interface {
	// Import records a batch in one transaction. It is idempotent: the same
	// batch again is all Unchanged.
	Import(ctx context.Context, tenant string, batch []Observation) (Counts, error)
	// Remove records in one transaction that documents are not published any more.
	// It is idempotent, and at most MaxRemovals are taken.
	Remove(ctx context.Context, tenant string, batch []Removal) (RemovalCounts, error)
	// Head is the tenant's highest sequence, 0 for an empty ledger.
	Head(ctx context.Context, tenant string) (int64, error)
	// Current calls yield for every current document as of seq that sel
	// selects and whose key is in keys, ordered by (kind, subject, upstream id,
	// source, stream), bytewise.
	Current(ctx context.Context, tenant, project string, seq int64, sel export.Selectors, keys KeyRange, yield func(Row) error) error
	// Touched gives the keys under which documents appeared, changed or went
	// away between two moments, the second included; more than limit are nil
	// and false.
	Touched(ctx context.Context, tenant, project string, after, seq int64, limit int) (keys []string, all bool, err error)
	// Lines calls yield with the documents at places, in that order; their Seq
	// is 0, only a listing has it. They are
	// held together: ask for as many as may be in memory.
	Lines(ctx context.Context, tenant string, places []Place, yield func(Line) error) error
	// Originals calls yield with the original bytes, verbatim, of the documents at
	// places, in that order. They are held together, like Lines', and valid until
	// yield returns; one that is not there is ErrNotFound (storage).
	Originals(ctx context.Context, tenant string, places []Place, yield func(place Place, original []byte) error) error
	// Original gives a document's bytes by digest; ErrNotFound (storage) when
	// this tenant has no such document.
	Original(ctx context.Context, tenant string, digest bundle.Digest) ([]byte, error)
}

// Row is what planning needs of a document; no payload.
type Row struct {
	Seq        int64
	Kind       Kind
	Subject    string
	UpstreamID string
	Source     string
	Stream     string
	Digest     bundle.Digest
	// CanonicalBytes is the length of the canonical form.
	CanonicalBytes int64
	// Place is where the document is kept.
	Place Place
}

// Place is where the store keeps a document: a block, and a slot in it. It
// never changes, and means nothing to anybody but the store.
type Place struct {
	Block int64
	Slot  int32
}

// KeyRange is a part of the export's order: keys (Row.Key) of a kind, from From
// up to but not including To, which are keys of that kind or "" for an open end.
// The zero value is everything.
type KeyRange struct {
	Kind     string
	From, To string
}

// Contains reports whether a key is in the range.
func (r KeyRange) Contains(key string) bool {
	return r.Kind == "" || strings.HasPrefix(key, r.Kind+"\n") && key >= r.From && (r.To == "" || key < r.To)
}

// Line is what packing needs of a document. The slices are valid until yield returns.
type Line struct {
	Row
	Format     string
	Modified   string
	RawBytes   int64
	Ecosystems []string
	Products   []string
	Aliases    []string
	Canonical  []byte
}
