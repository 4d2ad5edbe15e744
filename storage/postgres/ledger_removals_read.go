package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
)

// removalOfQuery gives, of the documents that have a revision with digest $2, the
// greatest removal of each, and "" for one that stands.
const removalOfQuery = `
select coalesce(gone.seq, 0), coalesce(gone.modified, ''), coalesce(gone.reason, ''), coalesce(gone.said_by, ''),
  o.project, o.kind, o.source, o.stream, o.upstream_id
from ledger_observations o
cross join lateral (select b.modified from ledger_observations b where b.tenant = $1 and b.identity = o.identity
  order by b.modified desc, b.sha256 desc limit 1) best
left join lateral (select r.seq, r.modified, r.reason, r.said_by from ledger_removals r where r.tenant = $1 and r.identity = o.identity
  and r.modified >= best.modified order by r.modified desc limit 1) gone on true
where o.tenant = $1 and o.sha256 = $2
order by 1`

// RemovalOf implements ledger.Catalog.
func (c *Catalog) RemovalOf(ctx context.Context, tenant string, digest bundle.Digest) (removal *ledger.Removal, seq int64, err error) {
	err = c.db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		removal, seq = nil, 0
		rows, err := tx.Query(ctx, removalOfQuery, tenant, digest[:])
		if err != nil {
			return err
		}
		stands := false
		var r ledger.Removal
		var at string
		_, err = pgx.ForEachRow(rows, []any{&seq, &at, &r.Reason, &r.By, &r.Project, (*string)(&r.Kind), &r.Source, &r.Stream, &r.UpstreamID}, func() (err error) {
			if stands = stands || seq == 0; stands {
				return nil
			}
			r.Time, err = time.Parse(ledger.ModifiedLayout, at)
			last := r
			removal = &last
			return err
		})
		if stands {
			removal, seq = nil, 0
		}
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("read the removal of %s: %w", digest, err)
	}
	return removal, seq, nil
}
