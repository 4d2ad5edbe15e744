package frontend

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// Listing is what a dry run reads: the ledger as a run would list it.
type Listing interface {
	Head(ctx context.Context, tenant string) (int64, error)
	Current(ctx context.Context, tenant, project string, seq int64, sel export.Selectors, keys ledger.KeyRange, yield func(ledger.Row) error) error
}

const (
	// pricesAtOnce bounds the dry runs of a process: each reads a whole list.
	pricesAtOnce = 2
	// pricePatience is how long a dry run waits for its turn and counts.
	pricePatience = 45 * time.Second
)

// price counts what a run would take now, or as of then, with its own planner. It
// holds nothing but the shards.
func (s *Server) price(ctx context.Context, run export.Run) (PriceTag, error) {
	ctx, cancel := context.WithTimeout(ctx, pricePatience)
	defer cancel()
	done, err := s.prices.take(ctx, run.Tenant)
	if err != nil {
		return PriceTag{}, err
	}
	defer done()
	tag, err := s.priceOf(ctx, run)
	if err != nil {
		return tag, fmt.Errorf("dry run: %w", err)
	}
	return tag, nil
}

func (s *Server) priceOf(ctx context.Context, run export.Run) (PriceTag, error) {
	tag := PriceTag{Kinds: []KindPrice{}}
	head, err := s.cfg.Ledger.Head(ctx, run.Tenant)
	if err != nil {
		return tag, err
	}
	switch {
	case run.Reach != nil:
		head = ownReading(run).AsOf // the request's, as of the others
	case run.Options.AsOf != 0:
		head = run.Options.AsOf
	}
	tag.AsOf = head
	shards, err := s.forecast(ctx, run, head)
	if err != nil {
		return tag, err
	}
	packed, err := s.packedBefore(ctx, run, shards)
	if err != nil {
		return tag, err
	}
	for i, shard := range shards {
		tag.add(shard, packed[i])
	}
	tag.Tenants = tenantShares(run, eachAsShare(shards))
	tag.Excluded, err = s.excluded(ctx, run, head)
	return tag, err
}

// forecast cuts what the run would list into shards: of several tenants one after
// the other, each in a transaction of its own.
func (s *Server) forecast(ctx context.Context, run export.Run, head int64) ([]storage.Shard, error) {
	readings := []export.Reading{{Tenant: run.Tenant, Project: ledger.ProjectName(run.Project), AsOf: head}}
	if run.Reach != nil {
		readings = run.Reach.Readings
	}
	forecast := activities.NewForecast()
	for _, r := range readings {
		if err := forecast.From(activities.SourceOf(run, r)); err != nil {
			return nil, err
		}
		if err := s.cfg.Ledger.Current(ctx, r.Tenant, r.Project, r.AsOf, run.Selectors, ledger.KeyRange{}, forecast.Add); err != nil {
			return nil, err
		}
	}
	return forecast.Shards()
}

// packedBefore tells which shards the run would take over.
func (s *Server) packedBefore(ctx context.Context, run export.Run, shards []storage.Shard) ([]bool, error) {
	adapter, err := s.cfg.Adapters.For(run.Kind, run.Variant)
	if err != nil {
		return nil, err
	}
	packing, err := s.cfg.Adapters.PackingOf(adapter)
	if err != nil {
		return nil, err
	}
	recipe, err := activities.Recipe(run, packing)
	if err != nil {
		return nil, err
	}
	hashes := make([]bundle.Digest, len(shards))
	for i, shard := range shards {
		hashes[i] = shard.Hash
	}
	return s.cfg.Runs.PackedBefore(ctx, run.Tenant, recipe, hashes)
}

// add counts the next shard of the forecast.
func (p *PriceTag) add(shard storage.Shard, packed bool) {
	at := slices.IndexFunc(p.Kinds, func(k KindPrice) bool { return k.Kind == shard.Kind })
	if at < 0 {
		at = len(p.Kinds)
		p.Kinds = append(p.Kinds, KindPrice{Kind: shard.Kind})
	}
	p.Kinds[at].Shards++
	p.Kinds[at].Records += shard.Count
	p.Kinds[at].Bytes += shard.Bytes
	p.Shards++
	p.Records += shard.Count
	p.Bytes += shard.Bytes
	if packed {
		p.ShardsToReuse++
		return
	}
	p.ShardsToPack++
	p.BytesToPack += shard.Bytes
}
