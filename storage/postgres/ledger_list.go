package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

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
	all, found, err := q.candidates(ctx, tx)
	if err != nil {
		return nil, 0, err
	}
	few, end := q.behind(all), q.seq
	switch {
	case found && q.filter.Removed == ledger.OnlyRemoved:
		end = min(q.seq, q.filter.After+q.window)
	case found && len(few) > q.few:
		few = few[:q.few]
		end = few[q.few-1]
	case !found:
		if _, err := tx.Exec(ctx, byNumber); err != nil {
			return nil, 0, err
		}
		if q.filtered() {
			end = min(q.seq, q.filter.After+q.window)
		}
	}
	sql, args := q.sql(all, few, found, end)
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, 0, err
	}
	page, err := pgx.CollectRows(rows, q.scan)
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

// candidates gives the numbers that the filters of terms name. found is false
// when there is no such filter.
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
	return seqs, found, nil
}

// behind gives those of the numbers that were not looked at yet.
func (q documentList) behind(seqs []int64) []int64 {
	behind, exact := slices.BinarySearch(seqs, q.filter.After)
	if exact {
		behind++
	}
	return seqs[behind:]
}

// sql is the page's query. Filters are no conditions an index could serve ("is
// true"): the order of the numbers must not be lost for them. Candidates are
// looked up one by one, and so is whether a revision was overtaken ("offset
// 0"): a table of all that were would be read anew for every page.
func (q documentList) sql(all, few []int64, found bool, end int64) (string, []any) {
	args := []any{q.tenant, q.project, q.seq, q.filter.After, end}
	param := func(value any) string {
		args = append(args, value)
		return fmt.Sprintf("$%d", len(args))
	}
	filters := ""
	for _, equal := range []struct{ column, value string }{
		{"kind", string(q.filter.Kind)}, {"source", q.filter.Source}, {"stream", q.filter.Stream}, {"upstream_id", q.filter.UpstreamID},
	} {
		if equal.value != "" {
			filters += " and (o." + equal.column + " = " + param(equal.value) + ") is true"
		}
	}
	var parts []string
	if q.filter.Removed != ledger.OnlyRemoved {
		from := "ledger_observations o"
		if found {
			from = "(select distinct unnest(" + param(few) + `::bigint[]) as seq) w
cross join lateral (select * from ledger_observations o where o.tenant = $1 and o.seq = w.seq offset 0) o`
		}
		parts = append(parts, fmt.Sprintf(currentDocuments, from)+filters)
	}
	if q.filter.Removed != ledger.WithoutRemoved {
		named := ""
		if found {
			named = " and (o.seq = any (" + param(all) + "::bigint[])) is true"
		}
		parts = append(parts, removedDocuments+filters+named)
	}
	return strings.Join(parts, "\nunion all") + "\norder by seq limit " + param(q.filter.Limit), args
}

const documentColumns = "o.kind, o.format, o.upstream_id, o.source, o.stream, o.subject, o.modified, o.sha256, o.raw_bytes"

// What stands, and what is gone: removals that nothing overtook, each with the
// greatest revision of its document.
const (
	currentDocuments = `
select o.seq, ` + documentColumns + `, '' as removed, '' as reason, '' as said_by
from %s
where o.tenant = $1 and o.project = $2 and o.seq > $4 and o.seq <= $5 and (exists (
  select from ledger_superseded s where s.tenant = $1 and s.seq = o.seq and s.by_seq <= $3 offset 0)) is not true`
	removedDocuments = `
select r.seq, ` + documentColumns + `, r.modified as removed, r.reason, r.said_by
from ledger_removals r cross join lateral (select * from ledger_observations o
  where o.tenant = $1 and o.identity = r.identity and o.seq <= $3 order by o.modified desc, o.sha256 desc limit 1) o
where r.tenant = $1 and r.project = $2 and r.seq > $4 and r.seq <= $5 and (exists (
  select from ledger_superseded s where s.tenant = $1 and s.seq = r.seq and s.by_seq <= $3 offset 0)) is not true`
)

func (q documentList) scan(row pgx.CollectableRow) (d ledger.Document, err error) {
	var removed, reason, by string
	err = row.Scan(&d.Seq, (*string)(&d.Kind), &d.Format, &d.UpstreamID, &d.Source, &d.Stream, &d.Subject, &d.Modified,
		(*digestColumn)(&d.Digest), &d.Bytes, &removed, &reason, &by)
	if err != nil || removed == "" {
		return d, err
	}
	d.Removal = &ledger.Removal{Reason: reason, By: by, Identity: ledger.Identity{
		Project: q.project, Kind: d.Kind, Source: d.Source, Stream: d.Stream, UpstreamID: d.UpstreamID}}
	d.Removal.Time, err = time.Parse(ledger.ModifiedLayout, removed)
	return d, err
}
