package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

func profile(tenant, id string, revision int, name string) export.Profile {
	return export.Profile{Tenant: tenant, Project: "core", ID: id, Revision: revision, Name: name, Kind: "json", Variant: "raw",
		Config: map[string]any{"include": []any{"advisories"}}, CreatedBy: "alice", CreatedAt: at(1)}
}

func TestProfiles(t *testing.T) {
	profiles := postgres.NewProfiles(newWorld(t).DB)
	first, second := profile("acme", "p-1", 1, "nightly"), profile("acme", "p-1", 2, "nightly")
	require.NoError(t, profiles.CreateProfile(t.Context(), first))
	got, err := profiles.GetProfile(t.Context(), "acme", "p-1")
	require.NoError(t, err)
	require.Equal(t, first, got)
	require.NoError(t, profiles.CreateProfile(t.Context(), second))
	got, err = profiles.GetProfile(t.Context(), "acme", "p-1")
	require.NoError(t, err)
	require.Equal(t, second, got, "the latest revision")
	require.ErrorIs(t, profiles.CreateProfile(t.Context(), second), storage.ErrConflict)
	require.ErrorIs(t, profiles.CreateProfile(t.Context(), profile("acme", "p-2", 1, "nightly")), storage.ErrConflict, "the name is taken")
	require.NoError(t, profiles.CreateProfile(t.Context(), profile("globex", "p-1", 1, "nightly")), "by another tenant, it is not")

	for _, id := range []string{"json:raw", "prof-json-raw"} {
		got, err = profiles.GetProfile(t.Context(), "acme", id)
		require.NoError(t, err)
		require.Equal(t, "prof-json-raw", got.ID)
		require.Equal(t, "acme", got.Tenant)
	}
	for _, id := range []string{"p-3", "", "\x00", "json:RAW"} {
		_, err = profiles.GetProfile(t.Context(), "acme", id)
		require.ErrorIs(t, err, storage.ErrNotFound, "%q", id)
		require.Equal(t, export.CodeProfileNotFound, export.CodeOf(err))
	}
	_, err = profiles.GetProfile(t.Context(), "initech", "p-1")
	require.ErrorIs(t, err, storage.ErrNotFound, "a foreign one is absent")
}
