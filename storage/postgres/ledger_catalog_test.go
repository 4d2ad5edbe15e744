package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// library is a ledger with a catalog.
type library struct {
	*pgtest.Database
	book    *postgres.Ledger
	catalog *postgres.Catalog
}

func newLibrary(t testing.TB) library {
	t.Helper()
	db := pgtest.New(t)
	return library{db, postgres.NewLedger(db.DB), postgres.NewCatalog(db.DB)}
}

func (l library) record(t testing.TB, tenant string, batch ...ledger.Observation) {
	t.Helper()
	_, err := l.book.Import(t.Context(), tenant, batch)
	require.NoError(t, err)
}

// admin runs a statement as the superuser, whom no wall stops.
func (l library) admin(t testing.TB, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), l.Admin)
	require.NoError(t, err)
	defer conn.Close(t.Context()) //nolint:errcheck // test
	_, err = conn.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
}

// moments writes when each import ended, in place of whatever was noted.
func (l library) moments(t testing.TB, tenant string, at map[int64]time.Time) {
	t.Helper()
	l.admin(t, "delete from ledger_moments where tenant = $1", tenant)
	for seq, when := range at {
		l.admin(t, "insert into ledger_moments (tenant, seq, at) values ($1, $2, $3)", tenant, seq, when)
	}
}

// shelf records n documents, every third of another ecosystem and source, and
// then newer revisions of the first few.
func (l library) shelf(t testing.TB, tenant string, n, newer int) {
	t.Helper()
	var batch []ledger.Observation
	for i := range n {
		o := document("s", fmt.Sprintf("doc-%03d", i), someTime, "first")
		if i%3 == 2 {
			o.Kind, o.Source, o.Subject = ledger.KindVEX, "vendor", fmt.Sprintf("pkg:pypi/doc-%03d", i)
			o.Products, o.Ecosystems = []string{"pkg:maven/b", o.Subject}, []string{"Maven", "PyPI"}
		}
		batch = append(batch, o)
	}
	l.record(t, tenant, batch...)
	batch = batch[:0]
	for i := range newer {
		batch = append(batch, document("s", fmt.Sprintf("doc-%03d", 3*i), "2026-05-05T00:00:00.000000000Z", "second"))
	}
	if newer > 0 {
		l.record(t, tenant, batch...)
	}
}

// pages lists everything, page by page, and checks that each page is in order.
func (l library) pages(t testing.TB, tenant, project string, seq int64, f ledger.DocumentFilter) (found []ledger.Document) {
	t.Helper()
	for {
		page, next, err := l.catalog.Documents(t.Context(), tenant, project, seq, f)
		require.NoError(t, err)
		require.LessOrEqual(t, len(page), f.Limit)
		for _, d := range page {
			require.Greater(t, d.Seq, f.After)
			require.LessOrEqual(t, d.Seq, seq)
			f.After = d.Seq
		}
		found = append(found, page...)
		if next == 0 {
			return found
		}
		require.GreaterOrEqual(t, next, f.After)
		f.After = next
	}
}

func TestDocumentsAsOfASequence(t *testing.T) {
	l := newLibrary(t)
	l.shelf(t, "acme", 30, 4)
	l.shelf(t, "globex", 3, 0)
	all := l.pages(t, "acme", "", 34, ledger.DocumentFilter{Limit: 7})
	require.Len(t, all, 30)
	require.Equal(t, int64(34), all[29].Seq, "in the order of recording")
	first := document("s", "doc-000", someTime, "first")
	before := l.pages(t, "acme", "", 30, ledger.DocumentFilter{Limit: 200})
	require.Len(t, before, 30)
	require.Equal(t, ledger.Document{Seq: 1, Kind: "advisory", Format: "osv", UpstreamID: "doc-000", Source: "osv", Stream: "s",
		Subject: "pkg:npm/doc-000", Modified: someTime, Digest: first.Digest, Bytes: int64(len(first.Raw))}, before[0])
	require.Empty(t, l.pages(t, "acme", "", 0, ledger.DocumentFilter{Limit: 1}))
	require.Empty(t, l.pages(t, "acme", "elsewhere", 34, ledger.DocumentFilter{Limit: 1}), "another project")
	require.Empty(t, l.pages(t, "nobody", "", 34, ledger.DocumentFilter{Limit: 1}), "another tenant")

	for name, c := range map[string]struct {
		filter ledger.DocumentFilter
		want   int
	}{
		"kind":              {ledger.DocumentFilter{Kind: ledger.KindVEX}, 10},
		"source":            {ledger.DocumentFilter{Source: "osv"}, 20},
		"stream":            {ledger.DocumentFilter{Stream: "t"}, 0},
		"ecosystem":         {ledger.DocumentFilter{Ecosystem: "PyPI"}, 10},
		"ecosystem, kind":   {ledger.DocumentFilter{Ecosystem: "PyPI", Kind: ledger.KindAdvisory}, 0},
		"purl":              {ledger.DocumentFilter{PurlPrefix: "pkg:pypi/doc-00"}, 3},
		"purl, not subject": {ledger.DocumentFilter{PurlPrefix: "pkg:maven/"}, 10},
		"purl, pattern":     {ledger.DocumentFilter{PurlPrefix: "pkg:%"}, 0},
		"id":                {ledger.DocumentFilter{UpstreamID: "doc-003"}, 1},
		"id, kind":          {ledger.DocumentFilter{UpstreamID: "doc-003", Kind: ledger.KindVEX}, 0},
	} {
		c.filter.Limit = 4
		found := l.pages(t, "acme", "", 34, c.filter)
		require.Len(t, found, c.want, name)
		large := l
		large.catalog = postgres.NewCatalog(l.DB).Bound(7, 2, 11) // too many candidates, small windows
		require.Equal(t, found, large.pages(t, "acme", "", 34, c.filter), name)
	}
	renewed := l.pages(t, "acme", "", 34, ledger.DocumentFilter{UpstreamID: "doc-003", Limit: 1})
	require.Equal(t, int64(32), renewed[0].Seq)
}

func TestStatsAddUp(t *testing.T) {
	l := newLibrary(t)
	l.shelf(t, "acme", 30, 4)
	l.shelf(t, "globex", 3, 0)
	l.moments(t, "acme", map[int64]time.Time{30: at(10), 34: at(20)})
	size := func(seq int64) (total int64) {
		for _, d := range l.pages(t, "acme", "", seq, ledger.DocumentFilter{Limit: 200}) {
			total += d.Bytes
		}
		return total
	}
	// 34 again and again: what was counted before must not be counted twice.
	for _, seq := range []int64{5, 30, 32, 34, 34, 12, 34} {
		stats, err := l.catalog.Stats(t.Context(), "acme", "", seq, 10)
		require.NoError(t, err)
		documents := min(seq, 30)
		require.Equal(t, ledger.Count{Documents: documents, Revisions: seq, Bytes: size(seq)}, stats.Total, "as of %d", seq)
		fresh, err := postgres.NewCatalog(l.DB).Stats(t.Context(), "acme", "", seq, 10)
		require.NoError(t, err)
		require.Equal(t, fresh, stats, "as of %d", seq)
		steps, err := postgres.NewCatalog(l.DB).Bound(1, 1, 3).Stats(t.Context(), "acme", "", seq, 10)
		require.NoError(t, err)
		require.Equal(t, fresh, steps, "as of %d, in small steps", seq)
		require.Equal(t, at(10), stats.First)
		last := at(10)
		if seq > 30 {
			last = at(20)
		}
		require.Equal(t, last, stats.Last)
	}
	stats, err := l.catalog.Stats(t.Context(), "acme", "", 34, 10)
	require.NoError(t, err)
	names := func(counts []ledger.NamedCount) (all []string) {
		for _, c := range counts {
			all = append(all, fmt.Sprintf("%s %d/%d", c.Name, c.Documents, c.Revisions))
		}
		return all
	}
	require.Equal(t, []string{"advisory 20/24", "vex 10/10"}, names(stats.Kinds))
	require.Equal(t, []string{"osv 20/24", "vendor 10/10"}, names(stats.Sources))
	require.Equal(t, []string{"npm 20/24", "Maven 10/10", "PyPI 10/10"}, names(stats.Ecosystems))
	stats, err = l.catalog.Stats(t.Context(), "nobody", "", 34, 10)
	require.NoError(t, err)
	require.Zero(t, stats.Total)
}

// A reader who gives up keeps nobody else waiting and spoils no count.
func TestStatsBearImpatience(t *testing.T) {
	l := newLibrary(t)
	l.shelf(t, "acme", 30, 4)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.catalog.Stats(gone, "acme", "", 34, 10)
	require.Error(t, err)
	stats, err := l.catalog.Stats(t.Context(), "acme", "", 34, 10)
	require.NoError(t, err)
	require.Equal(t, int64(34), stats.Total.Revisions)
}

func TestSeqAtATime(t *testing.T) {
	l := newLibrary(t)
	l.shelf(t, "acme", 9, 0)
	l.moments(t, "acme", map[int64]time.Time{3: at(10), 6: at(20), 9: at(20)})
	for want, when := range map[int64]time.Time{0: at(9), 3: at(10), 9: at(20)} {
		seq, err := l.catalog.SeqAt(t.Context(), "acme", when)
		require.NoError(t, err)
		require.Equal(t, want, seq, when)
	}
	seq, err := l.catalog.SeqAt(t.Context(), "acme", at(19))
	require.NoError(t, err)
	require.Equal(t, int64(3), seq)
	seq, err = l.catalog.SeqAt(t.Context(), "globex", at(30))
	require.NoError(t, err)
	require.Zero(t, seq, "another tenant's times are not told")
}

// A hundred thousand documents: what lists and counts cost. Run by name.
func BenchmarkCatalog(b *testing.B) {
	l := newLibrary(b)
	l.moments(b, "acme", nil)
	for from := 0; from < 100_000; from += ledger.BatchDocuments {
		var batch []ledger.Observation
		for n := from; n < from+ledger.BatchDocuments; n++ {
			o := document("s", fmt.Sprintf("doc-%06d", n), someTime, "some text, as long as it may be")
			if n%10 == 0 {
				o.Kind, o.Ecosystems = ledger.KindVEX, []string{"PyPI"}
			}
			batch = append(batch, o)
		}
		l.record(b, "acme", batch...)
	}
	list := func(f ledger.DocumentFilter) func(*testing.B) {
		return func(b *testing.B) {
			for b.Loop() {
				if _, _, err := l.catalog.Documents(b.Context(), "acme", "", 100_000, f); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.Run("first page", list(ledger.DocumentFilter{Limit: 50}))
	b.Run("late page", list(ledger.DocumentFilter{Limit: 50, After: 90_000}))
	b.Run("by id", list(ledger.DocumentFilter{Limit: 50, UpstreamID: "doc-077777"}))
	b.Run("by purl, few", list(ledger.DocumentFilter{Limit: 50, PurlPrefix: "pkg:npm/doc-0777"}))
	b.Run("by purl, all", list(ledger.DocumentFilter{Limit: 50, PurlPrefix: "pkg:npm/"}))
	b.Run("a window without a match", list(ledger.DocumentFilter{Limit: 50, Source: "nobody"}))
	b.Run("stats, first", func(b *testing.B) {
		for b.Loop() {
			if _, err := postgres.NewCatalog(l.DB).Stats(b.Context(), "acme", "", 100_000, 20); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("stats, again", func(b *testing.B) {
		for b.Loop() {
			if _, err := l.catalog.Stats(b.Context(), "acme", "", 100_000, 20); err != nil {
				b.Fatal(err)
			}
		}
	})
}
