package postgres_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// The current revision of a document as of a moment is found by the document's name,
// whatever it is about, and is what a listing of everything gives.
func TestCurrentOf(t *testing.T) {
	db := pgtest.New(t)
	book, catalog := postgres.NewLedger(db.DB), postgres.NewCatalog(db.DB)
	const revisions, documents = 3, 40
	var heads []int64
	for r := range revisions {
		var batch []ledger.Observation
		for n := range documents {
			o := document("main", fmt.Sprintf("OSV-%d", n), fmt.Sprintf("2026-01-0%dT00:00:00.000000000Z", 1+(r+n)%revisions), fmt.Sprintf("revision %d", r))
			o.Project = []string{"", "web"}[n%2]
			o.Subject = fmt.Sprintf("pkg:npm/p%d", (r*7+n)%11)
			o.Products = []string{o.Subject}
			batch = append(batch, o)
		}
		_, err := book.Import(t.Context(), "acme", batch)
		require.NoError(t, err)
		head, err := book.Head(t.Context(), "acme")
		require.NoError(t, err)
		heads = append(heads, head)
	}
	removed, err := book.Remove(t.Context(), "acme", []ledger.Removal{{Identity: ledger.Identity{Kind: ledger.KindAdvisory, Source: "osv", Stream: "main", UpstreamID: "OSV-0"}}})
	require.NoError(t, err)
	require.Equal(t, int64(1), removed.Removed)
	heads = append(heads, heads[len(heads)-1]+1)
	for _, project := range []string{"", "web"} {
		for _, seq := range append(heads, 0, 1, heads[0]+7) {
			var want, wanted []ledger.Row
			require.NoError(t, book.Current(t.Context(), "acme", project, seq, export.Selectors{}, ledger.KeyRange{}, func(row ledger.Row) error {
				want = append(want, row)
				return nil
			}))
			for n := range documents + 1 { // one that never was, and each twice
				row := ledger.Row{Kind: ledger.KindAdvisory, Source: "osv", Stream: "main", UpstreamID: fmt.Sprintf("OSV-%d", n), Subject: "whatever"}
				wanted = append(wanted, row, row)
			}
			require.Equal(t, want, namedAsOf(t, catalog, "acme", project, seq, wanted), "project %q as of %d", project, seq)
			require.Empty(t, namedAsOf(t, catalog, "globex", project, seq, wanted))
			require.Empty(t, namedAsOf(t, catalog, "acme", project, seq, nil))
		}
	}
	one := namedAsOf(t, catalog, "acme", "web", heads[2], []ledger.Row{{Kind: ledger.KindAdvisory, Source: "osv", Stream: "main", UpstreamID: "OSV-1"}})
	require.Len(t, one, 1)
	require.Equal(t, "OSV-1", one[0].UpstreamID)
}

func namedAsOf(t *testing.T, c *postgres.Catalog, tenant, project string, seq int64, wanted []ledger.Row) (got []ledger.Row) {
	t.Helper()
	require.NoError(t, c.CurrentOf(t.Context(), tenant, project, seq, wanted, func(row ledger.Row) error {
		got = append(got, row)
		return nil
	}))
	return got
}

// Each document is looked up, however many there are.
func TestCurrentOfLooksEachUp(t *testing.T) {
	l := newLibrary(t)
	var batch []ledger.Observation
	for n := range 3000 {
		batch = append(batch, document("s", fmt.Sprint(n), someTime, strings.Repeat("x", 50)))
	}
	l.record(t, "acme", batch...)
	l.admin(t, "analyze ledger_observations")
	var wanted []ledger.Row
	for n := range 1000 {
		wanted = append(wanted, ledger.Row{Kind: ledger.KindAdvisory, Source: "osv", Stream: "s", UpstreamID: fmt.Sprint(n)})
	}
	sql, args := postgres.ListingOf("acme", 3000, wanted)
	plan := strings.Join(postgres.Explain(t, l.DB, "acme", sql, args...), "\n")
	require.Contains(t, plan, "ledger_observations_identity")
	require.NotContains(t, plan, "Seq Scan on ledger_observations", plan)
}
