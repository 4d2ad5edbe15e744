package fault

import (
	"context"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Execution passes every write to inner through its point.
func (i *Injector) Execution(inner storage.Execution) storage.Execution { return &execution{i, inner} }

type execution struct {
	injector *Injector
	inner    storage.Execution
}

// claimed are the two answers of Begin.
type claimed struct {
	claim storage.Claim
	run   export.Run
}

func (e *execution) Begin(ctx context.Context, ref export.Ref, phase export.Phase, attempt int64) (storage.Claim, export.Run, error) {
	got, err := answer(ctx, e.injector, Begin, func(ctx context.Context) (claimed, error) {
		claim, run, err := e.inner.Begin(ctx, ref, phase, attempt)
		return claimed{claim, run}, err
	})
	return got.claim, got.run, err
}

func (e *execution) BeginPart(ctx context.Context, ref export.Ref, phase export.Phase, part string, attempt int64) (storage.Claim, export.Run, error) {
	got, err := answer(ctx, e.injector, BeginPart, func(ctx context.Context) (claimed, error) {
		claim, run, err := e.inner.BeginPart(ctx, ref, phase, part, attempt)
		return claimed{claim, run}, err
	})
	return got.claim, got.run, err
}

func (e *execution) Start(ctx context.Context, c storage.Claim, seq int64, at time.Time) (export.Run, error) {
	return answer(ctx, e.injector, Start, func(ctx context.Context) (export.Run, error) { return e.inner.Start(ctx, c, seq, at) })
}

func (e *execution) SavePlan(ctx context.Context, c storage.Claim, plan, selection bundle.Digest, shards []storage.Shard, at time.Time) error {
	return e.injector.At(ctx, SavePlan, func(ctx context.Context) error { return e.inner.SavePlan(ctx, c, plan, selection, shards, at) })
}

func (e *execution) LastPlan(ctx context.Context, run export.Run, selection bundle.Digest) (asOf int64, shards []storage.Shard, err error) {
	shards, err = read(e.injector, func() (found []storage.Shard, err error) {
		asOf, found, err = e.inner.LastPlan(ctx, run, selection)
		return found, err
	})
	return asOf, shards, err
}

func (e *execution) Shards(ctx context.Context, ref export.Ref, from, to int) ([]storage.Shard, error) {
	return read(e.injector, func() ([]storage.Shard, error) { return e.inner.Shards(ctx, ref, from, to) })
}

func (e *execution) SavePlaces(ctx context.Context, c storage.Claim, shards []storage.ShardPlaces) error {
	return e.injector.At(ctx, SavePlaces, func(ctx context.Context) error { return e.inner.SavePlaces(ctx, c, shards) })
}

func (e *execution) Places(ctx context.Context, ref export.Ref, shards []bundle.Digest) ([][]byte, error) {
	return read(e.injector, func() ([][]byte, error) { return e.inner.Places(ctx, ref, shards) })
}

func (e *execution) Packed(ctx context.Context, ref export.Ref, recipe bundle.Digest) ([]storage.Shard, error) {
	return read(e.injector, func() ([]storage.Shard, error) { return e.inner.Packed(ctx, ref, recipe) })
}

func (e *execution) Plan(ctx context.Context, ref export.Ref) (plan bundle.Digest, shards []storage.Shard, err error) {
	shards, err = read(e.injector, func() (found []storage.Shard, err error) {
		plan, found, err = e.inner.Plan(ctx, ref)
		return found, err
	})
	return plan, shards, err
}

func (e *execution) ForgetPacked(ctx context.Context, c storage.Claim) error {
	return e.injector.At(ctx, ForgetPacked, func(ctx context.Context) error { return e.inner.ForgetPacked(ctx, c) })
}

func (e *execution) SaveShards(ctx context.Context, c storage.Claim, recipe bundle.Digest, shards []storage.Shard, at time.Time) error {
	return e.injector.At(ctx, SaveShards, func(ctx context.Context) error { return e.inner.SaveShards(ctx, c, recipe, shards, at) })
}

func (e *execution) AddEvent(ctx context.Context, c storage.Claim, subject string, event export.Event) error {
	return e.injector.At(ctx, AddEvent, func(ctx context.Context) error { return e.inner.AddEvent(ctx, c, subject, event) })
}

func (e *execution) ReadRun(ctx context.Context, ref export.Ref) (export.Run, error) {
	return read(e.injector, func() (export.Run, error) { return e.inner.ReadRun(ctx, ref) })
}

func (e *execution) SaveRebuilt(ctx context.Context, c storage.Claim, r export.Rebuilt, at time.Time) (export.Run, error) {
	return answer(ctx, e.injector, SaveRebuilt, func(ctx context.Context) (export.Run, error) { return e.inner.SaveRebuilt(ctx, c, r, at) })
}

func (e *execution) SaveFiles(ctx context.Context, c storage.Claim, files []storage.File) error {
	return e.injector.At(ctx, SaveFiles, func(ctx context.Context) error { return e.inner.SaveFiles(ctx, c, files) })
}

func (e *execution) BundleFiles(ctx context.Context, ref export.Ref) ([]storage.File, error) {
	return read(e.injector, func() ([]storage.File, error) { return e.inner.BundleFiles(ctx, ref) })
}

func (e *execution) OfferedFiles(ctx context.Context, ref export.Ref) ([]storage.File, error) {
	return read(e.injector, func() ([]storage.File, error) { return e.inner.OfferedFiles(ctx, ref) })
}

func (e *execution) SaveEncrypted(ctx context.Context, c storage.Claim, secret []string, files []storage.File, r export.Result, attestation storage.StoredSignature, at time.Time) error {
	return e.injector.At(ctx, SaveEncrypted, func(ctx context.Context) error {
		return e.inner.SaveEncrypted(ctx, c, secret, files, r, attestation, at)
	})
}

// EraseCiphers is a point, and what erase does is one of its own.
func (e *execution) EraseCiphers(ctx context.Context, c storage.Claim, limit int, erase func(bundle.Digest, storage.Still) error) (int, error) {
	return answer(ctx, e.injector, EraseCiphers, func(ctx context.Context) (int, error) {
		return e.inner.EraseCiphers(ctx, c, limit, erase)
	})
}

func (e *execution) SaveManifest(ctx context.Context, c storage.Claim, r export.Result, at time.Time) error {
	return e.injector.At(ctx, SaveManifest, func(ctx context.Context) error { return e.inner.SaveManifest(ctx, c, r, at) })
}

func (e *execution) FindSignature(ctx context.Context, c storage.Claim, artifact, keyID string, message bundle.Digest) (*storage.StoredSignature, error) {
	return read(e.injector, func() (*storage.StoredSignature, error) {
		return e.inner.FindSignature(ctx, c, artifact, keyID, message)
	})
}

func (e *execution) KeepSignature(ctx context.Context, c storage.Claim, s storage.StoredSignature) (storage.StoredSignature, error) {
	return answer(ctx, e.injector, KeepSignature, func(ctx context.Context) (storage.StoredSignature, error) {
		return e.inner.KeepSignature(ctx, c, s)
	})
}

func (e *execution) SaveSigned(ctx context.Context, c storage.Claim, r export.Result, built export.TimelineEvent, at time.Time) error {
	return e.injector.At(ctx, SaveSigned, func(ctx context.Context) error { return e.inner.SaveSigned(ctx, c, r, built, at) })
}

func (e *execution) SaveDistribution(ctx context.Context, c storage.Claim, d storage.Distribution, at time.Time) error {
	return e.injector.At(ctx, SaveDistribution, func(ctx context.Context) error { return e.inner.SaveDistribution(ctx, c, d, at) })
}

func (e *execution) SaveSources(ctx context.Context, c storage.Claim, sources []export.SourceCount) error {
	return e.injector.At(ctx, SaveSources, func(ctx context.Context) error { return e.inner.SaveSources(ctx, c, sources) })
}

func (e *execution) Sources(ctx context.Context, ref export.Ref) ([]export.SourceCount, error) {
	return read(e.injector, func() ([]export.SourceCount, error) { return e.inner.Sources(ctx, ref) })
}

func (e *execution) LastGuarded(ctx context.Context, run export.Run) (export.Run, error) {
	return read(e.injector, func() (export.Run, error) { return e.inner.LastGuarded(ctx, run) })
}

func (e *execution) PriorMirror(ctx context.Context, run export.Run) (prior export.Run, files []storage.File, err error) {
	files, err = read(e.injector, func() ([]storage.File, error) {
		prior, files, err = e.inner.PriorMirror(ctx, run)
		return files, err
	})
	return prior, files, err
}

func (e *execution) Published(ctx context.Context, run export.Run, other string) (found export.Run, files []storage.File, err error) {
	files, err = read(e.injector, func() ([]storage.File, error) {
		found, files, err = e.inner.Published(ctx, run, other)
		return files, err
	})
	return found, files, err
}

func (e *execution) Guarded(ctx context.Context, ref export.Ref) (storage.Guarded, error) {
	return read(e.injector, func() (storage.Guarded, error) { return e.inner.Guarded(ctx, ref) })
}

func (e *execution) SaveGuard(ctx context.Context, c storage.Claim, g storage.Guarded) (export.Run, error) {
	return answer(ctx, e.injector, SaveGuard, func(ctx context.Context) (export.Run, error) { return e.inner.SaveGuard(ctx, c, g) })
}

func (e *execution) Settle(ctx context.Context, c storage.Claim, d *export.Decision, at time.Time) (export.Run, error) {
	return answer(ctx, e.injector, Settle, func(ctx context.Context) (export.Run, error) { return e.inner.Settle(ctx, c, d, at) })
}

func (e *execution) Finish(ctx context.Context, c storage.Claim, o storage.Outcome) (export.Run, error) {
	return answer(ctx, e.injector, Finish, func(ctx context.Context) (export.Run, error) { return e.inner.Finish(ctx, c, o) })
}

func (e *execution) Pin(ctx context.Context, c storage.Claim, digest bundle.Digest, size int64) error {
	return e.injector.At(ctx, Pin, func(ctx context.Context) error { return e.inner.Pin(ctx, c, digest, size) })
}

func (e *execution) PinAll(ctx context.Context, c storage.Claim, blobs []storage.Sized) error {
	return e.injector.At(ctx, PinAll, func(ctx context.Context) error { return e.inner.PinAll(ctx, c, blobs) })
}

func (e *execution) DropBlobs(ctx context.Context, ref export.Ref) ([]bundle.Digest, error) {
	return answer(ctx, e.injector, DropBlobs, func(ctx context.Context) ([]bundle.Digest, error) { return e.inner.DropBlobs(ctx, ref) })
}

// EraseUnrecorded is a point, as EraseBlobs is.
func (e *execution) EraseUnrecorded(ctx context.Context, tenant string, digest bundle.Digest, erase func(storage.Still) error) (bool, error) {
	return answer(ctx, e.injector, EraseUnrecorded, func(ctx context.Context) (bool, error) {
		return e.inner.EraseUnrecorded(ctx, tenant, digest, erase)
	})
}

// EraseBlobs is a point, and what erase does is one of its own.
func (e *execution) EraseBlobs(ctx context.Context, ref export.Ref, digests []bundle.Digest, erase func(bundle.Digest, storage.Still) error) error {
	return e.injector.At(ctx, EraseBlobs, func(ctx context.Context) error { return e.inner.EraseBlobs(ctx, ref, digests, erase) })
}
