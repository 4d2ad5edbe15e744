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
	// Told are the transitions in the outbox.
	Told []export.Transition
	// ArchiveDigest is the row's; Delivered are the digests of its distributions.
	ArchiveDigest string
	Delivered     []string
	// Sealed: the bundle has an entry for the seal.
	Sealed bool
	// Pins counts the blobs that the run keeps.
	Pins int64
}

// BlobRecord is a blob's row, and who keeps the blob.
type BlobRecord struct {
	Digest   bundle.Digest
	Size     int64
	Deleting bool
	// Run is one of the runs that keep it, one with a bundle if there is any,
	// or the run on whose behalf it is being deleted.
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
	Greatest int64 // highest sequence of an observation
	Count    int64 // observations
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
