package activities

import (
	"context"
	"fmt"
	"slices"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger/attribution"
	"github.com/stella-ops/exportcenter/storage"
)

// recipeOf names all that a shard's bytes and its tally depend on besides its
// documents. The adapter is the one that packs.
func recipeOf(run export.Run, adapter adapters.Adapter) (bundle.Digest, error) {
	text, err := bundle.MarshalCanonical(struct {
		Adapter     string             `json:"adapter"`
		Version     string             `json:"version"`
		Compression bundle.Compression `json:"compression"`
		Redaction   string             `json:"redaction"`
		Origins     string             `json:"origins"`
		Project     string             `json:"project"` // of two, the same document may have been understood differently
	}{adapters.Label(adapter), adapter.Version(), bundle.EncoderCompression(), run.Options.Redaction.Fingerprint(), attribution.Version, run.Project})
	if err != nil {
		return bundle.Digest{}, fmt.Errorf("recipe of the run: %w", err)
	}
	return bundle.DigestOf(text), nil
}

// pinAtOnce is how many blobs are taken over in one transaction.
const pinAtOnce = 512

// reuse takes over the shards that were packed before, by the same recipe, and
// gives those that are left to pack, in order.
func (e *Export) reuse(ctx context.Context, claim storage.Claim, run export.Run) (left []storage.Shard, err error) {
	if run.RebuildOf != "" {
		return e.unpacked(ctx, claim.Ref)
	}
	adapter, err := e.Adapters.For(run.Kind, run.Variant)
	if err != nil {
		return nil, err
	}
	packing, err := e.Adapters.PackingOf(adapter)
	if err != nil {
		return nil, err
	}
	recipe, err := recipeOf(run, packing)
	if err != nil {
		return nil, err
	}
	packed, err := e.Execution.Packed(ctx, claim.Ref, recipe)
	if err != nil {
		return nil, fmt.Errorf("find packed shards: %w", err)
	}
	for shards := range slices.Chunk(packed, pinAtOnce) {
		if shards, err = e.takeOver(ctx, claim, shards); err != nil {
			return nil, err
		}
		if err := e.Execution.SaveShards(ctx, claim, recipe, shards, e.Clock()); err != nil {
			return nil, fmt.Errorf("save %d shards that were packed before: %w", len(shards), err)
		}
	}
	return e.unpacked(ctx, claim.Ref)
}

// unpacked gives the shards of a run that are left to pack, in order.
func (e *Export) unpacked(ctx context.Context, ref export.Ref) ([]storage.Shard, error) {
	_, all, err := e.Execution.Plan(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("load plan: %w", err)
	}
	return slices.DeleteFunc(all, func(s storage.Shard) bool { return s.Result != nil }), nil
}

// takeOver pins the blobs of packed shards and gives those whose blob is there:
// in this order, a blob that was there stays (ARCHITECTURE D4).
func (e *Export) takeOver(ctx context.Context, claim storage.Claim, packed []storage.Shard) ([]storage.Shard, error) {
	blobs := make([]storage.Sized, len(packed))
	for i, s := range packed {
		blobs[i] = storage.Sized{Digest: s.Result.Digest, Size: s.Result.Size}
	}
	if err := e.Execution.PinAll(ctx, claim, blobs); err != nil {
		return nil, fmt.Errorf("pin %d shards that were packed before: %w", len(blobs), err)
	}
	var there []storage.Shard
	for _, s := range packed {
		stored, err := e.Objects.Stored(ctx, claim.Ref.Tenant, s.Result.Digest, s.Result.Size)
		if err != nil {
			return nil, fmt.Errorf("look for %s, packed before: %w", s.Name, err)
		}
		if stored { // else it is packed again
			there = append(there, s)
		}
	}
	return there, nil
}

// OrdinalRange is a range of a plan's shards: From is in it, To is not.
type OrdinalRange struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// How far a run fans out. 32 ranges are about 200 events of history
// (ARCHITECTURE D5); an activity costs as much as packing a shard, so a range
// has several (docs/decisions/0006). It never depends on the workers there are.
const (
	maxRanges = 32
	minShards = 8
)

// rangesOf shares the shards that are left to pack out into ranges of about the
// same size. A range may hold shards that are packed; they are passed over.
func rangesOf(left []storage.Shard) []OrdinalRange {
	var total int64
	for _, s := range left {
		total += s.Bytes
	}
	n := int64(min(maxRanges, (len(left)+minShards-1)/minShards))
	var ranges []OrdinalRange
	var taken int64
	for _, s := range left {
		if due := int64(len(ranges)) * total / max(n, 1); len(ranges) == 0 || taken >= due && len(ranges) < int(n) {
			ranges = append(ranges, OrdinalRange{From: s.Ordinal})
		}
		ranges[len(ranges)-1].To = s.Ordinal + 1
		taken += s.Bytes
	}
	return ranges
}
