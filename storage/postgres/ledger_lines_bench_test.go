package postgres_test

import (
	"testing"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
	"github.com/stretchr/testify/require"
)

// BenchmarkLines reads the documents of the real corpus in export order.
func BenchmarkLines(b *testing.B) {
	all := readCorpus(b)
	store := postgres.NewLedger(pgtest.New(b).DB)
	importAll(b, store, "acme", all)
	var places []ledger.Place
	for _, r := range current(b, store, "acme", int64(len(all)), export.Selectors{}) {
		places = append(places, r.Place)
	}
	b.ResetTimer()
	for range b.N {
		require.NoError(b, store.Lines(b.Context(), "acme", places, func(ledger.Line) error { return nil }))
	}
	b.ReportMetric(float64(len(places))*float64(b.N)/b.Elapsed().Seconds(), "docs/s")
}
