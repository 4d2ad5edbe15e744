package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/ledger"
)

// CurrentOf implements ledger.Catalog: each document is looked up by its identity.
func (c *Catalog) CurrentOf(ctx context.Context, tenant, project string, seq int64, rows []ledger.Row, yield func(ledger.Row) error) error {
	if len(rows) == 0 {
		return nil
	}
	err := c.db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		return readRows(ctx, tx, listingOf(tenant, project, seq, rows), yield)
	})
	if err != nil {
		return fmt.Errorf("look up %d documents as of %d: %w", len(rows), seq, err)
	}
	return nil
}

// listingOf lists the documents that rows are revisions of, each looked up.
func listingOf(tenant, project string, seq int64, rows []ledger.Row) *listing {
	identities := make([][]byte, len(rows))
	for i, r := range rows {
		identity := identityOf(ledger.Identity{Project: project, Kind: r.Kind, Source: r.Source, Stream: r.Stream, UpstreamID: r.UpstreamID})
		identities[i] = identity[:]
	}
	q := newListing(tenant, project, seq)
	q.overtaken, q.sorted = eachAsked, false
	q.from = `
from (select distinct unnest(` + q.param(identities) + `::bytea[]) as identity) w
cross join lateral (select * from ledger_observations o where o.tenant = $1 and o.identity = w.identity offset 0) o`
	return q
}
