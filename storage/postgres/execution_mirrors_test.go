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

// The newest mirror of a base is that of its project, profile and selection with the
// greatest generation, behind however many runs that are none, or none of its own.
func TestNewestMirror(t *testing.T) {
	w := newWorld(t)
	policy := keepPolicy(t, w, "blocking", 1).ID
	made := 0
	mirror := func(change func(*export.Run), end func(export.Run) storage.Outcome) export.Run {
		t.Helper()
		made++
		run := request("acme", made)
		run.Kind, run.Variant, run.Options.PolicySnapshotID = "mirror", "full", policy
		if change != nil {
			change(&run)
		}
		stored, _, err := w.runs.CreateRun(t.Context(), run, storage.Idempotency{})
		require.NoError(t, err)
		w.start(t, stored.Ref())
		if run.RebuildOf != "" {
			_, err := w.exec.SaveRebuilt(t.Context(), w.begin(t, stored.Ref(), export.PhaseDistribute, 1), export.Rebuilt{Verdict: export.RebuildIdentical}, at(110))
			require.NoError(t, err)
			return w.finish(t, stored.Ref(), end(stored))
		}
		return w.finish(t, w.deliver(t, stored.Ref()).Ref(), end(stored))
	}
	_, err := w.runs.NewestMirror(t.Context(), request("acme", 1))
	require.ErrorIs(t, err, storage.ErrNotFound)

	first := mirror(nil, succeeded)
	second := mirror(func(r *export.Run) { r.ProfileRevision, r.RequestedAt = 2, at(0) }, succeeded)
	require.EqualValues(t, 2, second.Generation)
	rebuilt := mirror(func(r *export.Run) { r.RebuildOf = first.ID }, succeeded)
	mirror(nil, failed)
	mirror(func(r *export.Run) { r.Project = "" }, succeeded)
	mirror(func(r *export.Run) { r.Project = "other" }, succeeded)
	mirror(func(r *export.Run) { r.Selectors.Kinds = []string{"vex"} }, succeeded)
	narrow := mirror(func(r *export.Run) { r.Selectors = export.Selectors{} }, succeeded)
	for _, base := range []export.Run{first, second, rebuilt} {
		newest, err := w.runs.NewestMirror(t.Context(), base)
		require.NoError(t, err)
		require.Equal(t, second, newest)
	}
	newest, err := w.runs.NewestMirror(t.Context(), narrow)
	require.NoError(t, err)
	require.Equal(t, narrow, newest, "a mirror is the newest of its own")
	_, err = w.runs.NewestMirror(t.Context(), request("globex", 1))
	require.ErrorIs(t, err, storage.ErrNotFound, "of another tenant there is none")
}
