package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

func TestPolicySnapshots(t *testing.T) {
	storagetest.PolicySnapshots(t, func(t *testing.T) storage.PolicySnapshots { return postgres.NewPolicySnapshots(newWorld(t).DB) })
}

func keepPolicy(t *testing.T, w world, name string, n int) export.PolicySnapshot {
	t.Helper()
	s, pack := storagetest.NewSnapshot("acme", name, "1", n)
	stored, _, err := postgres.NewPolicySnapshots(w.DB).ImportSnapshot(t.Context(), s, pack, storage.Idempotency{})
	require.NoError(t, err)
	return stored
}

// The rows defend themselves against a statement that forgets the rules.
func TestPolicyRowsKeepTheirRules(t *testing.T) {
	w := newWorld(t)
	s := keepPolicy(t, w, "blocking", 1)
	app := connect(t, w.App)
	_, err := app.Exec(t.Context(), "select set_config('app.current_tenant', 'acme', false)")
	require.NoError(t, err)
	for _, refused := range []string{
		"delete from policy_snapshots",
		"update policy_snapshots set pack = 'x'",
		"update policy_snapshots set sha256 = sha256('x')",
		"update policy_snapshots set name = 'other'",
		"update policy_snapshots set version = '2'",
		"update policy_snapshots set archived_at = now()",
	} {
		_, err = app.Exec(t.Context(), refused)
		require.Error(t, err, refused)
	}
	_, err = postgres.NewPolicySnapshots(w.DB).ArchiveSnapshot(t.Context(), "acme", s.ID, "b", at(2))
	require.NoError(t, err)
	_, err = app.Exec(t.Context(), "update policy_snapshots set archived_at = null, archived_by = null")
	require.Error(t, err, "an archived snapshot does not come back")
}

// A pack that is not what was imported is not given.
func TestARottenPackIsNotGiven(t *testing.T) {
	w := newWorld(t)
	s := keepPolicy(t, w, "blocking", 1)
	_, err := connect(t, w.Admin).Exec(t.Context(), "update policy_snapshots set pack = set_byte(pack, 3, 0)")
	require.NoError(t, err)
	_, pack, err := postgres.NewPolicySnapshots(w.DB).ReadPack(t.Context(), "acme", s.ID)
	require.ErrorIs(t, err, storage.ErrCorrupt)
	require.Nil(t, pack)
}

// A tenant has no more snapshots, and no more bytes of packs, than it may.
func TestPolicySnapshotsOfATenantAreBounded(t *testing.T) {
	for name, fill := range map[string]string{
		"snapshots": `insert into policy_snapshots (tenant, project, id, name, version, sha256, bytes, pack, created_by, created_at)
			select tenant, project, overlay(id placing lpad(n::text, 4, '0') from 33), 'n' || n || 'x', version, sha256, bytes, pack, created_by, created_at
			from policy_snapshots, generate_series(2, 1000) n`,
		"bytes": `alter table policy_snapshots drop constraint policy_snapshots_check; update policy_snapshots set bytes = 536870900`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			first := keepPolicy(t, w, "blocking", 1)
			admin := connect(t, w.Admin)
			_, err := admin.Exec(t.Context(), fill)
			require.NoError(t, err)
			s, pack := storagetest.NewSnapshot("acme", "another", "1", 2000)
			store := postgres.NewPolicySnapshots(w.DB)
			_, _, err = store.ImportSnapshot(t.Context(), s, pack, storage.Idempotency{})
			require.Equal(t, export.CodeQuota, export.CodeOf(err))
			var reached *storage.QuotaReached
			require.ErrorAs(t, err, &reached)
			s, pack = storagetest.NewSnapshot("acme", "blocking", "1", 2001)
			again, created, err := store.ImportSnapshot(t.Context(), s, pack, storage.Idempotency{})
			require.NoError(t, err, "what is there needs no room")
			require.False(t, created)
			require.Equal(t, first.ID, again.ID)
			s, pack = storagetest.NewSnapshot("globex", "another", "1", 2000)
			_, _, err = store.ImportSnapshot(t.Context(), s, pack, storage.Idempotency{})
			require.NoError(t, err, "others have their own room")
		})
	}
}

// A run that decides is recorded with a snapshot that is there and not archived.
func TestRunsNameASnapshotThatMakesRuns(t *testing.T) {
	w := newWorld(t)
	s := keepPolicy(t, w, "blocking", 1)
	ask := func(n int, id string, kind string) error {
		run := request("acme", n)
		run.Kind, run.Variant, run.Options.PolicySnapshotID = "json", kind, id
		_, _, err := postgres.NewRuns(w.DB).CreateRun(t.Context(), run, storage.Idempotency{})
		return err
	}
	require.NoError(t, ask(1, s.ID, "policy"))
	require.NoError(t, ask(2, export.BaselineSnapshot, "policy"))
	for n, id := range []string{"", storagetest.NewSnapshotID(7), "blocking", "\x00"} {
		err := ask(3, id, "policy")
		require.Equal(t, export.CodePolicySnapshot, export.CodeOf(err), id)
		require.ErrorContains(t, err, "there is no such policy snapshot")
		require.NoError(t, ask(4+n, "a word", "raw"), "other kinds record a word")
	}
	_, err := postgres.NewPolicySnapshots(w.DB).ArchiveSnapshot(t.Context(), "acme", s.ID, "b", at(2))
	require.NoError(t, err)
	err = ask(30, s.ID, "policy")
	require.Equal(t, export.CodePolicySnapshot, export.CodeOf(err))
	require.ErrorContains(t, err, "archived")
}
