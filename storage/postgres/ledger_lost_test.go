package postgres_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// Another importer is first with some documents, between the question what is
// recorded and the lock.
func TestAnotherImporterIsFirst(t *testing.T) {
	db := pgtest.New(t)
	l := postgres.NewLedger(db.DB)
	doc := func(i int) ledger.Observation { return small("", fmt.Sprintf("d%03d", i), someTime, 1) }
	// head exists
	_, err := l.Import(t.Context(), "acme", []ledger.Observation{doc(900)})
	require.NoError(t, err)
	holder := connect(t, db.Admin)
	tx, err := holder.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "select from ledger_heads where tenant = 'acme' for update")
	require.NoError(t, err)
	var a, b []ledger.Observation
	for i := range 100 {
		a = append(a, doc(i))
		if i%3 != 0 {
			b = append(b, doc(i))
		}
		b = append(b, doc(i+200))
	}
	slices.Reverse(b)
	type res struct {
		c   ledger.Counts
		err error
	}
	ra, rb := make(chan res, 1), make(chan res, 1)
	waiting := func(n int) {
		require.Eventually(t, func() bool {
			var w int
			return connect(t, db.Admin).QueryRow(t.Context(), `select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`).Scan(&w) == nil && w == n
		}, 10*time.Second, 10*time.Millisecond)
	}
	go func() { c, err := l.Import(t.Context(), "acme", a); ra <- res{c, err} }()
	waiting(1)
	go func() { c, err := l.Import(t.Context(), "acme", b); rb <- res{c, err} }()
	waiting(2)
	require.NoError(t, tx.Commit(t.Context()))
	x, y := <-ra, <-rb
	require.NoError(t, x.err)
	require.NoError(t, y.err)
	t.Log(x.c, y.c)
	head, _ := l.Head(t.Context(), "acme")
	require.EqualValues(t, 201, head)
	require.EqualValues(t, 66, x.c.Unchanged+y.c.Unchanged)
	rows := current(t, l, "acme", head, export.Selectors{})
	require.Len(t, rows, 201)
	for _, r := range rows {
		found := current(t, l, "acme", head, export.Selectors{Products: []string{r.Subject + "-y"}})
		require.Len(t, found, 1, r.Subject)
		require.Equal(t, r, found[0])
	}
	require.Len(t, current(t, l, "acme", head, export.Selectors{Ecosystems: []string{"npm"}}), 201)
	var places []ledger.Place
	for _, r := range rows {
		places = append(places, r.Place)
	}
	i := 0
	require.NoError(t, l.Lines(t.Context(), "acme", places, func(line ledger.Line) error {
		require.Equal(t, rows[i].Digest, line.Digest)
		require.Equal(t, rows[i].Key(), line.Key())
		i++
		return nil
	}))
	for _, o := range append(a, b...) {
		raw, err := l.Original(t.Context(), "acme", o.Digest)
		require.NoError(t, err)
		require.Equal(t, o.Raw, raw)
	}
}

// 20,000 products of 1,024 bytes that cannot be compressed, tenant and all of
// greatest length.
func TestTheLargestPagesFit(t *testing.T) {
	db := pgtest.New(t)
	l := postgres.NewLedger(db.DB)
	tenant := "t23456789012345678901234567890123456789012345678901234567890123"
	o := small("", "big", someTime, 1)
	o.Products = nil
	for i := range 20_000 {
		var s string
		for d := sha256.Sum256(fmt.Append(nil, i)); len(s) < 1024; d = sha256.Sum256(d[:]) {
			s += hex.EncodeToString(d[:])
		}
		o.Products = append(o.Products, s[:1024])
	}
	slices.Sort(o.Products)
	start := time.Now()
	_, err := l.Import(t.Context(), tenant, []ledger.Observation{o})
	t.Log(time.Since(start))
	require.NoError(t, err)
	require.Len(t, current(t, l, tenant, 1, export.Selectors{Products: []string{o.Products[9999]}}), 1)
}

// small makes a document.
func small(project, id, modified string, n int) ledger.Observation {
	raw := fmt.Appendf(nil, `{"id":%q,"n":%d}`, id, n)
	p := "pkg:npm/" + id
	return ledger.Observation{Project: project, Kind: ledger.KindAdvisory, Format: "osv", Source: "s", Stream: "m", UpstreamID: id, Modified: modified,
		Raw: raw, Canonical: raw, Digest: bundle.DigestOf(raw), Subject: p, Products: []string{p, p + "-x", p + "-y"}, Ecosystems: []string{"npm"}}
}
