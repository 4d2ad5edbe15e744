package postgres_test

import (
	"fmt"
	"slices"
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

// originalsOf reads the originals of rows, and holds that each is for its row.
func originalsOf(t *testing.T, store ledger.Store, tenant string, rows []ledger.Row) [][]byte {
	t.Helper()
	var places []ledger.Place
	for _, r := range rows {
		places = append(places, r.Place)
	}
	var all [][]byte
	require.NoError(t, store.Originals(t.Context(), tenant, places, func(p ledger.Place, original []byte) error {
		n := len(all)
		require.Equal(t, places[n], p)
		require.Equal(t, rows[n].Digest, bundle.DigestOf(original), "%s", rows[n].UpstreamID)
		all = append(all, slices.Clone(original))
		return nil
	}))
	require.Len(t, all, len(rows))
	return all
}

func TestOriginalsOfTheRealCorpus(t *testing.T) {
	all := readCorpus(t)
	store := postgres.NewLedger(pgtest.New(t).DB)
	importAll(t, store, "acme", all)
	rows := current(t, store, "acme", corpusDocuments, export.Selectors{})
	require.Len(t, rows, corpusDocuments)
	for part := range slices.Chunk(rows, 1500) {
		originalsOf(t, store, "acme", part)
	}
}

// Originals beside canonical forms in one block, large ones that have blocks of
// their own, any order, one document twice.
func TestOriginalsAreGivenAsTheyCame(t *testing.T) {
	rng := seeded(t)
	store := postgres.NewLedger(pgtest.New(t).DB)
	var batch []ledger.Observation
	want := map[bundle.Digest]string{}
	for i := range 400 {
		o := document("s", fmt.Sprintf("D-%03d", i), someTime, strings.Repeat("x", rng.IntN(3000)))
		o.Raw = o.Canonical
		switch {
		case i < 100: // blocks of originals only
			o.Raw = append([]byte("  "), o.Canonical...)
		case i < 250: // of both, mixed
			if i%3 == 0 {
				o.Raw = append([]byte("\n"), o.Canonical...)
			}
		case i == 300, i == 301:
			o = document("s", o.UpstreamID, someTime, strings.Repeat("y", 1<<20))
			if o.Raw = o.Canonical; i == 300 {
				o.Raw = append([]byte(" "), o.Canonical...)
			}
		}
		o.Digest = bundle.DigestOf(o.Raw)
		want[o.Digest] = string(o.Raw)
		batch = append(batch, o)
	}
	_, err := store.Import(t.Context(), "acme", batch)
	require.NoError(t, err)
	rows := current(t, store, "acme", 400, export.Selectors{})
	require.Len(t, rows, 400)
	rng.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	rows = append(rows, rows[7], rows[7], rows[300])
	for i, original := range originalsOf(t, store, "acme", rows) {
		require.Equal(t, want[rows[i].Digest], string(original))
	}
	for range 20 { // few of them
		originalsOf(t, store, "acme", rows[rng.IntN(len(rows)):][:1])
	}

	none := func(ledger.Place, []byte) error { t.Fatal("nothing is there"); return nil }
	for _, place := range []ledger.Place{{Block: 1 << 40}, {Block: rows[0].Place.Block, Slot: 1 << 20}} {
		require.ErrorIs(t, store.Originals(t.Context(), "acme", []ledger.Place{rows[1].Place, place}, none), storage.ErrNotFound)
	}
	require.ErrorIs(t, store.Originals(t.Context(), "globex", []ledger.Place{rows[0].Place}, none), storage.ErrNotFound, "another tenant's")
	require.NoError(t, store.Originals(t.Context(), "acme", nil, none))
}

// Of a block whose originals differ, the records are not read.
func TestOriginalsReadABlockOnce(t *testing.T) {
	db := pgtest.New(t)
	store := postgres.NewLedger(db.DB)
	o := document("s", "D", someTime, "x")
	o.Raw = append([]byte(" "), o.Canonical...)
	o.Digest = bundle.DigestOf(o.Raw)
	_, err := store.Import(t.Context(), "acme", []ledger.Observation{o})
	require.NoError(t, err)
	rows := current(t, store, "acme", 1, export.Selectors{})
	_, err = connect(t, db.Admin).Exec(t.Context(), "update ledger_blocks set data = '\\x00' where block % 2 = 0")
	require.NoError(t, err)
	originalsOf(t, store, "acme", rows)
	require.ErrorIs(t, store.Lines(t.Context(), "acme", []ledger.Place{rows[0].Place}, func(ledger.Line) error { return nil }), storage.ErrCorrupt)
	_, err = connect(t, db.Admin).Exec(t.Context(), "update ledger_blocks set data = '\\x00'")
	require.NoError(t, err)
	require.ErrorIs(t, store.Originals(t.Context(), "acme", []ledger.Place{rows[0].Place}, nil), storage.ErrCorrupt)
}
