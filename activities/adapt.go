package activities

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// Adapt packs every shard of the plan that is not packed yet. A retry goes on
// at the shard boundary where the last attempt stopped: the rows say which
// shards are done, and a shard's bytes depend on nothing but its documents.
func (e *Export) Adapt(ctx context.Context, in PhaseInput) (PhaseResult, error) {
	result, err := e.adapt(ctx, in.Ref)
	return result, e.fail(ctx, in.Ref, export.PhaseAdapt, err)
}

func (e *Export) adapt(ctx context.Context, ref export.Ref) (PhaseResult, error) {
	claim, run, err := e.begin(ctx, ref, export.PhaseAdapt)
	if err != nil {
		return PhaseResult{}, err
	}
	adapter, err := e.Adapters.For(run.Kind, run.Variant)
	if err != nil {
		return PhaseResult{}, err
	}
	planDigest, shards, err := e.Execution.Plan(ctx, ref)
	if err != nil {
		return PhaseResult{}, fmt.Errorf("load plan: %w", err)
	}
	plan, err := e.Objects.Open(ctx, ref.Tenant, planDigest)
	if err != nil {
		return PhaseResult{}, fmt.Errorf("open plan: %w", err)
	}
	defer plan.Close()

	p := &packing{Export: e, claim: claim, adapter: adapter, shards: shards, beat: newHeartbeat(ctx)}
	if err := p.event(ctx, export.EventAdapterStart, "packing begins"); err != nil {
		return PhaseResult{}, err
	}
	err = readPlan(io.NewSectionReader(plan, 0, plan.Size()), func(line planLine) error { return p.pack(ctx, line) })
	if err != nil {
		return PhaseResult{}, err
	}
	if err := p.flush(ctx); err != nil {
		return PhaseResult{}, err
	}
	if err := p.event(ctx, export.EventAdapterComplete, "all shards are packed"); err != nil {
		return PhaseResult{}, err
	}
	return p.total, nil
}

// packing is one attempt at packing a run's shards.
type packing struct {
	*Export
	claim   storage.Claim
	adapter adapters.Adapter
	shards  []storage.Shard
	beat    *heartbeat

	unsaved []storage.Shard // packed and published, not in the rows yet
	total   PhaseResult
}

// saveEvery bounds how many packed shards a crash can make us pack again.
const saveEvery = 16

func (p *packing) pack(ctx context.Context, line planLine) error {
	if line.Ordinal < 0 || line.Ordinal >= len(p.shards) {
		return fmt.Errorf("plan names shard %d of %d: %w", line.Ordinal, len(p.shards), storage.ErrCorrupt)
	}
	shard := p.shards[line.Ordinal]
	if shard.Result == nil {
		file, err := p.packShard(ctx, shard, line.Seqs)
		if err != nil {
			return fmt.Errorf("pack %s: %w", shard.Name, err)
		}
		shard.Result = &file
		p.unsaved = append(p.unsaved, shard)
	}
	p.total.Shards++
	p.total.Records += shard.Result.Records
	p.total.Bytes += shard.Result.Size
	p.beat.tick(int64(p.total.Shards))
	if len(p.unsaved) >= saveEvery {
		return p.flush(ctx)
	}
	return ctx.Err()
}

// flush records the shards packed since the last time, with one event.
func (p *packing) flush(ctx context.Context) error {
	if len(p.unsaved) == 0 {
		return nil
	}
	if err := p.Execution.SaveShards(ctx, p.claim, p.unsaved, p.Clock()); err != nil {
		return fmt.Errorf("save %d packed shards: %w", len(p.unsaved), err)
	}
	p.unsaved = p.unsaved[:0]
	return nil
}

func (p *packing) packShard(ctx context.Context, shard storage.Shard, seqs []int64) (storage.File, error) {
	staged, err := p.Objects.Stage(ctx, p.claim.Ref.Tenant)
	if err != nil {
		return storage.File{}, err
	}
	defer staged.Discard() //nolint:errcheck // a no-op after Publish
	payload, err := bundle.NewPayloadWriter(staged)
	if err != nil {
		return storage.File{}, err
	}
	documents := sha256.New()
	err = p.Ledger.Lines(ctx, p.claim.Ref.Tenant, seqs, func(doc ledger.Line) error {
		hashDocument(documents, doc.Key(), doc.Digest)
		return p.adapter.Write(payload, doc)
	})
	if err != nil {
		return storage.File{}, err
	}
	info, err := payload.Close()
	if err != nil {
		return storage.File{}, err
	}
	// The provenance names the documents by this hash; a plan that was damaged
	// on disk must not put others in their place.
	if packed := bundle.Digest(documents.Sum(nil)); packed != shard.Hash {
		return storage.File{}, fmt.Errorf("%d documents were planned (%s), the plan's blob names %d others (%s): %w",
			shard.Count, shard.Hash, info.Records, packed, storage.ErrCorrupt)
	}
	if _, err := p.publish(ctx, p.claim, staged); err != nil {
		return storage.File{}, err
	}
	return storage.File{
		Path: shard.Name, Digest: info.Digest, Size: info.Size, Payload: true,
		Records: info.Records, ContentDigest: info.ContentDigest, ContentSize: info.ContentSize,
	}, nil
}

func (p *packing) event(ctx context.Context, t export.EventType, message string) error {
	err := p.Execution.AddEvent(ctx, p.claim, "", export.Event{Type: t, Message: message, At: p.Clock(),
		Metrics: map[string]int64{"shards": int64(p.total.Shards), "records": p.total.Records, "bytes": p.total.Bytes}})
	if err != nil {
		return fmt.Errorf("record %s: %w", t, err)
	}
	return nil
}
