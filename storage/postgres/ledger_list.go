package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/ledger"
)

const (
	// listWindow is how many sequences one page with filters looks at.
	listWindow = 50_000
	// listFew is how many of the documents that terms name it looks at.
	listFew = 5000
)

// byNumber makes the server walk the ledger by number, whatever it believes
// about the rows.
const byNumber = `select set_config('enable_sort', 'off', true), set_config('enable_seqscan', 'off', true),
  set_config('enable_bitmapscan', 'off', true)`

// Documents implements ledger.Catalog.
func (c *Catalog) Documents(ctx context.Context, tenant, project string, seq int64, f ledger.DocumentFilter) (page []ledger.Document, next int64, err error) {
	err = c.db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		q := documentList{tenant: tenant, project: ledger.ProjectName(project), seq: seq, filter: f, window: c.window, few: c.few}
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
	window          int64
	few             int
}

func (q documentList) page(ctx context.Context, tx pgx.Tx) ([]ledger.Document, int64, error) {
	few, found, err := q.candidates(ctx, tx)
	if err != nil {
		return nil, 0, err
	}
	end := q.seq
	if found && len(few) > q.few {
		few = few[:q.few]
		end = few[q.few-1]
	}
	if !found {
		if _, err := tx.Exec(ctx, byNumber); err != nil {
			return nil, 0, err
		}
		if q.filtered() {
			end = min(q.seq, q.filter.After+q.window)
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

// candidates gives the numbers, behind those that were listed, that the filters
// of terms name. found is false when there is no such filter.
func (q documentList) candidates(ctx context.Context, tx pgx.Tx) (seqs []int64, found bool, err error) {
	for _, filter := range []struct {
		axis  string
		value string
		like  func(string) pattern
	}{{axisProduct, q.filter.PurlPrefix, beginningWith}, {axisEcosystem, q.filter.Ecosystem, exactly}} {
		if filter.value == "" {
			continue
		}
		named, err := documentsWith(ctx, tx, q.tenant, q.seq, filter.axis, []pattern{filter.like(filter.value)})
		if err != nil {
			return nil, false, err
		}
		if found {
			named = slices.DeleteFunc(named, func(seq int64) bool {
				_, both := slices.BinarySearch(seqs, seq)
				return !both
			})
		}
		seqs, found = named, true
	}
	behind, exact := slices.BinarySearch(seqs, q.filter.After)
	if exact {
		behind++
	}
	return seqs[behind:], found, nil
}

// sql is the page's query. Filters are no conditions an index could serve ("is
// true"): the order of the numbers must not be lost for them. Candidates are
// looked up one by one, and so is whether a revision was overtaken ("offset
// 0"): a table of all that were would be read anew for every page.
func (q documentList) sql(few []int64, found bool, end int64) (string, []any) {
	args := []any{q.tenant, q.project, q.seq, q.filter.After, end}
	param := func(value any) string {
		args = append(args, value)
		return fmt.Sprintf("$%d", len(args))
	}
	f := q.filter
	from := "ledger_observations o"
	if found {
		from = "(select distinct unnest(" + param(few) + `::bigint[]) as seq) w
cross join lateral (select * from ledger_observations o where o.tenant = $1 and o.seq = w.seq offset 0) o`
	}
	sql := `
select o.seq, o.kind, o.format, o.upstream_id, o.source, o.stream, o.subject, o.modified, o.sha256, o.raw_bytes
from ` + from + `
where o.tenant = $1 and o.project = $2 and o.seq > $4 and o.seq <= $5 and (exists (
  select from ledger_superseded s where s.tenant = $1 and s.seq = o.seq and s.by_seq <= $3 offset 0)) is not true`
	for _, equal := range []struct{ column, value string }{
		{"kind", string(f.Kind)}, {"source", f.Source}, {"stream", f.Stream}, {"upstream_id", f.UpstreamID},
	} {
		if equal.value != "" {
			sql += " and (o." + equal.column + " = " + param(equal.value) + ") is true"
		}
	}
	return sql + " order by o.seq limit " + param(f.Limit), args
}

func scanDocument(row pgx.CollectableRow) (d ledger.Document, err error) {
	return d, row.Scan(&d.Seq, (*string)(&d.Kind), &d.Format, &d.UpstreamID, &d.Source, &d.Stream, &d.Subject, &d.Modified,
		(*digestColumn)(&d.Digest), &d.Bytes)
}
