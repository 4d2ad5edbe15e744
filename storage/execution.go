package storage

import (
	"context"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

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
