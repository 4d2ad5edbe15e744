package postgres_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

func TestCountsSayWhatBecameOfEachDocument(t *testing.T) {
	const t1, t2 = "2026-01-01T00:00:00.000000000Z", "2026-01-02T00:00:00.000000000Z"
	old, recent, none := document("s", "a", t1, "old"), document("s", "a", t2, "recent"), document("s", "a", "", "no time")
	other := document("other", "a", t1, "old")
	inProject := old
	inProject.Project = "p1"
	twin1, twin2 := document("s", "b", t1, "one"), document("s", "b", t1, "two")
	if ledger.Greater(twin1, twin2) {
		twin1, twin2 = twin2, twin1
	}
	tests := []struct {
		name    string
		batches [][]ledger.Observation
		want    []ledger.Counts
	}{
		{"again", [][]ledger.Observation{{old}, {old}},
			[]ledger.Counts{{Read: 1, Accepted: 1}, {Read: 1, Unchanged: 1}}},
		{"newer", [][]ledger.Observation{{old}, {recent}, {old}},
			[]ledger.Counts{{Read: 1, Accepted: 1}, {Read: 1, Accepted: 1}, {Read: 1, Unchanged: 1}}},
		{"older arrives later", [][]ledger.Observation{{recent}, {old}, {none}},
			[]ledger.Counts{{Read: 1, Accepted: 1}, {Read: 1, Superseded: 1}, {Read: 1, Superseded: 1}}},
		{"twice in a batch", [][]ledger.Observation{{old, old, old}},
			[]ledger.Counts{{Read: 3, Accepted: 1, Unchanged: 2}}},
		{"newer in a batch", [][]ledger.Observation{{old, recent, old}},
			[]ledger.Counts{{Read: 3, Accepted: 2, Unchanged: 1}}},
		{"older in a batch", [][]ledger.Observation{{recent, none, old}},
			[]ledger.Counts{{Read: 3, Accepted: 1, Superseded: 2}}},
		{"greater is known already", [][]ledger.Observation{{recent}, {recent, old, none}},
			[]ledger.Counts{{Read: 1, Accepted: 1}, {Read: 3, Unchanged: 1, Superseded: 2}}},
		{"same time, greater digest wins", [][]ledger.Observation{{twin2}, {twin1}},
			[]ledger.Counts{{Read: 1, Accepted: 1}, {Read: 1, Superseded: 1}}},
		{"another stream, another project", [][]ledger.Observation{{old}, {other, inProject}},
			[]ledger.Counts{{Read: 1, Accepted: 1}, {Read: 2, Accepted: 2}}},
		{"nothing", [][]ledger.Observation{{}}, []ledger.Counts{{}}},
	}
	db := pgtest.New(t)
	store := postgres.NewLedger(db.DB)
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tenant := "t" + string(rune('a'+i))
			for n, batch := range tt.batches {
				counts, err := store.Import(t.Context(), tenant, batch)
				require.NoError(t, err)
				require.Equal(t, tt.want[n], counts, "batch %d", n+1)
				require.Equal(t, counts.Read, counts.Accepted+counts.Unchanged+counts.Superseded+counts.Rejected)
			}
		})
	}
}

func TestCurrentIsOrderedAndOfOneProject(t *testing.T) {
	store := postgres.NewLedger(pgtest.New(t).DB)
	upper, lower, accent := document("s", "B", someTime, ""), document("s", "a", someTime, ""), document("s", "é", someTime, "")
	bare := document("s", "0", someTime, "")
	bare.Subject, bare.Products, bare.Ecosystems, bare.Aliases = "", nil, nil, nil
	elsewhere := document("s", "c", someTime, "")
	elsewhere.Project = "p1"
	_, err := store.Import(t.Context(), "acme", []ledger.Observation{accent, lower, upper, elsewhere, bare})
	require.NoError(t, err)
	var ids []string
	for _, r := range current(t, store, "acme", 5, export.Selectors{}) {
		ids = append(ids, r.UpstreamID)
	}
	require.Equal(t, []string{"0", "B", "a", "é"}, ids, "bytewise by subject, without the other project")

	ids = nil
	require.NoError(t, store.Current(t.Context(), "acme", "p1", 5, export.Selectors{}, ledger.KeyRange{}, func(r ledger.Row) error {
		ids = append(ids, r.UpstreamID)
		return nil
	}))
	require.Equal(t, []string{"c"}, ids)
	require.Len(t, current(t, store, "acme", 5, export.Selectors{Ecosystems: []string{"npm"}}), 3)
}

// Only the current revision is asked for its ecosystem.
func TestSelectionIsOfTheCurrentRevision(t *testing.T) {
	store := postgres.NewLedger(pgtest.New(t).DB)
	old := document("s", "a", "2026-01-01T00:00:00.000000000Z", "old")
	recent := document("s", "a", "2026-01-02T00:00:00.000000000Z", "recent")
	recent.Ecosystems = []string{"Go"}
	_, err := store.Import(t.Context(), "acme", []ledger.Observation{old, recent})
	require.NoError(t, err)
	require.Empty(t, current(t, store, "acme", 2, export.Selectors{Ecosystems: []string{"npm"}}))
	require.Len(t, current(t, store, "acme", 2, export.Selectors{Ecosystems: []string{"Go"}}), 1)
	require.Len(t, current(t, store, "acme", 1, export.Selectors{Ecosystems: []string{"npm"}}), 1, "as of 1 the old one is current")
	require.Empty(t, current(t, store, "acme", 0, export.Selectors{}))
}

func placesOf(t *testing.T, store ledger.Store, seqs ...int64) []ledger.Place {
	t.Helper()
	places, err := postgres.Places(t.Context(), store, "acme", seqs)
	require.NoError(t, err)
	return places
}

func TestLinesComeInTheOrderAsked(t *testing.T) {
	store := postgres.NewLedger(pgtest.New(t).DB)
	var batch []ledger.Observation
	for _, id := range []string{`a`, `b"\{},`, `c d`, `NULL`} {
		o := document("s", "x", someTime, id)
		o.UpstreamID, o.Products, o.Aliases = id, []string{id, id + "z"}, nil
		batch = append(batch, o)
	}
	// A document that is its own canonical form.
	own := batch[0]
	own.Raw = []byte(`{"id":"own"}`)
	own.UpstreamID, own.Canonical, own.Digest = "own", own.Raw, bundle.DigestOf(own.Raw)
	batch = append(batch, own)
	_, err := store.Import(t.Context(), "acme", batch)
	require.NoError(t, err)

	var seqs []int64
	for range 300 {
		seqs = append(seqs, 5, 3, 1, 2, 4)
	}
	n, places := 0, placesOf(t, store, seqs...)
	require.NoError(t, store.Lines(t.Context(), "acme", places, func(l ledger.Line) error {
		o := batch[seqs[n]-1]
		require.Equal(t, places[n], l.Place)
		require.Equal(t, o.UpstreamID, l.UpstreamID)
		require.Equal(t, o.Products, l.Products)
		require.Empty(t, l.Aliases)
		require.Equal(t, string(o.Canonical), string(l.Canonical))
		require.EqualValues(t, len(o.Raw), l.RawBytes)
		n++
		return nil
	}))
	require.Equal(t, len(seqs), n)

	for _, bad := range [][]int64{{6}, {1, 6}, {6, 1}, {0}, {-1}} {
		err := store.Lines(t.Context(), "acme", placesOf(t, store, bad...), func(ledger.Line) error { return nil })
		require.ErrorIs(t, err, storage.ErrNotFound, "%v", bad)
	}
	stop := errors.New("stop")
	n = 0
	err = store.Lines(t.Context(), "acme", places, func(ledger.Line) error { n++; return stop })
	require.ErrorIs(t, err, stop)
	require.Equal(t, 1, n)
	err = store.Current(t.Context(), "acme", "", 5, export.Selectors{}, ledger.KeyRange{}, func(ledger.Row) error { return stop })
	require.ErrorIs(t, err, stop)
}

func TestImportRefusesWhatReadersRelyOn(t *testing.T) {
	store := postgres.NewLedger(pgtest.New(t).DB)
	tests := []struct {
		name, want string
		edit       func(*ledger.Observation)
	}{
		{"digest", "digest", func(o *ledger.Observation) { o.Raw = []byte("{}") }},
		{"line feed", "line feed", func(o *ledger.Observation) { o.Canonical = []byte("{\n}") }},
		{"zero byte", "control character", func(o *ledger.Observation) { o.UpstreamID = "a\x00" }},
		{"kind", "kind", func(o *ledger.Observation) { o.Kind = "gossip" }},
		{"stream", "stream", func(o *ledger.Observation) { o.Stream = "../x" }},
		{"unsorted", "sorted", func(o *ledger.Observation) { o.Products = []string{"b", "a"} }},
		{"long", "at most", func(o *ledger.Observation) { o.Subject = strings.Repeat("x", 1025) }},
		{"modified", "modified", func(o *ledger.Observation) { o.Modified = "2026-01-02T03:04:05Z" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := document("s", "a", someTime, "x")
			tt.edit(&o)
			_, err := store.Import(t.Context(), "acme", []ledger.Observation{o})
			require.Equal(t, export.CodeValidation, export.CodeOf(err))
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestLargestTermsFitTheIndexes(t *testing.T) {
	store := postgres.NewLedger(pgtest.New(t).DB)
	// Not compressible: a b-tree entry may have 2,704 bytes.
	noise := func(n int, seed string) string {
		var b strings.Builder
		for d := bundle.DigestOf([]byte(seed)); b.Len() < n; d = bundle.DigestOf(d[:]) {
			b.WriteString(d.Hex())
		}
		return b.String()[:n]
	}
	o := document("s", "a", someTime, "x")
	o.UpstreamID, o.Source, o.Stream = noise(ledger.MaxUpstreamID, "id"), noise(ledger.MaxName, "source"), noise(ledger.MaxName, "stream")
	o.Subject = noise(ledger.MaxTerm, "subject")
	o.Products, o.Ecosystems, o.Aliases = []string{o.Subject}, []string{noise(ledger.MaxTerm, "e")}, []string{noise(ledger.MaxTerm, "a")}
	_, err := store.Import(t.Context(), "acme", []ledger.Observation{o})
	require.NoError(t, err)
}

func TestChangedBytesAreNeverServed(t *testing.T) {
	db := pgtest.New(t)
	store := postgres.NewLedger(db.DB)
	o := document("s", "a", someTime, "x")
	_, err := store.Import(t.Context(), "acme", []ledger.Observation{o})
	require.NoError(t, err)
	_, err = connect(t, db.Admin).Exec(t.Context(), "update ledger_blocks set data = set_byte(data, 9, 33)")
	require.NoError(t, err)
	_, err = store.Original(t.Context(), "acme", o.Digest)
	require.ErrorIs(t, err, storage.ErrCorrupt)
}
