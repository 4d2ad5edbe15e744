package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/ledger"
)

const (
	// listWindow is how many sequences one page with filters looks at.
	listWindow = 50_000
	// listFew is how many candidates of an index are looked up one by one
	// rather than by going through the ledger.
	listFew = 5000
)

// lastRune sorts after every other: what begins with a prefix is less than the
// prefix and it.
const lastRune = "\U0010FFFF"

// byNumber makes the server walk the ledger by number, whatever it believes
// about the rows.
const byNumber = `select set_config('enable_sort', 'off', true), set_config('enable_seqscan', 'off', true),
  set_config('enable_bitmapscan', 'off', true)`

// Documents implements ledger.Catalog.
func (c *Catalog) Documents(ctx context.Context, tenant, project string, seq int64, f ledger.DocumentFilter) (page []ledger.Document, next int64, err error) {
	err = c.db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		q := documentList{tenant: tenant, project: ledger.ProjectName(project), seq: seq, filter: f}
		page, next, err = q.page(ctx, tx)
		return err
	})
	if err != nil {
		return nil, 0, fmt.Errorf("list documents as of %d: %w", seq, err)
	}
	return page, next, nil
}

// documentList is one page of a list.
type documentList struct {
	tenant, project string
	seq             int64
	filter          ledger.DocumentFilter
}

func (q documentList) page(ctx context.Context, tx pgx.Tx) ([]ledger.Document, int64, error) {
	few, found, err := q.candidates(ctx, tx)
	if err != nil {
		return nil, 0, err
	}
	end := q.seq
	if !found {
		if _, err := tx.Exec(ctx, byNumber); err != nil {
			return nil, 0, err
		}
		if q.filtered() {
			end = min(q.seq, q.filter.After+listWindow)
		}
	}
	sql, args := q.sql(few, found, end)
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, 0, err
	}
	page, err := pgx.CollectRows(rows, scanDocument)
	if err != nil {
		return nil, 0, err
	}
	next := end // everything up to here was looked at
	if len(page) == q.filter.Limit {
		next = page[len(page)-1].Seq
	}
	if next >= q.seq {
		next = 0
	}
	return page, next, nil
}

func (q documentList) filtered() bool {
	bare := ledger.DocumentFilter{After: q.filter.After, Limit: q.filter.Limit}
	return q.filter != bare
}

// candidates asks an index for the numbers a filter names. found is false when
// no filter has an index, or when it names too many.
func (q documentList) candidates(ctx context.Context, tx pgx.Tx) (seqs []int64, found bool, err error) {
	var sql string
	var args []any
	switch f := q.filter; {
	case f.PurlPrefix != "":
		sql = `select seq from ledger_terms where tenant = $1 and axis = 'product' and term >= $2 and term < $3 limit $4`
		args = []any{q.tenant, f.PurlPrefix, f.PurlPrefix + lastRune, listFew + 1}
	case f.Ecosystem != "":
		sql = `select seq from ledger_terms where tenant = $1 and axis = 'ecosystem' and term = $2 limit $3`
		args = []any{q.tenant, f.Ecosystem, listFew + 1}
	default:
		return nil, false, nil
	}
	rows, err := tx.Query(ctx, sql, args...)
	if err == nil {
		seqs, err = pgx.CollectRows(rows, pgx.RowTo[int64])
	}
	return seqs, len(seqs) <= listFew, err
}

// sql is the page's query. Filters are no conditions an index could serve
// ("is true"): the order of the numbers must not be lost for them.
func (q documentList) sql(few []int64, found bool, end int64) (string, []any) {
	args := []any{q.tenant, q.project, q.seq, q.filter.After, end}
	param := func(value any) string {
		args = append(args, value)
		return fmt.Sprintf("$%d", len(args))
	}
	f := q.filter
	sql := `
select o.seq, o.kind, o.format, o.upstream_id, o.source, o.stream, o.subject, o.modified, o.sha256, o.raw_bytes
from ledger_observations o
where o.tenant = $1 and o.project = $2 and o.seq > $4 and o.seq <= $5 and (exists (
  select from ledger_superseded s where s.tenant = $1 and s.seq = o.seq and s.by_seq <= $3)) is not true`
	if found {
		sql += " and o.seq = any (" + param(few) + "::bigint[])"
	}
	for _, equal := range []struct{ column, value string }{
		{"kind", string(f.Kind)}, {"source", f.Source}, {"stream", f.Stream}, {"upstream_id", f.UpstreamID},
	} {
		if equal.value != "" {
			sql += " and (o." + equal.column + " = " + param(equal.value) + ") is true"
		}
	}
	if f.Ecosystem != "" {
		sql += ` and (exists (select from ledger_terms t
  where t.tenant = $1 and t.axis = 'ecosystem' and t.term = ` + param(f.Ecosystem) + ` and t.seq = o.seq)) is true`
	}
	if f.PurlPrefix != "" {
		sql += ` and (o.seq in (select t.seq from ledger_terms t where t.tenant = $1 and t.axis = 'product'
  and t.term >= ` + param(f.PurlPrefix) + ` and t.term < ` + param(f.PurlPrefix+lastRune) + ` and t.seq > $4 and t.seq <= $5)) is true`
	}
	return sql + " order by o.seq limit " + param(f.Limit), args
}

func scanDocument(row pgx.CollectableRow) (d ledger.Document, err error) {
	return d, row.Scan(&d.Seq, (*string)(&d.Kind), &d.Format, &d.UpstreamID, &d.Source, &d.Stream, &d.Subject, &d.Modified,
		(*digestColumn)(&d.Digest), &d.Bytes)
}
