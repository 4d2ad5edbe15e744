package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// condition is what one member of the selectors wants of an observation o.
type condition struct {
	member string
	// sql is what it must be, with parameters of the listing; "" when it must be
	// one of documents, which are sorted.
	sql       string
	documents []int64
}

// conditions are what sel wants, in the order of ledger.SelectorMembers. Every
// value of a selector is a parameter.
func (q *listing) conditions(ctx context.Context, tx pgx.Tx, sel export.Selectors) ([]condition, error) {
	var all []condition
	var about []int64
	if len(sel.SBOMSubjects) > 0 {
		var err error
		if about, err = q.sbomsAbout(ctx, tx, sel.SBOMSubjects); err != nil {
			return nil, err
		}
	}
	where := func(member, sql string) { all = append(all, condition{member: member, sql: sql}) }
	if len(sel.Kinds) > 0 {
		where("kinds", "o.kind = any ("+q.param(sel.Kinds)+"::text[])")
	}
	if len(sel.Sources) > 0 {
		where("sources", "o.source = any ("+q.param(sel.Sources)+"::text[])")
	}
	if sel.TimeWindow != nil {
		where("timeWindow", q.inTime(*sel.TimeWindow))
	}
	if len(sel.Severities) > 0 {
		where("severities", "o.severities & "+q.param(severityBits(sel.Severities))+"::smallint <> 0")
	}
	for _, axis := range []struct {
		member, name string
		patterns     []pattern
	}{{"products", axisProduct, patternsOf(sel.Products, product)}, {"ecosystems", axisEcosystem, patternsOf(sel.Ecosystems, exactly)}} {
		if len(axis.patterns) == 0 {
			continue
		}
		documents, err := documentsWith(ctx, tx, q.tenant, q.seq, axis.name, axis.patterns)
		if err != nil {
			return nil, err
		}
		all = append(all, condition{member: axis.member, documents: documents})
	}
	if len(sel.SBOMSubjects) > 0 {
		all = append(all, condition{member: "sbomSubjects", documents: about})
	}
	for _, list := range []struct {
		member, form string
		patterns     []string
	}{{"include", "(%s)", sel.Include}, {"exclude", "not (%s)", sel.Exclude}} {
		if len(list.patterns) == 0 {
			continue
		}
		known, err := q.knownAs(ctx, tx, list.patterns)
		if err != nil {
			return nil, err
		}
		where(list.member, fmt.Sprintf(list.form, known))
	}
	if sel.Sample != nil {
		where("sample", q.inSample(*sel.Sample))
	}
	return all, nil
}

// knownAs is true of documents whose own id or an alias is like one of patterns.
func (q *listing) knownAs(ctx context.Context, tx pgx.Tx, patterns []string) (string, error) {
	likes := make([]string, len(patterns))
	for i, p := range patterns {
		likes[i] = likeOf(p)
	}
	aliased, err := documentsWith(ctx, tx, q.tenant, q.seq, axisAlias, patternsOf(patterns, id))
	if err != nil {
		return "", err
	}
	own := "o.upstream_id like any (" + q.param(likes) + "::text[])"
	if len(aliased) == 0 {
		return own, nil
	}
	// Planned with the values in hand: only then is a long list looked up in a table.
	if _, err := tx.Exec(ctx, "select set_config('plan_cache_mode', 'force_custom_plan', true)"); err != nil {
		return "", err
	}
	return own + " or o.seq = any (" + q.param(aliased) + "::bigint[])", nil
}

// likeOf writes a pattern of ids as LIKE has it.
var likeOf = strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`, `*`, `%`).Replace

// inSample is export.Sample.Keeps: bytea compares as a big-endian number does.
func (q *listing) inSample(s export.Sample) string {
	limit, all := s.Limit()
	if all {
		return "true"
	}
	return "sha256(convert_to(" + q.param(s.Seed+"\n") + "::text || o.upstream_id, 'UTF8')) < " + q.param(limit[:]) + "::bytea"
}

// inTime is true of documents of a window of time.
func (q *listing) inTime(w export.TimeWindow) string {
	var all []string
	if w.Field == export.TimeObserved {
		// A transaction's documents were recorded when its row of moments says.
		const before = "coalesce((select m.seq from ledger_moments m where m.tenant = $1 and m.at < %s order by m.seq desc limit 1), 0)"
		if w.From != nil {
			all = append(all, "o.seq > "+fmt.Sprintf(before, q.param(*w.From)))
		}
		if w.To != nil {
			all = append(all, "o.seq <= "+fmt.Sprintf(before, q.param(*w.To)))
		}
		return strings.Join(all, " and ")
	}
	all = append(all, "o.modified <> ''")
	if w.From != nil {
		all = append(all, "o.modified >= "+q.param(w.From.UTC().Format(ledger.ModifiedLayout)))
	}
	if w.To != nil {
		all = append(all, "o.modified < "+q.param(w.To.UTC().Format(ledger.ModifiedLayout)))
	}
	return strings.Join(all, " and ")
}

func patternsOf(texts []string, of func(string) pattern) []pattern {
	patterns := make([]pattern, len(texts))
	for i, text := range texts {
		patterns[i] = of(text)
	}
	return patterns
}

// chosen keeps what sel selects. "is true" keeps a condition from choosing an
// index: the order of the export's must not be lost for it.
func (q *listing) chosen(ctx context.Context, tx pgx.Tx, sel export.Selectors) error {
	wanted, err := q.conditions(ctx, tx, sel)
	for _, c := range wanted {
		if c.sql == "" {
			q.only(c.documents)
		} else {
			q.require("(" + c.sql + ") is true")
		}
	}
	return err
}

// Excluded counts what each member of sel leaves out of the current documents as
// of seq, in one pass; see ledger.Exclusion. Members that are absent are not in it.
func (c *Catalog) Excluded(ctx context.Context, tenant, project string, seq int64, sel export.Selectors) (left []ledger.Exclusion, err error) {
	err = c.db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		q := newListing(tenant, project, seq)
		wanted, err := q.conditions(ctx, tx, sel)
		if err != nil || len(wanted) == 0 {
			return err
		}
		if _, err := tx.Exec(ctx, "select set_config('plan_cache_mode', 'force_custom_plan', true)"); err != nil {
			return err
		}
		left = make([]ledger.Exclusion, len(wanted))
		cases := ""
		for i, c := range wanted {
			left[i].Member = c.member
			if c.sql == "" {
				c.sql = "o.seq = any (" + q.param(c.documents) + "::bigint[])"
			}
			cases += fmt.Sprintf("when (%s) is not true then %d ", c.sql, i)
		}
		rows, err := tx.Query(ctx, "select nth, count(*), sum(canonical_bytes)::bigint from (select case "+cases+"end as nth, o.canonical_bytes "+
			q.from+"\nwhere "+strings.Join(append(q.where, q.overtaken), " and ")+") x where nth is not null group by nth", q.args...)
		if err != nil {
			return err
		}
		var nth int
		var count ledger.Exclusion
		_, err = pgx.ForEachRow(rows, []any{&nth, &count.Documents, &count.Bytes}, func() error {
			left[nth].Documents, left[nth].Bytes = count.Documents, count.Bytes
			return nil
		})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("count what is left out as of %d: %w", seq, err)
	}
	return left, nil
}
