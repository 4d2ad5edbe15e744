package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// A range has the rows of the whole listing that its bounds contain.
func TestARangeIsAPartOfTheListing(t *testing.T) {
	rng := seeded(t)
	store := postgres.NewLedger(pgtest.New(t).DB)
	importTogether(t, store, "acme", randomEvidence(rng, 200, 2).removing(rng, true))
	head, err := store.Head(t.Context(), "acme")
	require.NoError(t, err)
	for _, seq := range []int64{head, head / 2} {
		all := current(t, store, "acme", seq, export.Selectors{})
		require.NotEmpty(t, all)
		for range 50 {
			from, to := all[rng.IntN(len(all))], all[rng.IntN(len(all))]
			keys := ledger.KeyRange{Kind: string(from.Kind)}
			if rng.IntN(4) > 0 {
				keys.From = from.Key()
			}
			if rng.IntN(4) > 0 && to.Kind == from.Kind {
				keys.To = to.Key()
			}
			var want, got []ledger.Row
			for _, row := range all {
				if keys.Contains(row.Key()) {
					want = append(want, row)
				}
			}
			err := store.Current(t.Context(), "acme", "", seq, export.Selectors{}, keys, func(r ledger.Row) error {
				got = append(got, r)
				return nil
			})
			require.NoError(t, err)
			require.Equal(t, want, got, "%+v", keys)
		}
	}
}
