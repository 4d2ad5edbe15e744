package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/ledger"
)

const (
	// tallyStep is how many sequences one statement counts. What was counted
	// before a caller lost patience is not counted again.
	tallyStep = 50_000
	// tallyNames bounds the names of one sort that are told apart: they come
	// from documents. The rest is one group, otherNames.
	tallyNames = 1000
	otherNames = "(others)"
	// talliesHeld bounds the tenants whose counts are remembered.
	talliesHeld = 64
)

// tally is what was counted of one tenant's project so far.
type tally struct {
	turn      chan struct{} // holds one token; whoever has it may count on
	counted   int64         // revisions up to here are in
	overtaken int64         // of those, the ones overtaken up to here count as revisions only

	total                               ledger.Count
	kinds, sources, formats, ecosystems map[string]ledger.Count
}

func newTally() *tally {
	t := &tally{turn: make(chan struct{}, 1), kinds: map[string]ledger.Count{}, sources: map[string]ledger.Count{},
		formats: map[string]ledger.Count{}, ecosystems: map[string]ledger.Count{}}
	t.turn <- struct{}{}
	return t
}

// Stats implements ledger.Catalog. The first call reads every row of the
// project once, in steps; later ones read what was added since. A moment before what was counted
// is counted from the start and not remembered.
func (c *Catalog) Stats(ctx context.Context, tenant, project string, seq int64, top int) (s ledger.Stats, err error) {
	project = ledger.ProjectName(project)
	held := c.tallyOf(tenant, project)
	select {
	case <-held.turn:
		defer func() { held.turn <- struct{}{} }()
	case <-ctx.Done():
		return s, ctx.Err()
	}
	t := held
	if t.counted > seq || t.overtaken > seq {
		t = newTally()
	}
	if err := c.count(ctx, tenant, project, seq, t); err != nil {
		return s, fmt.Errorf("count documents as of %d: %w", seq, err)
	}
	s = ledger.Stats{Total: t.total,
		Kinds: ledger.TopCounts(t.kinds, top), Sources: ledger.TopCounts(t.sources, top),
		Formats: ledger.TopCounts(t.formats, top), Ecosystems: ledger.TopCounts(t.ecosystems, top)}
	err = c.db.readTenant(ctx, tenant, func(tx pgx.Tx) error { return recordedBetween(ctx, tx, tenant, seq, &s) })
	if err != nil {
		return s, fmt.Errorf("read moments: %w", err)
	}
	return s, nil
}

// tallyOf gives what is remembered of a project. When too much is, something
// is forgotten, and counted again when it is asked for.
func (c *Catalog) tallyOf(tenant, project string) *tally {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := [2]string{tenant, project}
	if t, known := c.tallies[key]; known {
		return t
	}
	for other := range c.tallies {
		if len(c.tallies) < talliesHeld {
			break
		}
		delete(c.tallies, other)
	}
	t := newTally()
	c.tallies[key] = t
	return t
}

// What is counted, in a range of sequences: revisions when they were recorded,
// and when they were overtaken, whenever they were recorded. Ecosystems are
// terms: the first query steps from name to name through their index and reads
// of each what is in the range, so it costs what was added.
const (
	tallyRecorded = `
select o.kind, o.source, o.format, count(*), sum(o.raw_bytes)::bigint
from ledger_observations o where o.tenant = $1 and o.project = $2 and o.seq > $3 and o.seq <= $4
group by 1, 2, 3`
	tallyOvertaken = `
select o.kind, o.source, o.format, count(*), sum(o.raw_bytes)::bigint
from (select s.seq from ledger_superseded s where s.tenant = $1 and s.by_seq > $3 and s.by_seq <= $4 offset 0) w
cross join lateral (select * from ledger_observations o where o.tenant = $1 and o.seq = w.seq offset 0) o
where o.project = $2 group by 1, 2, 3`
	ecosystemsRecorded = `
with recursive names (term) as (
  (select t.term from ledger_terms t where t.tenant = $1 and t.axis = 'ecosystem' order by t.term limit 1)
  union all
  select (select t.term from ledger_terms t where t.tenant = $1 and t.axis = 'ecosystem' and t.term > names.term order by t.term limit 1)
  from names where names.term is not null
)
select n.term, count(*), sum(o.raw_bytes)::bigint
from names n
cross join lateral (select t.seq from ledger_terms t
  where t.tenant = $1 and t.axis = 'ecosystem' and t.term = n.term and t.seq > $3 and t.seq <= $4 offset 0) w
cross join lateral (select * from ledger_observations o where o.tenant = $1 and o.seq = w.seq offset 0) o
where n.term is not null and o.project = $2 group by 1`
	ecosystemsOvertaken = `
select t.term, count(*), sum(o.raw_bytes)::bigint
from (select s.seq from ledger_superseded s where s.tenant = $1 and s.by_seq > $3 and s.by_seq <= $4 offset 0) w
join ledger_terms t on t.tenant = $1 and t.axis = 'ecosystem' and t.seq = w.seq
cross join lateral (select * from ledger_observations o where o.tenant = $1 and o.seq = w.seq offset 0) o
where o.project = $2 group by 1`
)

// count brings t up to seq. Each step is whole or not at all.
func (c *Catalog) count(ctx context.Context, tenant, project string, seq int64, t *tally) error {
	for t.counted < seq {
		end := min(seq, t.counted+tallyStep)
		err := c.groups(ctx, tallyRecorded, ecosystemsRecorded, []any{tenant, project, t.counted, end}, func(g group) {
			t.add(g, ledger.Count{Documents: g.n, Revisions: g.n, Bytes: g.bytes})
		})
		if err != nil {
			return err
		}
		t.counted = end
	}
	if t.overtaken == seq {
		return nil
	}
	err := c.groups(ctx, tallyOvertaken, ecosystemsOvertaken, []any{tenant, project, t.overtaken, seq}, func(g group) {
		t.add(g, ledger.Count{Documents: -g.n, Bytes: -g.bytes})
	})
	if err == nil {
		t.overtaken = seq
	}
	return err
}

// group is some revisions that have a kind, a source and a format in common,
// or else an ecosystem.
type group struct {
	kind, source, format, ecosystem string
	n, bytes                        int64
}

// groups reads all groups of a range before it yields the first.
func (c *Catalog) groups(ctx context.Context, sql, ecosystems string, args []any, yield func(group)) error {
	var found, more []group
	err := c.db.readTenant(ctx, args[0].(string), func(tx pgx.Tx) (err error) {
		found, err = collectGroups(ctx, tx, sql, args, func(row pgx.CollectableRow) (g group, err error) {
			return g, row.Scan(&g.kind, &g.source, &g.format, &g.n, &g.bytes)
		})
		if err != nil {
			return err
		}
		more, err = collectGroups(ctx, tx, ecosystems, args, func(row pgx.CollectableRow) (g group, err error) {
			return g, row.Scan(&g.ecosystem, &g.n, &g.bytes)
		})
		return err
	})
	if err != nil {
		return err
	}
	for _, g := range append(found, more...) {
		yield(g)
	}
	return nil
}

func collectGroups(ctx context.Context, tx pgx.Tx, sql string, args []any, scan func(pgx.CollectableRow) (group, error)) ([]group, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

func (t *tally) add(g group, c ledger.Count) {
	if g.ecosystem != "" {
		into(t.ecosystems, g.ecosystem, c)
		return
	}
	t.total.Add(c)
	into(t.kinds, g.kind, c)
	into(t.sources, g.source, c)
	into(t.formats, g.format, c)
}

func into(groups map[string]ledger.Count, name string, c ledger.Count) {
	if _, known := groups[name]; !known && len(groups) >= tallyNames {
		name = otherNames
	}
	count := groups[name]
	count.Add(c)
	groups[name] = count
}
