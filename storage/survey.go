package storage

import (
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// What follows is what fsck is told of a store: the facts it compares, one row
// or file each, without the things they are about.

// RunRecord is what the database says of a run, all at one moment.
type RunRecord struct {
	ID    string
	State export.State
	// LastSign is the newest of request, start and last event; CompletedAt is
	// zero until the end.
	LastSign, CompletedAt time.Time
	// Counter is the number of the last event as the run's row has it; the
	// others are counted in the journal.
	Counter, Events, FirstEvent, LastEvent int64
	// Ends are the journal's events of an end, in order.
	Ends []export.EventType
	// Outbox is what the timeline was or is to be told, in order.
	Outbox []OutboxRecord
	// Progress is how far the row says it is; Counted is the same, counted over
	// the plan's shards.
	Progress, Counted ProgressRecord
	// ArchiveDigest is the row's; Delivered are the digests of its distributions.
	ArchiveDigest string
	Delivered     []string
	// Sealed: the bundle has an entry for the seal.
	Sealed bool
	// Pins counts the blobs that the run keeps.
	Pins int64
	// Wait is as in the run's row, of a decision its verdict and its time; Guarded says
	// that there is a report of the guard.
	Wait    *export.Wait
	Guarded bool
	// Rebuild: it builds another run again, and keeps and tells nothing.
	Rebuild bool
}

// Keeps reports whether the run has a bundle.
func (r RunRecord) Keeps() bool { return r.State.Downloadable() && !r.Rebuild }

// OutboxRecord is an event for the timeline.
type OutboxRecord struct {
	Event   export.Transition
	ID      string
	Seq     int64  // the run's last event when it was written
	Payload string // JSON
}

// ProgressRecord counts a run's shards, documents and their canonical bytes.
type ProgressRecord struct {
	Shards, Records, Bytes             int64
	ShardsDone, RecordsDone, BytesDone int64
}

// QueueRecord is a tenant's queue of runs, all at one moment.
type QueueRecord struct {
	Last     int64 // number that was given out last
	Greatest int64 // greatest number of a run
	Count    int64 // runs with a number
	Active   int64 // runs that hold a slot
}

// UsageRecord is what is kept of a tenant's use of its quotas, all at one moment.
type UsageRecord struct {
	Profile     string // "" = the whole tenant
	Runs, Bytes int64  // as the row says: of its day, and of bundles that are kept
	// CountedRuns and CountedBytes are what the runs say.
	CountedRuns, CountedBytes int64
	// Records and CountedRecords are the bytes of the tenant's records of exports, 0 of a
	// profile.
	Records, CountedRecords int64
	// Active runs hold a slot, and the greatest bound that one of them has is Bound; 0 =
	// one has none.
	Active, Bound int64
}

// PackedRecord is what is kept of a packed shard for later runs, and does not
// fit its blob.
type PackedRecord struct {
	Hash, Recipe bundle.Digest
	Digest       bundle.Digest
	Size         int64
	// Recorded is the size in the blob's row, -1 without a row.
	Recorded int64
}

// ShardRecord is a shard of a run's plan with the places that are kept of its
// documents.
type ShardRecord struct {
	Run    string
	Name   string
	Hash   bundle.Digest
	Count  int64
	Bytes  int64
	Places []byte
}

// TermRecord says that what documents can be selected by is not what they have.
type TermRecord struct {
	Axis string
	// First and Last are the sequences of the first and the last document that
	// is concerned, Documents how many are.
	First, Last, Documents int64
	// Lacking and Added count terms: the documents' that no page has, and those
	// that a page has and the document has not. Both 0: others in their place.
	Lacking, Added int64
	// Page is the page that cannot be read, "" when the record is about
	// documents.
	Page string
	Err  error
}

// OvertakenRecord is a revision or a removal of which the ledger says wrongly
// when it was overtaken; 0 = never.
type OvertakenRecord struct {
	Seq, Recorded, Right int64
}

// BlobRecord is a blob's row, and who keeps the blob.
type BlobRecord struct {
	Digest   bundle.Digest
	Size     int64
	Deleting bool
	// Run is the run on whose behalf it is being deleted; else one of the runs
	// that keep it, one with a bundle if there is any.
	Run string
	// Pins counts the runs that keep it, Bundles those among them whose bundle
	// can be downloaded, UnderWay those that have not ended.
	Pins, Bundles, UnderWay int64
	// Ended is when the last of the others ended, zero without one.
	Ended time.Time
}

// EntryRecord is an entry of a bundle.
type EntryRecord struct {
	Run    string
	Path   string
	Digest bundle.Digest
	Size   int64
	// Recorded is the size in the blob's row, -1 without a row.
	Recorded int64
}

// LedgerRecord counts a tenant's ledger, all at one moment.
type LedgerRecord struct {
	Head     int64 // highest sequence given out
	Greatest int64 // highest sequence of an observation or a removal
	Count    int64 // observations
	Removals int64
}

// DocumentRecord is a document's stored bytes. They are valid until the caller
// returns. Canonical is nil when it equals the original, both are nil when the
// bytes cannot be read.
type DocumentRecord struct {
	Digest         bundle.Digest
	Raw, Canonical []byte
}

// BlobFile is a file in a blob store. Digest is zero for a file that is not a
// published blob.
type BlobFile struct {
	Path     string // below the store's directory
	Digest   bundle.Digest
	Size     int64
	Modified time.Time
}
