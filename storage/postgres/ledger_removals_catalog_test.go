package postgres_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

func (l library) remove(t testing.TB, tenant string, batch ...ledger.Removal) {
	t.Helper()
	counts, err := l.book.Remove(t.Context(), tenant, batch)
	require.NoError(t, err)
	require.EqualValues(t, len(batch), counts.Removed)
}

func idsOf(documents []ledger.Document) (ids []string) {
	for _, d := range documents {
		text := fmt.Sprintf("%d %s", d.Seq, d.UpstreamID)
		if d.Removal != nil {
			text += " gone"
		}
		ids = append(ids, text)
	}
	return ids
}

// Lists tell what was removed, when they are asked; counts and selections do
// without it.
func TestRemovedDocumentsAreTold(t *testing.T) {
	l := newLibrary(t)
	l.shelf(t, "acme", 6, 0)
	one, two := document("s", "doc-001", someTime, "first"), document("s", "doc-003", someTime, "first")
	l.remove(t, "acme", gone(one, 1), gone(two, 1))
	l.record(t, "acme", document("s", "doc-003", march(9), "back"))
	small := l
	small.catalog = postgres.NewCatalog(l.DB).Bound(1, 1, 1)
	for _, l := range []library{l, small} {
		list := func(seq int64, f ledger.DocumentFilter) []string {
			f.Limit = 2
			return idsOf(l.pages(t, "acme", "", seq, f))
		}
		require.Equal(t, []string{"1 doc-000", "3 doc-002", "5 doc-004", "6 doc-005", "9 doc-003"}, list(9, ledger.DocumentFilter{}))
		require.Equal(t, []string{"7 doc-001 gone"}, list(9, ledger.DocumentFilter{Removed: ledger.OnlyRemoved}))
		require.Equal(t, []string{"7 doc-001 gone", "8 doc-003 gone"}, list(8, ledger.DocumentFilter{Removed: ledger.OnlyRemoved}))
		require.Empty(t, list(6, ledger.DocumentFilter{Removed: ledger.OnlyRemoved}))
		require.Equal(t, []string{"1 doc-000", "3 doc-002", "5 doc-004", "6 doc-005", "7 doc-001 gone", "8 doc-003 gone"},
			list(8, ledger.DocumentFilter{Removed: ledger.WithRemoved}))
		for name, f := range map[string]ledger.DocumentFilter{
			"id": {UpstreamID: "doc-001"}, "purl": {PurlPrefix: "pkg:npm/doc-001"}, "both": {Ecosystem: "npm", UpstreamID: "doc-001"},
		} {
			require.Empty(t, list(9, f), name)
			f.Removed = ledger.WithRemoved
			require.Equal(t, []string{"7 doc-001 gone"}, list(9, f), name)
			f.Removed = ledger.OnlyRemoved
			require.Equal(t, []string{"7 doc-001 gone"}, list(9, f), name)
			require.Empty(t, list(6, f), name)
		}
		require.Empty(t, list(9, ledger.DocumentFilter{Ecosystem: "PyPI", Removed: ledger.OnlyRemoved}))
		require.Empty(t, l.pages(t, "acme", "elsewhere", 9, ledger.DocumentFilter{Limit: 1, Removed: ledger.OnlyRemoved}))
		require.Empty(t, l.pages(t, "globex", "", 9, ledger.DocumentFilter{Limit: 1, Removed: ledger.OnlyRemoved}))
	}
	told := l.pages(t, "acme", "", 9, ledger.DocumentFilter{Limit: 1, Removed: ledger.OnlyRemoved})[0]
	require.Equal(t, one.Digest, told.Digest)
	want := gone(one, 1)
	want.Project = ledger.NoProject
	require.Equal(t, &want, told.Removal)

	for _, seq := range []int64{9, 6, 7, 8, 9} {
		stats, err := l.catalog.Stats(t.Context(), "acme", "", seq, 5)
		require.NoError(t, err)
		steps, err := small.catalog.Stats(t.Context(), "acme", "", seq, 5)
		require.NoError(t, err)
		require.Equal(t, stats, steps)
		rows := current(t, l.book, "acme", seq, export.Selectors{})
		require.EqualValues(t, len(rows), stats.Total.Documents)
		require.Equal(t, map[int64]int64{6: 0, 7: 1, 8: 2, 9: 1}[seq], stats.Removed, "as of %d", seq)
	}
	for _, sel := range []export.Selectors{
		{Products: []string{"pkg:npm/doc-001"}}, {Include: []string{"CVE-doc-001"}}, {Include: []string{"doc-001"}}, {Kinds: []string{"advisory"}, Include: []string{"doc-001*"}},
	} {
		require.Len(t, current(t, l.book, "acme", 6, sel), 1, "%+v", sel)
		require.Empty(t, current(t, l.book, "acme", 9, sel), "%+v", sel)
	}
	left, err := l.catalog.Excluded(t.Context(), "acme", "", 9, export.Selectors{Kinds: []string{"vex"}})
	require.NoError(t, err)
	require.EqualValues(t, 3, left[0].Documents)
}

func TestRemovalOfBytes(t *testing.T) {
	l := newLibrary(t)
	a, b := document("s", "A", march(1), "x"), document("s", "B", march(1), "x")
	twin := a // the same bytes in another stream
	twin.Stream = "t"
	l.record(t, "acme", a, b, twin)
	removalOf := func(tenant string, o ledger.Observation) (*ledger.Removal, int64) {
		r, seq, err := l.catalog.RemovalOf(t.Context(), tenant, o.Digest)
		require.NoError(t, err)
		return r, seq
	}
	stands := func(o ledger.Observation) {
		t.Helper()
		r, _ := removalOf("acme", o)
		require.Nil(t, r)
	}
	stands(a)
	l.remove(t, "acme", gone(a, 2))
	stands(a)
	stands(b)
	l.remove(t, "acme", gone(twin, 3))
	r, seq := removalOf("acme", a)
	require.EqualValues(t, 5, seq)
	require.Equal(t, gone(twin, 3).Time, r.Time)
	require.Equal(t, "t", r.Stream)
	r, _ = removalOf("globex", a)
	require.Nil(t, r, "another tenant's")
	l.record(t, "acme", document("s", "A", march(9), "back"))
	stands(a) // overtaken, but the document is not gone
	r, _, err := l.catalog.RemovalOf(t.Context(), "acme", bundle.DigestOf([]byte("nothing")))
	require.NoError(t, err)
	require.Nil(t, r)
}
