package activities_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

var _ activities.Policies = activities.Snapshots{}

// lying gives other bytes than its snapshots say.
type lying struct{ storage.PolicySnapshots }

func (l lying) ReadPack(ctx context.Context, tenant, id string) (export.PolicySnapshot, []byte, error) {
	s, _, err := l.PolicySnapshots.ReadPack(ctx, tenant, id)
	return s, []byte("other"), err
}

func TestRunsDecideByTheSnapshotTheyName(t *testing.T) {
	store := frontendtest.NewPolicies()
	s, pack := storagetest.NewSnapshot("acme", "blocking", "2026-11", 1)
	_, _, err := store.ImportSnapshot(t.Context(), s, pack, storage.Idempotency{})
	require.NoError(t, err)
	builtin := []byte("built in")
	policies := activities.Snapshots{Store: storage.WithBaseline(store, storage.NewBaseline("baseline", "1", builtin))}
	run := func(tenant, id string) export.Run {
		return export.Run{Tenant: tenant, Options: export.Options{PolicySnapshotID: id}}
	}

	got, err := policies.PolicyOf(t.Context(), run("acme", s.ID))
	require.NoError(t, err)
	require.Equal(t, pack, got.Pack)
	require.Equal(t, [4]string{s.ID, "blocking", "2026-11", s.Digest}, [4]string{got.ID, got.Name, got.Version, got.Digest.String()})
	_, err = store.ArchiveSnapshot(t.Context(), "acme", s.ID, "b", storagetest.ProfileAt(2))
	require.NoError(t, err)
	again, err := policies.PolicyOf(t.Context(), run("acme", s.ID))
	require.NoError(t, err)
	require.Equal(t, got, again, "an archived snapshot still decides what was asked for")

	for _, id := range []string{"", export.BaselineSnapshot} {
		got, err := policies.PolicyOf(t.Context(), run("acme", id))
		require.NoError(t, err)
		require.Equal(t, builtin, got.Pack)
		require.Equal(t, export.BaselineSnapshot, got.ID)
		require.Equal(t, bundle.DigestOf(builtin), got.Digest)
	}
	for _, absent := range []export.Run{run("globex", s.ID), run("acme", "blocking"), run("acme", storagetest.NewSnapshotID(7))} {
		_, err := policies.PolicyOf(t.Context(), absent)
		require.Equal(t, export.CodePolicySnapshot, export.CodeOf(err))
		require.Equal(t, export.ClassPermanent, export.ClassOf(err))
	}
	_, err = activities.Snapshots{Store: lying{store}}.PolicyOf(t.Context(), run("acme", s.ID))
	require.True(t, errors.Is(err, storage.ErrCorrupt), "no run decides by other rules than it names")
}
