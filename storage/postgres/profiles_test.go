package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

func TestProfiles(t *testing.T) {
	storagetest.Profiles(t, func(t *testing.T) storage.Profiles { return postgres.NewProfiles(newWorld(t).DB) })
}

// The rows defend themselves against a statement that forgets the rules.
func TestProfileRowsKeepTheirRules(t *testing.T) {
	w := newWorld(t)
	profiles := postgres.NewProfiles(w.DB)
	p, _, err := profiles.CreateProfile(t.Context(), storagetest.NewProfile("acme", "nightly", 1), storage.Idempotency{})
	require.NoError(t, err)
	app := connect(t, w.App)
	_, err = app.Exec(t.Context(), "select set_config('app.current_tenant', 'acme', false)")
	require.NoError(t, err)
	for _, refused := range []string{
		"update export_profiles set config = '{}'",
		"delete from export_profiles",
		"delete from export_profile_heads",
		"update export_profile_heads set name = 'other'",
		"update export_profile_heads set revision = 2, version = 2",
		"update export_profile_heads set version = 3",
		"update export_profile_heads set version = 2, archived_at = now()",
	} {
		_, err = app.Exec(t.Context(), refused)
		require.Error(t, err, refused)
	}
	_, err = profiles.ChangeProfile(t.Context(), "acme", p.ID, storage.ProfileChange{Archive: true, By: "b", At: at(2)})
	require.NoError(t, err)
	_, err = app.Exec(t.Context(), "update export_profile_heads set version = version + 1, archived_at = null, archived_by = null")
	require.Error(t, err, "an archived profile does not come back")
}

// What an older release recorded, without the row of what may change, gets it.
func TestProfilesOfAnOlderSchemaAreKept(t *testing.T) {
	w := newWorld(t)
	admin := connect(t, w.Admin)
	require.NoError(t, postgres.MigrateDown(t.Context(), w.Owner, 8))
	old := storagetest.NewProfile("acme", "nightly", 1)
	_, err := admin.Exec(t.Context(), `
		insert into export_profiles (tenant, project, id, revision, name, kind, variant, config, created_by, created_at)
		select 'acme', 'core', $1, n, 'nightly', 'json', 'raw', '{}', 'alice', $2 from generate_series(1, 2) n`, old.ID, old.CreatedAt)
	require.NoError(t, err)
	require.NoError(t, postgres.Migrate(t.Context(), w.Owner))
	got, err := postgres.NewProfiles(w.DB).GetProfile(t.Context(), "acme", "nightly")
	require.NoError(t, err)
	require.Equal(t, 2, got.Revision)
	require.Equal(t, int64(2), got.Version)
}
