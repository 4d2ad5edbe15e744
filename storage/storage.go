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

// Execution is what the activities need. Each method is one transaction that
// checks the claim, writes the state and its events together, and can be
// repeated by the same attempt without effect.
type Execution interface {
	// Begin claims (ref, phase) for attempt. ErrStale if a newer attempt has
	// it or the run has ended; the returned run is as it stands in either case.
	// The run's cancellation request, if any, is in it: the caller stops when
	// that is set.
	Begin(ctx context.Context, ref export.Ref, phase export.Phase, attempt int64) (Claim, export.Run, error)
	// BeginPart claims a part of a phase.
	BeginPart(ctx context.Context, ref export.Ref, phase export.Phase, part string, attempt int64) (Claim, export.Run, error)
	// ReadRun gives a run of the tenant as it stands: the one that a rebuild is of.
	ReadRun(ctx context.Context, ref export.Ref) (export.Run, error)
	// SaveRebuilt records what came of a rebuild, once: what is there stays, and is in
	// the run that is returned; event rebuild.compared. ErrConflict for a run that is none.
	SaveRebuilt(ctx context.Context, c Claim, r export.Rebuilt, at time.Time) (export.Run, error)
	// Start moves a pending run to running and fixes AsOf to seq, unless
	// that was done before: the first fixing stays. A run of mirror:full gets its
	// Generation with it, and AsOf is the head of the ledger then, not seq, so that
	// generations rise as moments do. A tenant that keeps as many bytes
	// of bundles as it may starts none but
	// rebuilds: the error is a *QuotaReached.
	Start(ctx context.Context, c Claim, seq int64, at time.Time) (export.Run, error)
	// SavePlan records the plan blob and its shards, replacing the rows of an
	// earlier attempt; event run.planned. It becomes the last plan of the
	// selection, unless one of a later moment is there, or the run is a rebuild.
	SavePlan(ctx context.Context, c Claim, plan, selection bundle.Digest, shards []Shard, at time.Time) error
	// LastPlan gives the last plan of what run selects in its project, and the
	// moment it is of; ErrNotFound without one.
	LastPlan(ctx context.Context, run export.Run, selection bundle.Digest) (asOf int64, shards []Shard, err error)
	// Shards gives the plan's shards from one ordinal up to another, with the
	// results so far; the last ordinal is not included.
	Shards(ctx context.Context, ref export.Ref, from, to int) ([]Shard, error)
	// SavePlaces records where the documents of shards are.
	SavePlaces(ctx context.Context, c Claim, shards []ShardPlaces) error
	// Places gives what SavePlaces recorded of each shard, nil where nothing was.
	Places(ctx context.Context, ref export.Ref, shards []bundle.Digest) ([][]byte, error)
	// Packed gives the run's shards that are not packed, but were by the same
	// recipe in another run, with that result. Pin a blob before it is reused,
	// and see that it is there.
	Packed(ctx context.Context, ref export.Ref, recipe bundle.Digest) ([]Shard, error)
	// PriorMirror gives the run of the tenant's and project's mirror:full with the greatest
	// generation below the run's own (any, when it has none), and the files of its bundle;
	// ErrNotFound without one, and when that run failed.
	PriorMirror(ctx context.Context, run export.Run) (export.Run, []File, error)
	// Published gives another run of the same tenant and project that succeeded, and the
	// files of its bundle; ErrNotFound when there is none.
	Published(ctx context.Context, run export.Run, other string) (export.Run, []File, error)
	// Plan gives what SavePlan recorded, with the results so far.
	Plan(ctx context.Context, ref export.Ref) (plan bundle.Digest, shards []Shard, err error)
	// ForgetPacked keeps later runs from taking over what this one's shards are.
	ForgetPacked(ctx context.Context, c Claim) error
	// SaveShards records packed shards, for this run and, under recipe, for
	// later ones (not those of a rebuild); events adapter.chunk and run.progress, and adapter.complete
	// with the last.
	SaveShards(ctx context.Context, c Claim, recipe bundle.Digest, shards []Shard, at time.Time) error
	// AddEvent records an event of the phase, once per (phase, type, subject).
	AddEvent(ctx context.Context, c Claim, subject string, e export.Event) error
	// SaveFiles records bundle entries by path, replacing those of an earlier
	// attempt. In phases adapt, where built files are saved, and manifest it gets
	// all payload entries at once and removes others: an earlier plan or attempt
	// had them, and they are in no manifest.
	SaveFiles(ctx context.Context, c Claim, files []File) error
	// BundleFiles lists what SaveFiles recorded, in archive order (bytewise by
	// path, the seal last).
	BundleFiles(ctx context.Context, ref export.Ref) ([]File, error)
	// OfferedFiles lists the entries of the archive that leaves, in archive order: of a
	// run that is encrypted the encrypted one's, else what BundleFiles does.
	OfferedFiles(ctx context.Context, ref export.Ref) ([]File, error)
	// SaveEncrypted puts the encrypted archive in the place of the plain one: files are
	// its entries that the plain one does not have, and secret the paths of those that
	// it does not have itself. The result's archive, signatures and Encrypted become
	// the run's, and the attestation of that archive is kept; events recipient.omitted and bundle.encrypted. A run is encrypted
	// once: ErrConflict when it is, with another archive. SaveFiles takes it back.
	SaveEncrypted(ctx context.Context, c Claim, secret []string, files []File, r export.Result, attestation StoredSignature, at time.Time) error
	// EraseCiphers calls erase for blobs that an earlier attempt at the claim's part
	// pinned and that are in no bundle, and forgets them: at most limit, and gives how
	// many. erase is as of EraseUnrecorded.
	EraseCiphers(ctx context.Context, c Claim, limit int, erase func(bundle.Digest, Still) error) (int, error)
	// SaveManifest records the digests the manifest fixes; event manifest.written.
	SaveManifest(ctx context.Context, c Claim, r export.Result, at time.Time) error
	// FindSignature gives the signature that is stored for (run, artifact, key,
	// message), so that the key service is asked once; nil when there is none.
	FindSignature(ctx context.Context, c Claim, artifact, keyID string, message bundle.Digest) (*StoredSignature, error)
	// KeepSignature stores s unless (run, artifact, key, message) has one, and
	// returns the stored one.
	KeepSignature(ctx context.Context, c Claim, s StoredSignature) (StoredSignature, error)
	// SaveSigned records signatures and the archive digest; event
	// signing.completed and the export.built outbox row.
	SaveSigned(ctx context.Context, c Claim, r export.Result, built export.TimelineEvent, at time.Time) error
	// SaveDistribution records a delivery; event distribution.completed.
	SaveDistribution(ctx context.Context, c Claim, d Distribution, at time.Time) error
	// SaveSources records what each source gave the run, in place of what an earlier
	// attempt recorded. Two of the same source, stream and kind are an error.
	SaveSources(ctx context.Context, c Claim, sources []export.SourceCount) error
	// Sources gives what SaveSources recorded, by source, stream and kind.
	Sources(ctx context.Context, ref export.Ref) ([]export.SourceCount, error)
	// LastGuarded gives the run that another is held against: of the same profile,
	// project and selection the last that was asked for, succeeded and was guarded, and
	// was not asked for as of the past; ErrNotFound without one.
	LastGuarded(ctx context.Context, run export.Run) (export.Run, error)
	// Guarded gives what SaveGuard recorded; ErrNotFound before it.
	Guarded(ctx context.Context, ref export.Ref) (Guarded, error)
	// SaveGuard records what the guard found, once: what is there stays. A run that is
	// parked waits, and gives its slot back: event run.waiting and the export.waiting
	// outbox row; of another guard.passed. The run that is returned has what stays.
	SaveGuard(ctx context.Context, c Claim, g Guarded) (export.Run, error)
	// Settle records a decision about a run that waits, unless there is one, as
	// Runs.Decide does; with nil it records none. A run that is approved and has a
	// slot goes on: event run.resumed. ErrConflict when it waits for nothing.
	Settle(ctx context.Context, c Claim, d *export.Decision, at time.Time) (export.Run, error)
	// Finish ends the run: compare-and-set to the outcome's state, with its
	// event and outbox rows, the report to the Findings Ledger, and artifact_ready before a success, adapter.error
	// before a failure of the adapter. A run that ended before keeps its end, and that
	// end is returned. ErrConflict when it is to succeed without an archive
	// digest and a delivery of that archive (ARCHITECTURE D13), and when it is to
	// fail although a cancel was accepted; the run that is returned names it then.
	Finish(ctx context.Context, c Claim, o Outcome) (export.Run, error)

	// Pin keeps a blob from the collector on behalf of a run. Pin before
	// Publish and before reuse. It waits while the blob is being deleted, and
	// fails, worth a retry, when that takes long.
	Pin(ctx context.Context, c Claim, digest bundle.Digest, size int64) error
	// PinAll pins several blobs in one transaction.
	PinAll(ctx context.Context, c Claim, blobs []Sized) error
	// DropBlobs forgets the plan, pins and files of a run that ended without a
	// bundle and returns the digests that no other run needs. They are marked:
	// until EraseBlobs, no run can pin them again. Called again it returns those
	// still marked. ErrConflict while the run is under way or when it has a bundle.
	DropBlobs(ctx context.Context, ref export.Ref) ([]bundle.Digest, error)
	// EraseBlobs calls erase for those of digests that are still marked, and
	// takes back their marks. The marks stay locked as long as the transaction
	// lives, of which an attempt that is stopped cannot be sure: erase asks still
	// right before it destroys (Objects.Delete), and so an attempt that wakes up
	// late erases nothing that a later run has stored again.
	EraseBlobs(ctx context.Context, ref export.Ref, digests []bundle.Digest, erase func(bundle.Digest, Still) error) error
	// EraseUnrecorded calls erase for a blob that has no row and that nothing refers
	// to, and reports whether it did. Who pins the blob meanwhile waits, and stores
	// it anew; erase asks still right before it destroys (Objects.DeleteUnmarked).
	EraseUnrecorded(ctx context.Context, tenant string, digest bundle.Digest, erase func(Still) error) (bool, error)
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
