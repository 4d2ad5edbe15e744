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
	removed                             int64
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
	s = ledger.Stats{Total: t.total, Removed: t.removed,
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

// What is counted, in a range of sequences: revisions and removals when they were
// recorded, and when they were overtaken, whenever they were recorded.
const (
	tallyRecorded = `
select o.seq, o.kind, o.source, o.format, o.raw_bytes
from ledger_observations o where o.tenant = $1 and o.project = $2 and o.seq > $3 and o.seq <= $4`
	tallyOvertaken = `
select o.seq, o.kind, o.source, o.format, o.raw_bytes
from (select s.seq from ledger_superseded s where s.tenant = $1 and s.by_seq > $3 and s.by_seq <= $4 offset 0) w
cross join lateral (select * from ledger_observations o where o.tenant = $1 and o.seq = w.seq offset 0) o
where o.project = $2`
	tallyRemoved = `
select count(*) from ledger_removals r where r.tenant = $1 and r.project = $2 and r.seq > $3 and r.seq <= $4`
	tallyBack = `
select count(*)
from (select s.seq from ledger_superseded s where s.tenant = $1 and s.by_seq > $3 and s.by_seq <= $4 offset 0) w
cross join lateral (select r.project from ledger_removals r where r.tenant = $1 and r.seq = w.seq offset 0) r
where r.project = $2`
)

// count brings t up to seq. Each step is whole or not at all.
func (c *Catalog) count(ctx context.Context, tenant, project string, seq int64, t *tally) error {
	for t.counted < seq {
		end := min(seq, t.counted+c.step)
		found, removals, err := c.groups(ctx, tallyRecorded, tallyRemoved, tenant, project, t.counted, end)
		if err != nil {
			return err
		}
		t.removed += removals
		for g, n := range found {
			t.add(g, ledger.Count{Documents: n.revisions, Revisions: n.revisions, Bytes: n.bytes})
		}
		t.counted = end
	}
	for t.overtaken < seq {
		end := min(seq, t.overtaken+c.step)
		found, removals, err := c.groups(ctx, tallyOvertaken, tallyBack, tenant, project, t.overtaken, end)
		if err != nil {
			return err
		}
		t.removed -= removals
		for g, n := range found {
			t.add(g, ledger.Count{Documents: -n.revisions, Bytes: -n.bytes})
		}
		t.overtaken = end
	}
	return nil
}

// group is what some revisions have in common: a kind, a source and a format,
// or else an ecosystem.
type group struct{ kind, source, format, ecosystem string }

// members are the revisions of a group.
type members struct{ revisions, bytes int64 }

// groups counts one step: of revisions and of removals.
func (c *Catalog) groups(ctx context.Context, revisions, removed, tenant, project string, after, seq int64) (found map[group]members, removals int64, err error) {
	found = map[group]members{}
	sizes := map[int64]int64{} // of the revisions, by sequence
	count := func(g group, bytes int64) {
		m := found[g]
		found[g] = members{m.revisions + 1, m.bytes + bytes}
	}
	err = c.db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		clear(found)
		clear(sizes)
		if err := tx.QueryRow(ctx, removed, tenant, project, after, seq).Scan(&removals); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, revisions, tenant, project, after, seq)
		if err != nil {
			return err
		}
		var number, bytes int64
		var g group
		_, err = pgx.ForEachRow(rows, []any{&number, &g.kind, &g.source, &g.format, &bytes}, func() error {
			sizes[number] = bytes
			count(g, bytes)
			return nil
		})
		if err != nil {
			return err
		}
		return termsOf(ctx, tx, tenant, axisEcosystem, sizes, func(term string, number int64) {
			count(group{ecosystem: term}, sizes[number])
		})
	})
	return found, removals, err
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
