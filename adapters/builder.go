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
