package activities

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// packing is one attempt at packing a run's shards. Several are packed at
// once; what a shard's file holds does not depend on when and beside which.
type packing struct {
	*Export
	claim   storage.Claim
	adapter adapters.Adapter
	shards  []storage.Shard

	mu      sync.Mutex // guards what follows
	beat    *heartbeat
	unsaved []packedShard // not in the store and the rows yet
	total   PhaseResult
}

// packedShard is a shard whose file is staged.
type packedShard struct {
	shard  storage.Shard
	staged storage.Staged
}

// saveEvery bounds how many packed shards a crash can make us pack again. They
// are pinned, published and recorded together: two transactions, not many.
const saveEvery = 16

// packersAtOnce bounds the shards in work, each with an encoder, a staged file
// and a reader of the ledger: one per processor, and one more because the
// database needs its share of the time.
func packersAtOnce() int { return min(runtime.GOMAXPROCS(0)+1, 8) }

// packAll packs what the plan blob names.
func (p *packing) packAll(ctx context.Context, plan io.Reader) error {
	packers, within := errgroup.WithContext(ctx)
	packers.SetLimit(packersAtOnce())
	planErr := readPlan(plan, func(line planLine) error {
		if line.Ordinal < 0 || line.Ordinal >= len(p.shards) {
			return fmt.Errorf("plan names shard %d of %d: %w", line.Ordinal, len(p.shards), storage.ErrCorrupt)
		}
		packers.Go(func() error { return p.pack(within, p.shards[line.Ordinal], line.Seqs) }) // waits for its turn
		return within.Err()
	})
	// A packer's error ends the reading of the plan: it is the cause.
	if err := packers.Wait(); err != nil {
		return err
	}
	if planErr != nil {
		return planErr
	}
	return p.save(ctx, p.take(1))
}

func (p *packing) pack(ctx context.Context, shard storage.Shard, seqs []int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var staged storage.Staged
	if shard.Result == nil {
		file, written, err := p.packShard(ctx, shard, seqs)
		if err != nil {
			return fmt.Errorf("pack %s: %w", shard.Name, err)
		}
		shard.Result, staged = &file, written
	}
	p.note(shard, staged)
	return p.save(ctx, p.take(saveEvery))
}

// note counts a shard that is packed, now or by an earlier attempt.
func (p *packing) note(shard storage.Shard, staged storage.Staged) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if staged != nil {
		p.unsaved = append(p.unsaved, packedShard{shard, staged})
	}
	p.total.Shards++
	p.total.Records += shard.Result.Records
	p.total.Bytes += shard.Result.Size
	p.beat.tick(int64(p.total.Shards))
}

// take gives the shards that are not saved, once there are that many.
func (p *packing) take(atLeast int) []packedShard {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.unsaved) < atLeast {
		return nil
	}
	packed := p.unsaved
	p.unsaved = nil
	return packed
}

// discard destroys what was staged and never saved.
func (p *packing) discard() {
	for _, packed := range p.take(1) {
		packed.staged.Discard() //nolint:errcheck // the store sweeps what is left
	}
}

// save pins the files of packed shards, makes them durable and records them,
// with one event.
func (p *packing) save(ctx context.Context, packed []packedShard) (err error) {
	if len(packed) == 0 {
		return nil
	}
	defer func() {
		for _, one := range packed {
			err = errors.Join(err, one.staged.Discard()) // a no-op after Publish
		}
	}()
	shards, blobs := make([]storage.Shard, len(packed)), make([]storage.Sized, len(packed))
	for i, one := range packed {
		shards[i] = one.shard
		blobs[i].Digest, blobs[i].Size = one.staged.Digest()
	}
	// In this order: ARCHITECTURE D4, as in publish.
	if err := p.Execution.PinAll(ctx, p.claim, blobs); err != nil {
		return fmt.Errorf("pin %d packed shards: %w", len(blobs), err)
	}
	for _, one := range packed {
		if err := one.staged.Publish(ctx); err != nil {
			return fmt.Errorf("publish %s: %w", one.shard.Name, err)
		}
	}
	if err := p.Execution.SaveShards(ctx, p.claim, shards, p.Clock()); err != nil {
		return fmt.Errorf("save %d packed shards: %w", len(shards), err)
	}
	return nil
}

// packShard packs a shard into a staged file. The caller ends it, unless there
// is an error.
func (p *packing) packShard(ctx context.Context, shard storage.Shard, seqs []int64) (_ storage.File, _ storage.Staged, err error) {
	staged, err := p.Objects.Stage(ctx, p.claim.Ref.Tenant)
	if err != nil {
		return storage.File{}, nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, staged.Discard())
		}
	}()
	payload, err := bundle.NewPayloadWriter(staged)
	if err != nil {
		return storage.File{}, nil, err
	}
	documents := sha256.New()
	err = p.Ledger.Lines(ctx, p.claim.Ref.Tenant, seqs, func(doc ledger.Line) error {
		hashDocument(documents, doc.Key(), doc.Digest)
		return p.adapter.Write(payload, doc)
	})
	if err != nil {
		return storage.File{}, nil, err
	}
	info, err := payload.Close()
	if err != nil {
		return storage.File{}, nil, err
	}
	// The provenance names the documents by this hash; a plan that was damaged
	// on disk must not put others in their place.
	if packed := bundle.Digest(documents.Sum(nil)); packed != shard.Hash {
		return storage.File{}, nil, fmt.Errorf("%d documents were planned (%s), the plan's blob names %d others (%s): %w",
			shard.Count, shard.Hash, info.Records, packed, storage.ErrCorrupt)
	}
	return storage.File{
		Path: shard.Name, Digest: info.Digest, Size: info.Size, Payload: true,
		Records: info.Records, ContentDigest: info.ContentDigest, ContentSize: info.ContentSize,
	}, staged, nil
}

func (p *packing) event(ctx context.Context, t export.EventType, message string) error {
	err := p.Execution.AddEvent(ctx, p.claim, "", export.Event{Type: t, Message: message, At: p.Clock(),
		Metrics: map[string]int64{"shards": int64(p.total.Shards), "records": p.total.Records, "bytes": p.total.Bytes}})
	if err != nil {
		return fmt.Errorf("record %s: %w", t, err)
	}
	return nil
}
