package postgres_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// BenchmarkImport imports the real corpus, each importer under its own stream
// names; docs/s is over all importers.
func BenchmarkImport(b *testing.B) {
	for _, importers := range []int{1, 4} {
		b.Run(fmt.Sprintf("importers=%d", importers), func(b *testing.B) {
			all := readCorpus(b)
			store := postgres.NewLedger(pgtest.New(b).DB)
			b.ResetTimer()
			for n := range b.N {
				var group errgroup.Group
				for i := range importers {
					mine := make([]ledger.Observation, len(all))
					copy(mine, all)
					for d := range mine {
						mine[d].Stream = fmt.Sprintf("%s-%d-%d", mine[d].Stream, i, n)
					}
					group.Go(func() error { importAll(b, store, "acme", mine); return nil })
				}
				require.NoError(b, group.Wait())
			}
			b.ReportMetric(float64(b.N*importers*len(all))/b.Elapsed().Seconds(), "docs/s")
		})
	}
}

// BenchmarkCurrent lists all current documents of a ledger of eleven corpora.
func BenchmarkCurrent(b *testing.B) {
	all := readCorpus(b)
	store := postgres.NewLedger(pgtest.New(b).DB)
	for i := range 11 {
		for d := range all {
			all[d].Stream = fmt.Sprintf("s%d", i)
		}
		importAll(b, store, "acme", all)
	}
	head, err := store.Head(b.Context(), "acme")
	require.NoError(b, err)
	b.ResetTimer()
	for range b.N {
		require.Len(b, current(b, store, "acme", head, export.Selectors{}), int(head))
	}
	b.ReportMetric(float64(head)*float64(b.N)/b.Elapsed().Seconds(), "docs/s")
}
