package frontendtest

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// record is a revision as the ledger keeps it, or a removal, which has a
// revision's identity and nothing else of one: its sequence is its place.
type record struct {
	ledger.Observation
	at      time.Time
	removal *ledger.Removal
}

// greater is the order of revisions and removals of one document.
func (r record) greater(other record) bool {
	switch {
	case r.removal != nil && other.removal != nil:
		return r.removal.Time.After(other.removal.Time)
	case r.removal != nil:
		return ledger.Covers(r.removal.Modified(), other.Modified)
	case other.removal != nil:
		return !ledger.Covers(other.removal.Modified(), r.Modified)
	}
	return ledger.Greater(r.Observation, other.Observation)
}

// note keeps a revision that was recorded.
func (l *Ledger) note(tenant string, o ledger.Observation, removal *ledger.Removal) {
	l.records[tenant] = append(l.records[tenant], record{o, l.moment(), removal})
}

// moment is when something is recorded.
func (l *Ledger) moment() time.Time {
	if l.Now != nil {
		return l.Now()
	}
	return Start
}

// currentAsOf gives the sequences of current revisions, in their order.
func (l *Ledger) currentAsOf(tenant, project string, seq int64) (seqs []int64) {
	return slices.DeleteFunc(l.standing(tenant, project, seq), func(seq int64) bool { return l.records[tenant][seq-1].removal != nil })
}

// standing gives the sequences of what stands of each document, the greatest of
// its revisions and removals, in their order.
func (l *Ledger) standing(tenant, project string, seq int64) (seqs []int64) {
	greatest := map[ledger.Identity]int64{}
	for i, r := range l.records[tenant][:seq] {
		held, known := greatest[r.Identity()]
		if ledger.ProjectName(r.Project) == ledger.ProjectName(project) && (!known || r.greater(l.records[tenant][held-1])) {
			greatest[r.Identity()] = int64(i) + 1
		}
	}
	for _, seq := range greatest {
		seqs = append(seqs, seq)
	}
	slices.Sort(seqs)
	return seqs
}

// lastOf gives the greatest revision of a removed document as of seq.
func (l *Ledger) lastOf(tenant string, gone record, seq int64) record {
	last := record{}
	for _, r := range l.records[tenant][:seq] {
		if r.removal == nil && r.Identity() == gone.Identity() && (last.UpstreamID == "" || r.greater(last)) {
			last = r
		}
	}
	return last
}

// Head implements frontend.Listing.
func (l *Ledger) Head(_ context.Context, tenant string) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return int64(len(l.records[tenant])), nil
}

// currentRows are those that are wanted, in the order of their keys. A document lies
// where it was recorded: its block is its sequence.
func (l *Ledger) currentRows(tenant, project string, seq int64, wanted func(record) bool) (rows []ledger.Row) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, seq := range l.currentAsOf(tenant, project, seq) {
		if o := l.records[tenant][seq-1]; wanted(o) {
			rows = append(rows, ledger.Row{Seq: seq, Kind: o.Kind, Subject: o.Subject, UpstreamID: o.UpstreamID,
				Source: o.Source, Stream: o.Stream, Digest: o.Digest, CanonicalBytes: int64(len(o.Canonical)), Place: ledger.Place{Block: seq}})
		}
	}
	slices.SortFunc(rows, func(a, b ledger.Row) int { return cmp.Compare(a.Key(), b.Key()) })
	return rows
}

// Lines implements frontend.Ledger.
func (l *Ledger) Lines(_ context.Context, tenant string, places []ledger.Place, yield func(ledger.Line) error) error {
	for _, place := range places {
		l.mu.Lock()
		o := l.records[tenant][place.Block-1].Observation
		l.mu.Unlock()
		err := yield(ledger.Line{Row: ledger.Row{Kind: o.Kind, Subject: o.Subject, UpstreamID: o.UpstreamID, Source: o.Source, Stream: o.Stream,
			Digest: o.Digest, CanonicalBytes: int64(len(o.Canonical)), Place: place}, Format: o.Format, Modified: o.Modified,
			Ecosystems: o.Ecosystems, Products: o.Products, Aliases: o.Aliases, Canonical: o.Canonical})
		if err != nil {
			return err
		}
	}
	return nil
}

// CurrentOf implements ledger.Catalog.
func (c Catalog) CurrentOf(_ context.Context, tenant, project string, seq int64, rows []ledger.Row, yield func(ledger.Row) error) error {
	found := c.currentRows(tenant, project, seq, func(r record) bool {
		return slices.ContainsFunc(rows, func(row ledger.Row) bool {
			return row.Kind == r.Kind && row.Source == r.Source && row.Stream == r.Stream && row.UpstreamID == r.UpstreamID
		})
	})
	for _, row := range found {
		if err := yield(row); err != nil {
			return err
		}
	}
	return nil
}

// Current implements frontend.Listing.
func (l *Ledger) Current(_ context.Context, tenant, project string, seq int64, sel export.Selectors, keys ledger.KeyRange, yield func(ledger.Row) error) error {
	for _, row := range l.currentRows(tenant, project, seq, func(r record) bool { return ledger.LeftOut(sel, r.Observation, r.at) == "" }) {
		if key := row.Key(); !keys.Contains(key) {
			continue
		}
		if err := yield(row); err != nil {
			return err
		}
	}
	return nil
}

// Catalog is ledger.Catalog over a Ledger in memory.
type Catalog struct{ *Ledger }

var _ ledger.Catalog = Catalog{}

// SeqAt implements ledger.Catalog.
func (c Catalog) SeqAt(_ context.Context, tenant string, at time.Time) (seq int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.records[tenant] {
		if !r.at.After(at) {
			seq++
		}
	}
	return seq, nil
}

// Excluded implements ledger.Catalog.
func (c Catalog) Excluded(_ context.Context, tenant, project string, seq int64, sel export.Selectors) (left []ledger.Exclusion, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, member := range ledger.SelectorMembers {
		one := ledger.Exclusion{Member: member}
		for _, seq := range c.currentAsOf(tenant, project, seq) {
			if o := c.records[tenant][seq-1]; ledger.LeftOut(sel, o.Observation, o.at) == member {
				one.Documents++
				one.Bytes += int64(len(o.Canonical))
			}
		}
		if one.Documents > 0 {
			left = append(left, one)
		}
	}
	return left, nil
}

// Stats implements ledger.Catalog.
func (c Catalog) Stats(_ context.Context, tenant, project string, seq int64, top int) (s ledger.Stats, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	current := c.currentAsOf(tenant, project, seq)
	groups := [4]map[string]ledger.Count{{}, {}, {}, {}}
	for i, r := range c.records[tenant][:seq] {
		if ledger.ProjectName(r.Project) != ledger.ProjectName(project) || r.removal != nil {
			continue
		}
		count := ledger.Count{Revisions: 1}
		if slices.Contains(current, int64(i)+1) {
			count.Documents, count.Bytes = 1, int64(len(r.Raw))
		}
		s.Total.Add(count)
		for n, names := range [][]string{{string(r.Kind)}, {r.Source}, {r.Format}, r.Ecosystems} {
			for _, name := range names {
				sum := groups[n][name]
				sum.Add(count)
				groups[n][name] = sum
			}
		}
	}
	s.Removed = int64(len(c.standing(tenant, project, seq)) - len(current))
	if seq > 0 {
		s.First, s.Last = c.records[tenant][0].at, c.records[tenant][seq-1].at
	}
	s.Kinds, s.Sources = ledger.TopCounts(groups[0], top), ledger.TopCounts(groups[1], top)
	s.Formats, s.Ecosystems = ledger.TopCounts(groups[2], top), ledger.TopCounts(groups[3], top)
	return s, nil
}

// listWindow is how many sequences a page looks at: few, so that tests meet
// pages that are not full.
const listWindow = 5

// Documents implements ledger.Catalog.
func (c Catalog) Documents(_ context.Context, tenant, project string, seq int64, f ledger.DocumentFilter) (page []ledger.Document, next int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	end := min(seq, f.After+listWindow)
	is := func(want, value string) bool { return want == "" || want == value }
	for _, n := range c.standing(tenant, project, seq) {
		o := c.records[tenant][n-1]
		removal := o.removal
		if removal != nil {
			o = c.lastOf(tenant, o, seq)
		}
		if f.Removed == ledger.WithoutRemoved && removal != nil || f.Removed == ledger.OnlyRemoved && removal == nil || n <= f.After || n > end || !is(string(f.Kind), string(o.Kind)) || !is(f.Source, o.Source) || !is(f.Stream, o.Stream) ||
			!is(f.UpstreamID, o.UpstreamID) || f.Ecosystem != "" && !slices.Contains(o.Ecosystems, f.Ecosystem) ||
			!slices.ContainsFunc(append([]string{""}, o.Products...), func(p string) bool { return strings.HasPrefix(p, f.PurlPrefix) }) {
			continue
		}
		page = append(page, ledger.Document{Seq: n, Kind: o.Kind, Format: o.Format, UpstreamID: o.UpstreamID, Source: o.Source,
			Stream: o.Stream, Subject: o.Subject, Modified: o.Modified, Digest: o.Digest, Bytes: int64(len(o.Raw)), Removal: removal})
		if len(page) == f.Limit {
			end = n
			break
		}
	}
	if end < seq {
		next = end
	}
	return page, next, nil
}

// RemovalOf implements ledger.Catalog.
func (c Catalog) RemovalOf(_ context.Context, tenant string, digest bundle.Digest) (last *ledger.Removal, at int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	head := int64(len(c.records[tenant]))
	documents := map[ledger.Identity]bool{}
	for _, r := range c.records[tenant] {
		if r.removal == nil && r.Digest == digest {
			documents[r.Identity()] = true
		}
	}
	for id := range documents {
		for _, n := range c.standing(tenant, id.Project, head) {
			if r := c.records[tenant][n-1]; r.Identity() != id {
				continue
			} else if r.removal == nil {
				return nil, 0, nil
			} else if n > at {
				last, at = r.removal, n
			}
		}
	}
	return last, at, nil
}
