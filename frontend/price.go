package frontend

import (
	"context"
	"fmt"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
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

// price counts what a run would take now, by the rules of its planner. It
// holds nothing but the counts.
func (s *Server) price(ctx context.Context, run export.Run) (PriceTag, error) {
	ctx, cancel := context.WithTimeout(ctx, pricePatience)
	defer cancel()
	select {
	case s.prices <- struct{}{}:
		defer func() { <-s.prices }()
	case <-ctx.Done():
		return PriceTag{}, export.Errorf(export.CodeUnavailable, "other dry runs are being counted; try again")
	}
	tag, err := priceOf(ctx, s.cfg.Ledger, run)
	if err != nil {
		return tag, fmt.Errorf("dry run: %w", err)
	}
	return tag, nil
}

func priceOf(ctx context.Context, from Listing, run export.Run) (PriceTag, error) {
	tag := PriceTag{Kinds: []KindPrice{}}
	head, err := from.Head(ctx, run.Tenant)
	if err != nil {
		return tag, err
	}
	tag.AsOf = head
	err = from.Current(ctx, run.Tenant, run.Project, head, run.Selectors, ledger.KeyRange{}, func(row ledger.Row) error {
		tag.add(row)
		return nil
	})
	return tag, err
}

// add counts the next row of the list. A shard begins with each kind and where
// the document says so (ARCHITECTURE D2).
func (p *PriceTag) add(row ledger.Row) {
	last := len(p.Kinds) - 1
	first := last < 0 || p.Kinds[last].Kind != string(row.Kind)
	if first {
		p.Kinds = append(p.Kinds, KindPrice{Kind: string(row.Kind)})
		last++
	}
	if first || bundle.CutBefore([]byte(row.Key()), row.CanonicalBytes) {
		p.Kinds[last].Shards++
		p.Shards++
	}
	p.Kinds[last].Records++
	p.Kinds[last].Bytes += row.CanonicalBytes
	p.Records++
	p.Bytes += row.CanonicalBytes
}
