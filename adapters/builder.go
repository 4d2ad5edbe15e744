package adapters

import (
	"context"
	"io"
	"os"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// Builder is an adapter of a kind that makes more of its shards than lines: a
// database, or decisions. The shards are packed first, each for itself, and
// taken over from earlier runs where they can be; then Build reads all of them,
// once, in one activity. So the cost of understanding documents follows what
// changed, and only the last step reads everything.
//
// Build is a pure function too: the same shards, options and stamp give the
// same bytes, on any number of processors, after any crash.
type Builder interface {
	Adapter
	// PackedAs names the adapter whose lines the shards have: "json:raw", or the
	// builder's own. Of another's, Packer is never asked of this one. Shards of
	// the same lines are shared between their kinds.
	PackedAs() (label string)
	// Ships reports whether the packed shards are files of the bundle. When not,
	// they are lines of the adapter's own, any number for each document, and
	// Build's alone; the first of each document is its document line (document.go).
	Ships() bool
	// Guarded reports whether a result that shrank waits for an approval
	// (ARCHITECTURE D13).
	Guarded() bool
	Build(ctx context.Context, in Input, out Output) (Built, error)
}

// Intermediate reports whether the lines that a packs are not evidence as the
// ledger has it, but a builder's own.
func Intermediate(a Adapter) bool {
	builder, builds := a.(Builder)
	return builds && !builder.Ships()
}

// Input is what Build reads.
type Input struct {
	// Shards are in the run's order.
	Shards  []Shard
	Options export.Options
	// Prior is the tenant's last mirror before the run's, for kinds that hold originals;
	// nil without one. The bytes of a result do not depend on it, only its cost.
	Prior *Prior
	// Base and Target are the full mirrors that a delta lies between; nil for other kinds.
	Base, Target *Mirrored
	// Original gives one original of the tenant's ledger by its digest, checked.
	Original func(ctx context.Context, digest bundle.Digest) ([]byte, error)
	// Policy is the pack of the run's policy snapshot; zero for other kinds.
	Policy Policy
	// Stamp is the run's: UTC, whole seconds. No clock of a worker may enter.
	Stamp time.Time
	// Scratch is a directory of this attempt alone. It is removed afterwards,
	// whatever happens.
	Scratch string
	// Progress may be called often: how many shards of all were read.
	Progress func(done int)
}

// Shard is one packed shard.
type Shard struct {
	Path          string // data/raw/<type>-<16 hex>.jsonl.zst
	Kind          ledger.Kind
	Records       int64
	ContentDigest bundle.Digest // of the lines
	ContentBytes  int64
	// Open gives the lines, uncompressed, each ended by a line feed. It fails
	// rather than give other bytes than were packed.
	Open func(ctx context.Context) (io.ReadCloser, error)
	// Originals calls yield with the originals of documents of the shard, by the numbers
	// of their lines from 0, rising: the bytes that were imported, valid until yield
	// returns. They are held together: ask for as many as may be in memory.
	Originals func(ctx context.Context, lines []int32, yield func(line int32, original []byte) error) error
}

// Prior is a mirror whose originals need not be read from the ledger again.
type Prior struct {
	// Segments follow each other in archive order.
	Segments []Segment
	// Lists are its indexes of originals, in order: lines of bundle.Original.
	Lists []MirrorFile
}

// Segment is a blob of originals, one behind the other as they stand in an archive
// (bundle.EntryWriter).
type Segment struct {
	Path    string // of the first
	Count   int64
	Content int64 // bytes of the originals themselves
	Digest  bundle.Digest
	Size    int64
	Open    func(ctx context.Context) (bundle.Source, error)
}

// MirrorFile is a payload file of a mirror; Open gives its content as Shard.Open does.
type MirrorFile struct {
	bundle.Content
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// Mirrored is a full mirror that was published.
type Mirrored struct {
	End bundle.DeltaEnd
	// Payload are its files in archive order, Documents its other entries but originals.
	Payload   []MirrorFile
	Documents []Entry
	// Segments hold its originals, in archive order.
	Segments []Segment
}

// Entry is an entry of a bundle, as it is stored.
type Entry struct {
	Path   string
	Digest bundle.Digest
	Size   int64
	Open   func(ctx context.Context) (io.ReadCloser, error)
}

// Policy is a policy snapshot.
type Policy struct {
	ID      string // of the snapshot
	Name    string
	Version string // what its publisher calls it
	Digest  bundle.Digest
	Pack    []byte // the policy bundle, byte for byte as it was imported
}

// Output takes the files that Build makes. Paths are those of package bundle;
// each is written once.
type Output interface {
	// Lines begins a file of JSON lines in one zstd frame, <path>.jsonl.zst.
	Lines(ctx context.Context, path string) (Lines, error)
	// Document stores content as it is, with the number of records that the
	// manifest is to tell.
	Document(ctx context.Context, path string, content []byte, records int64) error
	// Layer stores a database in the form that Trivy takes as an OCI layer.
	Layer(ctx context.Context, path string, layer Layer) error
	// Entries begins a segment of originals; path is its first one's.
	Entries(ctx context.Context, path string) (Entries, error)
	// TakeOver makes a segment of Input.Prior one of this result. false: its blob is not
	// there any more, and the segment is to be made.
	TakeOver(ctx context.Context, of Segment) (bool, error)
}

// Entries is a segment being written.
type Entries interface {
	// Original adds an original, in archive order.
	Original(o bundle.Original, content io.Reader) error
	// Close completes the segment. One that is not closed does not exist.
	Close() error
}

// Lines is a file of lines being written.
type Lines interface {
	LineWriter
	// Close completes the file. One that is not closed does not exist.
	Close() error
}

// Layer is a database beside its metadata: what becomes a tar archive of two
// entries, compressed with gzip.
type Layer struct {
	Metadata []byte   // metadata.json
	Name     string   // of the database: trivy.db, trivy-java.db
	Database *os.File // read from its begin to its end
	Records  int64    // that the manifest is to tell
}

// Built is what the manifest, the README and the guard have to know of a result.
type Built struct {
	// Sources counts what came of each source, sorted by Kind, Source, Stream.
	Sources []SourceCount
}

// SourceCount is what one source gave.
type SourceCount = export.SourceCount

// Decider is a Builder that decides by a policy snapshot: Input.Policy is set.
type Decider interface {
	Builder
	Decides() bool
}

// Mirrors is a Builder whose bundles hold originals, and which reads full mirrors:
// the last one (Input.Prior), or the two of a delta (Input.Base and Input.Target).
type Mirrors interface {
	Builder
	ReadsMirrors() bool
}
