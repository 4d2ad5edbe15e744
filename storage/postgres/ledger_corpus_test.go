package postgres_test

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/feed"
	"github.com/stella-ops/exportcenter/ledger/osv"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// corpusDir holds 8,993 real advisories, when it is there.
const corpusDir = "../../../shared/data/osv"

const corpusDocuments = 8993

func readCorpus(t testing.TB) []ledger.Observation {
	t.Helper()
	if _, err := os.Stat(corpusDir); err != nil {
		t.Skipf("real advisories are missing: %s", filepath.Clean(corpusDir))
	}
	var all []ledger.Observation
	reader := feed.Reader{
		Entry: func(e ledger.Entry) error {
			o, err := osv.Parse(e)
			require.NoError(t, err, "%s %s", e.File, e.Name)
			all = append(all, o)
			return nil
		},
		Reject: func(r ledger.Rejection) error {
			require.Fail(t, "rejected", "%+v", r)
			return nil
		},
	}
	start := time.Now()
	require.NoError(t, reader.Read(t.Context(), corpusDir))
	t.Logf("read and parsed %d documents in %v", len(all), time.Since(start).Round(time.Millisecond))
	require.Len(t, all, corpusDocuments)
	return all
}

// importAll imports in batches of the size the ledger is made for.
func importAll(t testing.TB, store ledger.Store, tenant string, all []ledger.Observation) ledger.Counts {
	t.Helper()
	var counts ledger.Counts
	for start := 0; start < len(all); {
		end, size := start, 0
		for end < len(all) && end-start < ledger.BatchDocuments && (size == 0 || size+len(all[end].Raw) <= ledger.BatchBytes) {
			size += len(all[end].Raw)
			end++
		}
		c, err := store.Import(t.Context(), tenant, all[start:end])
		require.NoError(t, err)
		counts.Add(c)
		start = end
	}
	return counts
}

func current(t testing.TB, store ledger.Store, tenant string, seq int64, sel export.Selectors) []ledger.Row {
	t.Helper()
	rows, err := listCurrent(t.Context(), store, tenant, seq, sel)
	require.NoError(t, err)
	return rows
}

func listCurrent(ctx context.Context, store ledger.Store, tenant string, seq int64, sel export.Selectors) ([]ledger.Row, error) {
	var rows []ledger.Row
	err := store.Current(ctx, tenant, "", seq, sel, ledger.KeyRange{}, func(r ledger.Row) error {
		rows = append(rows, r)
		return nil
	})
	return rows, err
}

func TestLedgerHoldsTheRealCorpus(t *testing.T) {
	all := readCorpus(t)
	store := postgres.NewLedger(pgtest.New(t).DB)

	start := time.Now()
	counts := importAll(t, store, "acme", all)
	t.Logf("imported %d documents in %v (%.0f/s)", len(all), time.Since(start).Round(time.Millisecond), float64(len(all))/time.Since(start).Seconds())
	require.Equal(t, ledger.Counts{Read: corpusDocuments, Accepted: corpusDocuments}, counts)

	start = time.Now()
	counts = importAll(t, store, "acme", all)
	t.Logf("imported them again in %v", time.Since(start).Round(time.Millisecond))
	require.Equal(t, ledger.Counts{Read: corpusDocuments, Unchanged: corpusDocuments}, counts)

	head, err := store.Head(t.Context(), "acme")
	require.NoError(t, err)
	require.EqualValues(t, corpusDocuments, head)

	start = time.Now()
	rows := current(t, store, "acme", head, export.Selectors{})
	t.Logf("listed %d current documents in %v (%.0f/s)", len(rows), time.Since(start).Round(time.Millisecond), float64(len(rows))/time.Since(start).Seconds())
	require.Len(t, rows, corpusDocuments)
	checkLines(t, store, rows, all)

	for _, o := range all {
		raw, err := store.Original(t.Context(), "acme", o.Digest)
		require.NoError(t, err)
		require.Equal(t, o.Raw, raw)
	}
}

// checkLines reads every document back through Lines and compares it with what
// was imported, and the order of rows with the order of keys.
func checkLines(t testing.TB, store ledger.Store, rows []ledger.Row, all []ledger.Observation) {
	t.Helper()
	want := map[string]ledger.Observation{}
	for _, o := range all {
		want[o.Digest.Hex()+o.Stream] = o
	}
	places := make([]ledger.Place, len(rows))
	for i, r := range rows {
		places[i] = r.Place
		if i > 0 {
			require.Less(t, rows[i-1].Key(), r.Key())
		}
	}
	start, n := time.Now(), 0
	require.NoError(t, store.Lines(t.Context(), "acme", places, func(l ledger.Line) error {
		o := want[l.Digest.Hex()+l.Stream]
		l.Seq = rows[n].Seq // only a listing has it
		require.Equal(t, rows[n], l.Row)
		require.Equal(t, string(o.Canonical), string(l.Canonical))
		require.Equal(t, o.Modified, l.Modified)
		require.EqualValues(t, len(o.Raw), l.RawBytes)
		require.Equal(t, strings.Join(o.Products, " "), strings.Join(l.Products, " "))
		require.Equal(t, strings.Join(o.Aliases, " "), strings.Join(l.Aliases, " "))
		require.Equal(t, strings.Join(o.Ecosystems, " "), strings.Join(l.Ecosystems, " "))
		n++
		return nil
	}))
	t.Logf("read and compared %d lines in %v", n, time.Since(start).Round(time.Millisecond))
	require.Equal(t, len(rows), n)
}

func TestLedgerSelectsFromTheRealCorpus(t *testing.T) {
	all := readCorpus(t)
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	store := postgres.NewLedger(pgtest.New(t).DB)
	importAll(t, store, "acme", all)
	in := func(ecosystem string) int {
		n := 0
		for _, o := range all {
			for _, e := range o.Ecosystems {
				if e == ecosystem {
					n++
				}
			}
		}
		return n
	}
	withProduct := func(match func(string) bool) int {
		n := 0
		for _, o := range all {
			if slices.ContainsFunc(o.Products, match) {
				n++
			}
		}
		return n
	}
	tests := []struct {
		name string
		sel  export.Selectors
		want int
	}{
		{"all", export.Selectors{}, corpusDocuments},
		{"advisories", export.Selectors{Kinds: []string{"advisory"}}, corpusDocuments},
		{"no SBOM", export.Selectors{Kinds: []string{"sbom"}}, 0},
		{"source", export.Selectors{Sources: []string{"osv"}}, corpusDocuments},
		{"other source", export.Selectors{Sources: []string{"OSV"}}, 0},
		{"one ecosystem", export.Selectors{Ecosystems: []string{"Maven"}}, in("Maven")},
		{"two ecosystems", export.Selectors{Ecosystems: []string{"npm", "crates.io"}}, in("npm") + in("crates.io")},
		{"all products", export.Selectors{Products: []string{"pkg:*"}}, withProduct(func(string) bool { return true })},
		{"a package", export.Selectors{Products: []string{"pkg:npm/lodash"}}, withProduct(func(p string) bool { return p == "pkg:npm/lodash" })},
		{"a glob", export.Selectors{Products: []string{"pkg:*/*spring*", "pkg:npm/l_*"}}, withProduct(func(p string) bool { return strings.Contains(p, "spring") })},
		{"products in an ecosystem", export.Selectors{Products: []string{"pkg:npm/*", "pkg:cargo/*"}, Ecosystems: []string{"crates.io"}}, in("crates.io")},
		{"text as SQL", export.Selectors{Ecosystems: []string{"' or true --"}}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Len(t, current(t, store, "acme", corpusDocuments, tt.sel), tt.want)
		})
	}
}
