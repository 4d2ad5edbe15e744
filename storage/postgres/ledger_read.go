package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// currentColumns and currentOnes are what every listing of current revisions
// has: as of $3, of project $2. "is not true" keeps the planner from making a
// join of the question, which would lose the order of the index: it looks each
// one up, or asks a table in memory when that fits.
const (
	currentColumns = `
select o.seq, o.kind, o.subject, o.upstream_id, o.source, o.stream, o.sha256, o.canonical_bytes`
	currentOnes = `
where o.tenant = $1 and o.project = $2 and o.seq <= $3 and (exists (
  select from ledger_superseded s where s.tenant = $1 and s.seq = o.seq and s.by_seq <= $3)) is not true`
	currentOrder = `
order by o.kind, o.subject, o.upstream_id, o.source, o.stream`
)

// currentQuery lists the current revisions as of $3. Selectors are parameters.
// few says that ecosystems name few revisions: then those are looked up and
// sorted, else everything is read in order and the others are left out.
func currentQuery(tenant, project string, seq int64, sel export.Selectors, few bool) (string, []any) {
	args := []any{tenant, ledger.ProjectName(project), seq}
	param := func(values []string) string {
		args = append(args, values)
		return fmt.Sprintf("any ($%d::text[])", len(args))
	}
	from, where := "\nfrom ledger_observations o", currentOnes
	if len(sel.Kinds) > 0 {
		where += " and (o.kind = " + param(sel.Kinds) + ") is true"
	}
	if len(sel.Sources) > 0 {
		where += " and (o.source = " + param(sel.Sources) + ") is true"
	}
	if len(sel.Ecosystems) > 0 {
		named := "t.tenant = $1 and t.axis = 'ecosystem' and t.term = " + param(sel.Ecosystems)
		if few {
			from = `
from (select distinct t.seq from ledger_terms t where ` + named + ` and t.seq <= $3) w
cross join lateral (select * from ledger_observations o where o.tenant = $1 and o.seq = w.seq offset 0) o`
		} else {
			where += " and (exists (select from ledger_terms t where t.seq = o.seq and " + named + ")) is true"
		}
	}
	return currentColumns + from + where + currentOrder, args
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
func (l *Ledger) Current(ctx context.Context, tenant, project string, seq int64, sel export.Selectors, yield func(ledger.Row) error) error {
	err := l.db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		few, err := selectsFew(ctx, tx, tenant, sel)
		if err != nil {
			return err
		}
		if !few {
			if _, err := tx.Exec(ctx, inOrder); err != nil {
				return err
			}
		}
		sql, args := currentQuery(tenant, project, seq, sel, few)
		return readRows(ctx, tx, sql, args, yield)
	})
	if err != nil {
		return fmt.Errorf("read current documents as of %d: %w", seq, err)
	}
	return nil
}

func readRows(ctx context.Context, tx pgx.Tx, sql string, args []any, yield func(ledger.Row) error) error {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r ledger.Row
		var digest pgtype.DriverBytes
		if err := rows.Scan(&r.Seq, (*string)(&r.Kind), &r.Subject, &r.UpstreamID, &r.Source, &r.Stream,
			&digest, &r.CanonicalBytes); err != nil {
			return err
		}
		copy(r.Digest[:], digest)
		if err := yield(r); err != nil {
			return err
		}
	}
	return rows.Err()
}
