// Package storage says what a store must do. Objects hold bytes under their
// digest; Runs and Execution hold the state of runs, the first for the API,
// the second for the activities, whose every write is fenced by its attempt.
//
// The folders below implement it; storage/storagetest is the one suite that
// defines what "implements" means.
package storage

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

// What a store answers besides success. Wrapped, so use errors.Is.
var (
	// ErrNotFound: there is no such thing in this tenant. A foreign tenant's
	// thing is exactly as absent.
	ErrNotFound = errors.New("not found")
	// ErrStale: a newer attempt owns the phase, or the run has ended. Stop;
	// nothing was written.
	ErrStale = errors.New("attempt no longer owns the phase")
	// ErrConflict: the state does not allow it (cancel after the end).
	ErrConflict = errors.New("state conflict")
	// ErrCorrupt: stored bytes are not what their digest says. Never serve them.
	ErrCorrupt = errors.New("stored bytes differ from their digest")
)

// Objects is a content-addressed blob store. Every tenant has a namespace of
// its own; nothing is shared between two (it would be an oracle).
type Objects interface {
	// Stage begins a new blob in tenant's namespace.
	Stage(ctx context.Context, tenant string) (Staged, error)
	// Open opens a published blob for reading at any offset.
	Open(ctx context.Context, tenant string, digest bundle.Digest) (Blob, error)
	// Stored reports whether a blob of that size is there. Of a blob that was
	// pinned before, the answer holds: nobody is about to erase it.
	Stored(ctx context.Context, tenant string, digest bundle.Digest, size int64) (bool, error)
	// Delete removes a blob that DropBlobs has marked; absent is not an error. It
	// asks still right before, and removes nothing after an error. From then until
	// it has removed the blob, however long that takes, every other Delete of the
	// blob waits, and fails, worth a retry, when that takes long: so an eraser
	// that wakes up late removes nothing that was stored again.
	Delete(ctx context.Context, tenant string, digest bundle.Digest, still Still) error
	// DeleteUnmarked removes a blob that has no mark, and that a run may therefore
	// pin as soon as the transaction behind still has ended. As Delete, but those
	// wait who are about to rely on a blob they have pinned: Publish and Stored, of
	// any blob of the tenant, and every other DeleteUnmarked.
	DeleteUnmarked(ctx context.Context, tenant string, digest bundle.Digest, still Still) error
	// Check proves the store can be written and read; for readiness.
	Check(ctx context.Context) error
}

// Staged is a blob being written. Exactly one of Publish and Discard ends it;
// Discard after Publish does nothing, so it can be deferred.
type Staged interface {
	io.Writer
	// Digest is the digest and size of what was written so far.
	Digest() (bundle.Digest, int64)
	// Publish makes the blob durable under its digest. Publishing bytes that
	// are already there succeeds and changes nothing.
	Publish(ctx context.Context) error
	Discard() error
}

// Blob is a published blob.
type Blob interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// Claim is an attempt's right to write: it owns (run, phase) until a newer
// attempt claims it. Every method of Execution that takes a Claim fails with
// ErrStale when the claim is no longer the newest or the run is terminal.
type Claim struct {
	Ref   export.Ref
	Phase export.Phase
	// Part of the phase, where several activities share it: each is fenced by
	// itself. "" is the phase as a whole.
	Part    string
	Attempt int64
}

// RunFilter narrows a list of runs.
type RunFilter struct {
	State       export.State // "" = any
	Profile     string       // profile id, "" = any
	Project     string       // "" = any
	RequestedBy string       // "" = any
	Label       [2]string    // key and value; no key = any
	// From and To bound when a run was requested: from is in, to is not; zero = open.
	From, To time.Time
	Limit    int    // 1..200
	Cursor   string // "" = newest; else the cursor of the previous page
}

// PlannedShard is a shard of a run's plan, and whether its file was taken over
// from a run before instead of packed.
type PlannedShard struct {
	Shard
	Reused bool
}

// Share is how much of a plan is from one source (Shard.Source).
type Share struct {
	Source         string
	Shards         int
	Records, Bytes int64
}

// Runs is what the API needs: create, read, ask for an end.
type Runs interface {
	// CreateRun records run as pending with its run.pending event and its
	// export.requested outbox row in one transaction. With an idempotency key
	// that was used before for the same request hash it returns the first run
	// and created=false; for another request it is ErrConflict.
	//
	// When the tenant has a free slot and nobody waits, the run is given out in
	// the same transaction: its DispatchedAt is set, and the caller starts its
	// workflow. Else it waits its turn; when Limits.Pending runs do already,
	// the error is a *QueueFull and nothing is written; beyond a quota of the tenant's or
	// the profile's it is a *QuotaReached. A profile that was
	// archived meanwhile makes no run either (export.CodeStateConflict).
	CreateRun(ctx context.Context, run export.Run, idem Idempotency) (stored export.Run, created bool, err error)
	// FindRun gives the run that was made under a key for the same request.
	FindRun(ctx context.Context, tenant string, idem Idempotency) (run export.Run, found bool, err error)
	GetRun(ctx context.Context, ref export.Ref) (export.Run, error)
	// ListRuns gives a page, newest first, and the cursor of the next ("" at the end).
	ListRuns(ctx context.Context, tenant string, f RunFilter) ([]export.Run, string, error)
	// NewestMirror gives the full mirror with the greatest generation among those that
	// succeeded of a base's project, profile (in any revision) and selection, the base
	// itself among them; ErrNotFound when there is none. Rebuilds are no mirrors.
	NewestMirror(ctx context.Context, base export.Run) (export.Run, error)
	// RequestCancel records who wants the run to end and why, once: a second
	// request keeps the first. ErrConflict when the run has ended.
	RequestCancel(ctx context.Context, ref export.Ref, c export.Cancellation) (export.Run, error)
	// Decide records what somebody says of a run that waits: the first decision stands,
	// and the same one by the same person again changes nothing. ErrConflict when the
	// run has ended, waits for nothing, was decided otherwise or is to be cancelled, and
	// when its time is over.
	Decide(ctx context.Context, ref export.Ref, d export.Decision) (export.Run, error)
	// GuardReport gives what the guard found; ErrNotFound when it did not look at the
	// run, or not yet.
	GuardReport(ctx context.Context, ref export.Ref) (Guarded, error)
	// Events lists a run's journal after seq, oldest first.
	Events(ctx context.Context, ref export.Ref, after int64, limit int) ([]export.Event, error)
	// Files lists the entries of a run's bundle in archive order, as it leaves: of a
	// run that is encrypted none of the plain ones.
	Files(ctx context.Context, ref export.Ref) ([]File, error)
	// Attestations lists the signatures of a run that were kept with their statement.
	Attestations(ctx context.Context, ref export.Ref) ([]StoredSignature, error)
	// Planned gives the digest of a run's plan and its shards from an ordinal on, at
	// most limit of them. ErrNotFound when there is no such run, or when it has no
	// plan: before it is made, and after a run that ended without a bundle.
	Planned(ctx context.Context, ref export.Ref, from, limit int) (plan bundle.Digest, shards []PlannedShard, err error)
	// Shares sums up a run's plan by source, in the order of their names; nothing of a
	// run without one.
	Shares(ctx context.Context, ref export.Ref) ([]Share, error)
	// PackedBefore tells of each shard, by its hash, whether it was packed by a recipe.
	PackedBefore(ctx context.Context, tenant string, recipe bundle.Digest, hashes []bundle.Digest) ([]bool, error)
}

// Journal is what the event streams need: what a run's journal says, how far
// it is, and when it is worth looking again.
type Journal interface {
	// Events is Runs.Events.
	Events(ctx context.Context, ref export.Ref, after int64, limit int) ([]export.Event, error)
	// Heads says how far the journals of these runs of tenant are; absent runs
	// are left out.
	Heads(ctx context.Context, tenant string, runs []string) (map[string]Head, error)
	// Hear calls heard after events were written, by whatever process, until ctx
	// ends or what it listens to breaks; its error is never nil. It may hear
	// nothing of an event: look once in a while all the same.
	Hear(ctx context.Context, heard func(Notice)) error
}

// Head is how far a journal is.
type Head struct {
	Seq   int64 // of the last event
	Ended bool  // nothing follows it: the run has ended
}

// Notice says that journals have grown.
type Notice struct {
	// Topics are those of the runs; when All is set also of others.
	Topics []Topic
	All    bool
}

// Topic stands for a run where its tenant must not be named.
type Topic [8]byte

// TopicOf is the first 8 bytes of SHA-256("events LF tenant LF run"). Two runs
// with the same topic are looked at together, which is harmless.
func TopicOf(ref export.Ref) Topic {
	sum := sha256.Sum256([]byte("events\n" + ref.Tenant + "\n" + ref.RunID))
	return Topic(sum[:8])
}

// Idempotency is a client's key for a request. The zero value means none.
type Idempotency struct {
	Key         string
	RequestHash bundle.Digest
}

// File is one entry of a run's bundle: a path and the blob behind it.
type File struct {
	Path   string
	Digest bundle.Digest
	Size   int64
	// Records and Content describe payload files: number of documents, and
	// digest and size of the uncompressed content. Zero for other files.
	Records       int64
	ContentDigest bundle.Digest
	ContentSize   int64
	// Payload marks the files payloadDigest covers.
	Payload bool
	// Entries marks a blob of many entries of the archive, with their headers
	// (bundle.Member.Entries): a segment of originals. Path is the first one's, Records
	// counts them, ContentSize adds up their contents.
	Entries bool
	// Ordinal is the place of a built payload file among those that were built
	// (adapters.Builder), from 0; 0 for all others, whose order is the plan's.
	Ordinal int
	// Tally is what was counted while a payload file was packed: a Tally in its
	// text form, stored as it is. "" for other files, and for shards that were
	// packed before anything was counted.
	Tally string
}

// Member is the file as a member of its archive.
func (f File) Member() bundle.Member {
	return bundle.Member{Path: f.Path, Size: f.Size, Digest: f.Digest, Entries: f.Entries}
}

// Sized is a blob by digest and size.
type Sized struct {
	Digest bundle.Digest
	Size   int64
}

// Shard is one unit of packing, a row of export_inputs.
type Shard struct {
	Ordinal int    // position in the plan, from 0
	Name    string // payload path, data/raw/<type>-<16 hex>.jsonl.zst
	Kind    string // evidence kind of its documents
	Source  string // what the documents were read from: "ledger"
	// Cursor is the document key the shard starts at.
	Cursor string
	Count  int64
	Bytes  int64 // canonical bytes to write, before compression
	// Hash is SHA-256 over the (key, digest) lines of its documents.
	Hash bundle.Digest
	// Result is set once the shard is packed.
	Result *File
}

// ShardPlaces says where a shard's documents are, in a form of the caller's.
type ShardPlaces struct {
	Hash   bundle.Digest
	Places []byte
}

// Guarded is what the guard found of a run.
type Guarded struct {
	Report export.GuardReport
	Parked bool
	At     time.Time
	// Until a run that is parked waits; it is in the run's Wait.
	Until time.Time
}

// Distribution is a place a bundle was delivered to, a row of export_distributions.
type Distribution struct {
	Type      string // http, oci, object
	Location  string
	Digest    bundle.Digest
	Size      int64
	ExpiresAt time.Time // zero = none
}

// Outcome is how a run ends.
type Outcome struct {
	State   export.State // succeeded, failed or aborted
	Failure *export.Failure
	Cancel  *export.Cancellation
	Message string
	// Timeline are the outbox rows written with the transition.
	Timeline []export.TimelineEvent
	At       time.Time
}

// StoredSignature is a signature kept before it is used, so that a retry uses
// the same bytes even when the key service would give others.
type StoredSignature struct {
	Artifact  string // what was signed: an archive path or "seal"
	KeyID     string
	Algorithm string
	Message   bundle.Digest // of the signed bytes
	Signature []byte
	// Statement is the DSSE payload that was signed, kept where no bundle has it;
	// nil elsewhere.
	Statement []byte
}

// Dispatch is what the dispatcher does across tenants: it sees which runs wait
// for a workflow and which for the delivery of a cancel signal, nothing else,
// and gives out a tenant's next runs.
type Dispatch interface {
	// Waiting lists what must be acted on for up to tenants tenants whose names
	// come after the given one, tenant by tenant in bytewise order, each one's
	// runs in the order of request. No tenant has more than a few in a list, so
	// none stands in another's way; the last one's name continues the list.
	Waiting(ctx context.Context, after string, tenants int) ([]Waiting, error)
	// Claim gives out those runs of tenant that were asked for first, as many
	// as there are free slots, in order. Whoever calls it starts their
	// workflows; those it fails to start are in the next list of Waiting.
	Claim(ctx context.Context, tenant string, at time.Time) ([]Waiting, error)
}

// Waiting is a run the dispatcher must act on.
type Waiting struct {
	Ref       export.Ref
	ProfileID string
	// Queued: it waits for a slot. Of these a list has the first one only; the
	// rest is Claim's to find.
	Queued  bool
	Pending bool // it was given out, or is to be cancelled, and no workflow has started it yet
	Cancel  bool // a cancel request is recorded and the run has not ended
	Decided bool // it waited, and was rejected, or approved and given a slot
}
