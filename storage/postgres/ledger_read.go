package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// listing is a query for current revisions under way: its parameters and the
// conditions on an observation o.
type listing struct {
	args  []any
	from  string
	where []string
	// sorted says that rows come from an index in the order of the export; else
	// few are looked up and put in order.
	sorted bool
}

const listedColumns = `
select o.kind, o.subject, o.upstream_id, o.source, o.stream, o.sha256, o.seq, o.canonical_bytes, o.block, o.slot`

const exportOrder = `
order by o.kind, o.subject, o.upstream_id, o.source, o.stream`

// newListing lists what is current in project as of seq. "is not true" keeps
// the planner from making a join of the question, which would lose the order of
// the index: it looks each one up, or asks a table in memory when that fits.
func newListing(tenant, project string, seq int64) *listing {
	return &listing{
		args: []any{tenant, ledger.ProjectName(project), seq},
		from: "\nfrom ledger_observations o",
		where: []string{"o.tenant = $1 and o.project = $2 and o.seq <= $3",
			"(exists (select from ledger_superseded s where s.tenant = $1 and s.seq = o.seq and s.by_seq <= $3)) is not true"},
		sorted: true,
	}
}

func (q *listing) sql() string {
	return listedColumns + q.from + "\nwhere " + strings.Join(q.where, "\n  and ") + exportOrder
}

// param adds a parameter and gives its name.
func (q *listing) param(value any) string {
	q.args = append(q.args, value)
	return fmt.Sprintf("$%d", len(q.args))
}

func (q *listing) require(condition string) { q.where = append(q.where, condition) }

// within keeps to a part of the order.
func (q *listing) within(keys ledger.KeyRange) {
	const row = "(o.kind, o.subject, o.upstream_id, o.source, o.stream)"
	bound := func(key string) string {
		var names []string
		for _, member := range splitKey(key) {
			names = append(names, q.param(member))
		}
		return "(" + strings.Join(names, ", ") + ")"
	}
	if keys.From != "" {
		q.require(row + " >= " + bound(keys.From))
	}
	if keys.To != "" {
		q.require(row + " < " + bound(keys.To))
	}
}

// splitKey gives the members of a key, or of the beginning of one.
func splitKey(key string) (members [5]string) {
	copy(members[:], strings.SplitN(key, "\n", len(members)))
	return members
}

// chosen keeps what sel selects. Selectors are parameters.
func (q *listing) chosen(sel export.Selectors, few bool) {
	if len(sel.Kinds) > 0 {
		q.require("(o.kind = any (" + q.param(sel.Kinds) + "::text[])) is true")
	}
	if len(sel.Sources) > 0 {
		q.require("(o.source = any (" + q.param(sel.Sources) + "::text[])) is true")
	}
	var named []string
	if len(sel.Products) > 0 {
		named = q.products(sel.Products)
	}
	if len(sel.Ecosystems) > 0 {
		ecosystems := "t.tenant = $1 and t.axis = '" + axisEcosystem + "' and t.term = any (" + q.param(sel.Ecosystems) + "::text[])"
		if few && named == nil {
			named = []string{ecosystems}
		} else {
			q.require("(exists (select from ledger_terms t where t.seq = o.seq and " + ecosystems + ")) is true")
		}
	}
	if named != nil {
		q.lookUp(named)
	}
	if w := sel.TimeWindow; w != nil {
		q.inTime(*w)
	}
}

// lookUp reads the revisions that terms name, each once, instead of all.
func (q *listing) lookUp(terms []string) {
	var parts []string
	for _, condition := range terms {
		parts = append(parts, "select t.seq from ledger_terms t where "+condition+" and t.seq <= $3")
	}
	q.from = `
from (` + strings.Join(parts, "\n  union ") + `) w
cross join lateral (select * from ledger_observations o where o.tenant = $1 and o.seq = w.seq offset 0) o`
	if len(terms) == 1 {
		q.from = strings.Replace(q.from, "select t.seq", "select distinct t.seq", 1)
	}
	q.sorted = false
}

// products gives the conditions on a term of products. A package URL without a
// version names all versions of the package; in a glob * stands for anything.
func (q *listing) products(products []string) (conditions []string) {
	const axis = "t.tenant = $1 and t.axis = '" + axisProduct + "'"
	for _, product := range products {
		prefix, _, glob := strings.Cut(product, "*")
		if glob {
			conditions = append(conditions, axis+" and "+q.span(prefix)+" and t.term like "+q.param(likeGlob(product)))
			continue
		}
		conditions = append(conditions, axis+" and t.term = "+q.param(product))
		if !strings.Contains(product, "@") {
			conditions = append(conditions,
				axis+" and "+q.span(product+"@"), axis+" and "+q.span(product+"?"), axis+" and "+q.span(product+"#"))
		}
	}
	return conditions
}

// span is the condition that a term begins with prefix: a range of the index.
func (q *listing) span(prefix string) string {
	condition := "t.term >= " + q.param(prefix)
	if end := afterPrefix(prefix); end != "" {
		condition += " and t.term < " + q.param(end)
	}
	return condition
}

// afterPrefix is the least text greater than all that begin with prefix; ""
// when there is none. Prefixes of package URLs are ASCII where they end.
func afterPrefix(prefix string) string {
	if prefix == "" || prefix[len(prefix)-1] >= 0x7e {
		return ""
	}
	return prefix[:len(prefix)-1] + string(prefix[len(prefix)-1]+1)
}

var likeEscape = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`, `*`, `%`)

func likeGlob(glob string) string { return likeEscape.Replace(glob) }

// inTime keeps to a window of time.
func (q *listing) inTime(w export.TimeWindow) {
	if w.Field == export.TimeObserved {
		// A transaction's documents were recorded when its row of moments says.
		const before = "coalesce((select m.seq from ledger_moments m where m.tenant = $1 and m.at < %s order by m.seq desc limit 1), 0)"
		if w.From != nil {
			q.require("o.seq > " + fmt.Sprintf(before, q.param(*w.From)))
		}
		if w.To != nil {
			q.require("o.seq <= " + fmt.Sprintf(before, q.param(*w.To)))
		}
		return
	}
	q.require("o.modified <> ''")
	if w.From != nil {
		q.require("o.modified >= " + q.param(w.From.UTC().Format(ledger.ModifiedLayout)))
	}
	if w.To != nil {
		q.require("o.modified < " + q.param(w.To.UTC().Format(ledger.ModifiedLayout)))
	}
}

// fewRevisions is how many are looked up one by one rather than by a pass over
// the whole ledger.
const fewRevisions = 5000

// selectsFew reports whether the ecosystems of sel name few revisions.
func selectsFew(ctx context.Context, tx pgx.Tx, tenant string, sel export.Selectors) (few bool, err error) {
	if len(sel.Ecosystems) == 0 {
		return false, nil
	}
	err = tx.QueryRow(ctx, `
		select count(*) <= $3 from (select from ledger_terms t
			where t.tenant = $1 and t.axis = 'ecosystem' and t.term = any ($2::text[]) limit $3 + 1) named`,
		tenant, sel.Ecosystems, fewRevisions).Scan(&few)
	return few, err
}

// inOrder holds for one read: the index in export order is read, whatever the
// statistics say. Of a ledger that was just filled they say nothing.
const inOrder = `select set_config('work_mem', '64MB', true), set_config('enable_sort', 'off', true),
  set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)`

// Current implements ledger.Store. Rows come in the order of an index, one by
// one: the first at once, and neither side holds them.
func (l *Ledger) Current(ctx context.Context, tenant, project string, seq int64, sel export.Selectors,
	keys ledger.KeyRange, yield func(ledger.Row) error,
) error {
	err := l.db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		few, err := selectsFew(ctx, tx, tenant, sel)
		if err != nil {
			return err
		}
		q := newListing(tenant, project, seq)
		q.within(keys)
		q.chosen(sel, few)
		if q.sorted {
			if _, err := tx.Exec(ctx, inOrder); err != nil {
				return err
			}
		}
		return readRows(ctx, tx, q, yield)
	})
	if err != nil {
		return fmt.Errorf("read current documents as of %d: %w", seq, err)
	}
	return nil
}

// Touched implements ledger.Store: the keys of the revisions recorded between
// the two moments, and of those they overtook.
func (l *Ledger) Touched(ctx context.Context, tenant, project string, after, seq int64, limit int) (keys []string, all bool, err error) {
	err = l.db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, touchedQuery, tenant, ledger.ProjectName(project), after, seq, limit+1)
		if err != nil {
			return err
		}
		var row ledger.Row
		_, err = pgx.ForEachRow(rows, []any{(*string)(&row.Kind), &row.Subject, &row.UpstreamID, &row.Source, &row.Stream}, func() error {
			keys = append(keys, row.Key())
			return nil
		})
		return err
	})
	if err != nil {
		return nil, false, fmt.Errorf("read what changed between %d and %d: %w", after, seq, err)
	}
	if len(keys) > limit {
		return nil, false, nil
	}
	return keys, true, nil
}

const touchedQuery = `
select o.kind, o.subject, o.upstream_id, o.source, o.stream
from (
  select c.seq from generate_series($3::bigint + 1, $4::bigint) as c (seq)
  union all
  select s.seq from ledger_superseded s where s.tenant = $1 and s.by_seq > $3 and s.by_seq <= $4 and s.seq <= $3
) changed
cross join lateral (select * from ledger_observations o where o.tenant = $1 and o.seq = changed.seq offset 0) o
where o.project = $2
limit $5`

// readRows calls yield with the rows of a listing as the wire has them: most
// share their words with the row before. The columns are of this file's query,
// so their form is known; what has another is an error.
func readRows(ctx context.Context, tx pgx.Tx, q *listing, yield func(ledger.Row) error) error {
	rows, err := tx.Query(ctx, q.sql(), append([]any{pgx.QueryResultFormats{pgx.BinaryFormatCode}}, q.args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	var r ledger.Row
	for rows.Next() {
		raw := rows.RawValues()
		if len(raw) != 10 || len(raw[5]) != len(r.Digest) || len(raw[6]) != 8 || len(raw[7]) != 8 || len(raw[8]) != 8 || len(raw[9]) != 4 {
			return errors.New("a row of the listing has another form than was asked for")
		}
		for i, text := range [...]*string{(*string)(&r.Kind), &r.Subject, &r.UpstreamID, &r.Source, &r.Stream} {
			if *text != string(raw[i]) {
				*text = string(raw[i])
			}
		}
		r.Digest = bundle.Digest(raw[5])
		r.Seq, r.CanonicalBytes = int64FromWire(raw[6]), int64FromWire(raw[7])
		r.Place = ledger.Place{Block: int64FromWire(raw[8]), Slot: int32(int64FromWire(raw[9]))}
		if err := yield(r); err != nil {
			return err
		}
	}
	return rows.Err()
}
