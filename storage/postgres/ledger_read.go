package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	// overtaken is the condition that a revision was not.
	overtaken string
	// sorted says that rows come from an index in the order of the export; else
	// few are looked up and put in order.
	sorted bool

	tenant string
	seq    int64
	// named says that only documents are wanted: sequences, sorted.
	named     bool
	documents []int64
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
		args:      []any{tenant, ledger.ProjectName(project), seq},
		from:      "\nfrom ledger_observations o",
		where:     []string{"o.tenant = $1 and o.project = $2 and o.seq <= $3"},
		overtaken: "(exists (select from ledger_superseded s where s.tenant = $1 and s.seq = o.seq and s.by_seq <= $3)) is not true",
		sorted:    true,
		tenant:    tenant, seq: seq,
	}
}

func (q *listing) sql() string {
	return listedColumns + q.from + "\nwhere " + strings.Join(append(q.where, q.overtaken), "\n  and ") + exportOrder
}

// param adds a parameter and gives its name.
func (q *listing) param(value any) string {
	q.args = append(q.args, value)
	return fmt.Sprintf("$%d", len(q.args))
}

func (q *listing) require(condition string) { q.where = append(q.where, condition) }

// eachAsked is listing.overtaken for few revisions: each is looked up, whatever
// the planner believes about how many there are.
const eachAsked = `(select true from ledger_superseded s
  where s.tenant = $1 and s.seq = o.seq and s.by_seq <= $3 limit 1) is not true`

// within keeps to a part of the order.
//
// What the two bounds have in common are conditions of their own, and so is the
// bound of the first member in which they differ: the scan of an index ends when
// a condition on one column fails, or the first of a row, and not before. Without
// that it would go on to the end of the subject, or of the kind.
func (q *listing) within(keys ledger.KeyRange) {
	if keys.Kind == "" {
		return
	}
	q.overtaken = eachAsked
	columns := []string{"o.kind", "o.subject", "o.upstream_id", "o.source", "o.stream"}
	from, to := splitKey(keys.Kind), splitKey(keys.Kind)
	if keys.From != "" {
		from = splitKey(keys.From)
	}
	if keys.To != "" {
		to = splitKey(keys.To)
	}
	common := 1 // the kind
	for keys.From != "" && keys.To != "" && common < len(columns)-1 && from[common] == to[common] {
		common++
	}
	for i := range common {
		q.require(columns[i] + " = " + q.param(from[i]))
	}
	row := "(" + strings.Join(columns[common:], ", ") + ")"
	if keys.From != "" {
		q.require(row + " >= " + q.row(from[common:]))
	}
	if keys.To != "" {
		q.require(columns[common] + " <= " + q.param(to[common]))
		q.require(row + " < " + q.row(to[common:]))
	}
}

// row gives a row of parameters.
func (q *listing) row(members []string) string {
	names := make([]string, len(members))
	for i, member := range members {
		names[i] = q.param(member)
	}
	return "(" + strings.Join(names, ", ") + ")"
}

// splitKey gives the members of a key.
func splitKey(key string) []string {
	members := make([]string, 5)
	copy(members, strings.SplitN(key, "\n", len(members)))
	return members
}

// only keeps to documents, sorted by sequence.
func (q *listing) only(documents []int64) {
	if q.named {
		q.documents = slices.DeleteFunc(q.documents, func(seq int64) bool {
			_, found := slices.BinarySearch(documents, seq)
			return !found
		})
		return
	}
	q.named, q.documents = true, documents
}

// namesFew reports whether the revisions that were named are better looked up
// than picked out of a pass over everything.
func (q *listing) namesFew() bool {
	return q.named && int64(len(q.documents))*lookUpCosts <= q.seq
}

// lookUp reads the revisions that were named, each by its number.
func (q *listing) lookUp() {
	q.from = `
from unnest(` + q.param(q.documents) + `::bigint[]) w (seq)
cross join lateral (select * from ledger_observations o where o.tenant = $1 and o.seq = w.seq offset 0) o`
	q.sorted = false
}

// lookUpCosts says how many documents are passed over in order in the time in
// which one is looked up and sorted.
const lookUpCosts = 6

// wants reports whether a row of a pass over everything is one that was named.
func (q *listing) wants(seq int64) bool {
	if !q.named || !q.sorted {
		return true
	}
	_, found := slices.BinarySearch(q.documents, seq)
	return found
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
		q := newListing(tenant, project, seq)
		q.within(keys)
		if err := q.chosen(ctx, tx, sel); err != nil {
			return err
		}
		if q.namesFew() {
			q.lookUp()
		}
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

// touchedWithin bounds the sequences that Touched looks through: other projects'
// are among them.
const touchedWithin = 1_000_000

// Touched implements ledger.Store: the keys of the revisions recorded between
// the two moments, and of those they overtook.
func (l *Ledger) Touched(ctx context.Context, tenant, project string, after, seq int64, limit int) (keys []string, all bool, err error) {
	if seq-after > touchedWithin {
		return nil, false, nil
	}
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
		if r.Seq = int64FromWire(raw[6]); !q.wants(r.Seq) {
			continue
		}
		r.Digest = bundle.Digest(raw[5])
		r.CanonicalBytes = int64FromWire(raw[7])
		r.Place = ledger.Place{Block: int64FromWire(raw[8]), Slot: int32(int64FromWire(raw[9]))}
		if err := yield(r); err != nil {
			return err
		}
	}
	return rows.Err()
}
