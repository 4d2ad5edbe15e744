package comparison_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/comparison"
	"github.com/stella-ops/exportcenter/ledger"
)

// doc is a document of a test: its kind, subject, id and text.
type doc struct{ kind, subject, id, text string }

// book holds the documents of two moments in memory, and counts what is asked of it.
type book struct {
	lines          []ledger.Line
	listed, opened int
}

// moment is what a run selects at a moment; hidden documents are there and not selected.
type moment struct {
	*book
	rows, hidden []ledger.Row
}

func (b *book) at(docs ...doc) *moment {
	m := &moment{book: b}
	for _, d := range docs {
		m.rows = append(m.rows, b.row(d))
	}
	slices.SortFunc(m.rows, func(x, y ledger.Row) int { return strings.Compare(x.Key(), y.Key()) })
	return m
}

func (b *book) row(d doc) ledger.Row {
	canonical, err := bundle.Canonical([]byte(d.text))
	if err != nil {
		panic(fmt.Sprintf("%s: %v", d.text, err))
	}
	format := map[string]string{"advisory": "osv", "vex": "openvex", "sbom": "cyclonedx", "finding": "findings"}[d.kind]
	row := ledger.Row{Kind: ledger.Kind(d.kind), Subject: d.subject, UpstreamID: d.id, Source: "s", Stream: "t", Digest: bundle.DigestOf([]byte(d.text)),
		CanonicalBytes: int64(len(canonical)), Place: ledger.Place{Block: int64(len(b.lines))}}
	b.lines = append(b.lines, ledger.Line{Row: row, Format: format, Canonical: canonical, Aliases: []string{"A-" + d.id}})
	return row
}

// side cuts the documents into shards of about n documents, by their ids alone, as
// plans do.
func (m *moment) side(n uint64) comparison.Side {
	side := comparison.Side{
		List: func(_ context.Context, keys ledger.KeyRange, yield func(ledger.Row) error) error {
			for _, row := range m.rows {
				if !keys.Contains(row.Key()) {
					continue
				}
				m.listed++
				if err := yield(row); err != nil {
					return err
				}
			}
			return nil
		},
		CurrentOf: func(_ context.Context, wanted []ledger.Row, yield func(ledger.Row) error) error {
			for _, row := range append(m.rows, m.hidden...) {
				if slices.ContainsFunc(wanted, func(w ledger.Row) bool { return w.Kind == row.Kind && w.UpstreamID == row.UpstreamID }) {
					if err := yield(row); err != nil {
						return err
					}
				}
			}
			return nil
		},
	}
	var list []byte
	end := func() {
		if len(list) > 0 {
			side.Shards[len(side.Shards)-1].Hash, list = bundle.DigestOf(list), nil
		}
	}
	for i, row := range m.rows {
		cut := bundle.DigestOf([]byte(row.Key()))
		if i == 0 || row.Kind != m.rows[i-1].Kind || uint64(cut[0])%n == 0 {
			end()
			side.Shards = append(side.Shards, comparison.Shard{Kind: string(row.Kind), Cursor: row.Key()})
		}
		list = append(list, row.Key()+row.Digest.String()...)
	}
	end()
	return side
}

func (b *book) Lines(_ context.Context, places []ledger.Place, yield func(ledger.Line) error) error {
	for _, p := range places {
		b.opened++
		if err := yield(b.lines[p.Block]); err != nil {
			return err
		}
	}
	return nil
}

var roomy = comparison.Bounds{Pairs: 1000, Rows: 1 << 30, Bytes: 1 << 30}

// all reads every page.
func all(t *testing.T, c comparison.Comparison, f comparison.Filter, b comparison.Bounds) (changes []comparison.Change) {
	t.Helper()
	for after, pages := "", 0; ; pages++ {
		require.Less(t, pages, 100_000, "it does not end")
		page, next, err := c.Page(t.Context(), after, f, b)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), b.Pairs)
		changes = append(changes, page...)
		if next == "" {
			return changes
		}
		require.Greater(t, next, after)
		after = next
	}
}

func compared(from, to *moment) comparison.Comparison {
	return comparison.Comparison{From: from.side(4), To: to.side(4), Lines: from.Lines}
}

// outline is a change in a few words.
func outline(c comparison.Change) string { return c.Change + " " + c.Kind + " " + c.ID }

func TestWhatIsTheSameIsNotRead(t *testing.T) {
	b := &book{}
	var docs []doc
	for n := range 1000 {
		docs = append(docs, doc{"advisory", fmt.Sprintf("pkg:npm/p%04d", n), fmt.Sprintf("OSV-%d", n), fmt.Sprintf(`{"id":"OSV-%d"}`, n)})
	}
	from := b.at(docs...)
	require.Empty(t, all(t, compared(from, b.at(docs...)), comparison.Filter{}, roomy))
	require.Zero(t, b.listed+b.opened)
	docs[500].text = `{"id":"OSV-500","summary":"x"}`
	c := compared(from, b.at(docs...))
	require.Equal(t, len(c.From.Shards)-1, c.Same())
	changes := all(t, c, comparison.Filter{}, roomy)
	require.Len(t, changes, 1)
	require.Equal(t, "changed advisory OSV-500", outline(changes[0]))
	require.Equal(t, []string{"other"}, changes[0].What)
	require.Equal(t, []string{"A-OSV-500"}, changes[0].Aliases)
	require.Equal(t, 2, b.opened)
	require.Less(t, b.listed, 60, "a shard of each side")
}

// Whatever the two sides have, in pages of any size, the answer is what a comparison of
// two maps gives.
func TestAnyTwoSides(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 8))
		b := &book{}
		var docs [2][]doc
		want := map[string]string{}
		for n := range random.IntN(120) {
			kind := []string{"advisory", "finding", "sbom"}[random.IntN(3)]
			id := fmt.Sprintf("ID-%d", n)
			old := doc{kind, fmt.Sprintf("pkg:npm/p%02d", random.IntN(40)), id, fmt.Sprintf(`{"id":%q,"bomFormat":"CycloneDX"}`, id)}
			new := old
			switch random.IntN(6) {
			case 0:
				want["added "+kind+" "+id] = id
				docs[1] = append(docs[1], new)
				continue
			case 1:
				want["removed "+kind+" "+id] = id
				docs[0] = append(docs[0], old)
				continue
			case 2: // it moves too
				new.subject = fmt.Sprintf("pkg:npm/q%02d", random.IntN(40))
				fallthrough
			case 3:
				new.text = fmt.Sprintf(`{"id":%q,"summary":"new","bomFormat":"CycloneDX"}`, id)
				want["changed "+kind+" "+id] = id
			}
			docs[0], docs[1] = append(docs[0], old), append(docs[1], new)
		}
		c := compared(b.at(docs[0]...), b.at(docs[1]...))
		bounds := comparison.Bounds{Pairs: 1 + random.IntN(5), Rows: 1 + random.IntN(50), Bytes: 1 + random.Int64N(500)}
		got := map[string]string{}
		for _, change := range all(t, c, comparison.Filter{}, bounds) {
			require.NotContains(t, got, outline(change), "told twice")
			got[outline(change)] = change.ID
		}
		require.Equal(t, want, got, "seed %d", seed)
		for _, only := range []string{"added", "removed", "changed", "other", "severity"} {
			word := only
			if only == "other" {
				word = "changed"
			}
			some := map[string]string{}
			for _, change := range all(t, c, comparison.Filter{Kinds: []string{"sbom", "advisory"}, Only: only}, bounds) {
				some[outline(change)] = change.ID
			}
			expected := map[string]string{}
			for line, id := range want {
				if strings.HasPrefix(line, word+" ") && !strings.Contains(line, " finding ") {
					expected[line] = id
				}
			}
			require.Equal(t, expected, some, "seed %d, only %s", seed, only)
		}
	}
}

// A document that is there under another key and is not selected was removed.
func TestADocumentThatIsNotSelectedElsewhere(t *testing.T) {
	b := &book{}
	from, to := b.at(doc{"advisory", "a", "X", `{"id":"X"}`}), b.at(doc{"advisory", "c", "Y", `{"id":"Y"}`})
	to.hidden = []ledger.Row{b.row(doc{"advisory", "b", "X", `{"id":"X","summary":"2"}`})}
	from.hidden = []ledger.Row{b.row(doc{"advisory", "d", "Y", `{"id":"Y","summary":"2"}`})}
	changes := all(t, compared(from, to), comparison.Filter{}, roomy)
	require.Len(t, changes, 2)
	require.Equal(t, "removed advisory X", outline(changes[0]))
	require.Equal(t, "added advisory Y", outline(changes[1]))
}

func TestFailuresOfTheLedger(t *testing.T) {
	b := &book{}
	from, to := b.at(doc{"advisory", "a", "X", `{"id":"X"}`}), b.at(doc{"advisory", "a", "X", `{"id":"X","summary":"2"}`}, doc{"advisory", "b", "Y", `{"id":"Y"}`})
	broken := errors.New("the disk says no")
	for name, change := range map[string]func(*comparison.Comparison){
		"the list of the first": func(c *comparison.Comparison) {
			c.From.List = func(context.Context, ledger.KeyRange, func(ledger.Row) error) error { return broken }
		},
		"the list of the other": func(c *comparison.Comparison) {
			c.To.List = func(context.Context, ledger.KeyRange, func(ledger.Row) error) error { return broken }
		},
		"a look elsewhere": func(c *comparison.Comparison) {
			c.From.CurrentOf = func(context.Context, []ledger.Row, func(ledger.Row) error) error { return broken }
		},
		"documents": func(c *comparison.Comparison) {
			c.Lines = func(context.Context, []ledger.Place, func(ledger.Line) error) error { return broken }
		},
	} {
		c := compared(from, to)
		change(&c)
		_, _, err := c.Page(t.Context(), "", comparison.Filter{}, roomy)
		require.ErrorIs(t, err, broken, name)
	}
	c := compared(from, to)
	c.Lines = func(ctx context.Context, places []ledger.Place, yield func(ledger.Line) error) error {
		slices.Reverse(places)
		return b.Lines(ctx, places, yield)
	}
	_, _, err := c.Page(t.Context(), "", comparison.Filter{}, roomy)
	require.ErrorContains(t, err, "another document")
}
