package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// A mirror that read the head of the ledger, and was overtaken by one that read a later
// head, reads no earlier moment than that one: moments do not fall as generations rise.
func TestLaterGenerationsReadNoEarlierMoment(t *testing.T) {
	w := newWorld(t)
	head := func(seq int64) {
		err := w.WithTenant(t.Context(), "acme", func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), "insert into ledger_heads (tenant, seq) values ('acme', $1) on conflict (tenant) do update set seq = excluded.seq", seq)
			return err
		})
		require.NoError(t, err)
	}
	policy := keepPolicy(t, w, "blocking", 1).ID
	ref := func(n int) export.Ref {
		run := request("acme", n)
		run.Kind, run.Variant = "mirror", "full"
		run.Options.PolicySnapshotID = policy
		stored, _, err := w.runs.CreateRun(t.Context(), run, storage.Idempotency{})
		require.NoError(t, err)
		return stored.Ref()
	}
	start := func(ref export.Ref, seq int64) export.Run {
		run, err := w.exec.Start(t.Context(), w.begin(t, ref, export.PhasePlan, 1), seq, at(100))
		require.NoError(t, err)
		return run
	}
	slow, fast := ref(1), ref(2)
	head(200)
	first := start(fast, 200)
	second := start(slow, 100) // the head when it looked
	require.EqualValues(t, 1, first.Generation)
	require.EqualValues(t, 2, second.Generation)
	require.EqualValues(t, 200, first.AsOf)
	require.EqualValues(t, 200, second.AsOf)

	head(300)
	require.Equal(t, second, start(slow, 300), "it has its moment")
	plain := start(w.create(t, "acme", 3).Ref(), 250)
	require.EqualValues(t, 250, plain.AsOf, "others read as of what they ask for")
}
