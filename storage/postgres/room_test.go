package postgres_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/orchestrator"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

// A tenant has a thousand profiles, also when many are made at once, and archived ones
// count: nothing of them is ever removed.
func TestATenantHasSoManyProfiles(t *testing.T) {
	w := newWorld(t)
	profiles := postgres.NewProfiles(w.DB)
	make := func(tenant string, n int) error {
		_, _, err := profiles.CreateProfile(t.Context(), storagetest.NewProfile(tenant, fmt.Sprintf("profile-%d", n), n), storage.Idempotency{})
		return err
	}
	require.NoError(t, make("acme", 1))
	admin := connect(t, w.Admin)
	for _, sql := range []string{
		`insert into export_profiles (tenant, project, id, revision, name, kind, variant, config, created_by, created_at)
			select tenant, project, 'id' || n, 1, 'name' || n, kind, variant, config, created_by, created_at from export_profiles, generate_series(2, 997) n`,
		`insert into export_profile_heads (tenant, project, id, name, kind, variant, revision, version, updated_by, updated_at, archived_by, archived_at)
			select tenant, project, 'id' || n, 'name' || n, kind, variant, 1, 1, updated_by, updated_at, 'a', updated_at from export_profile_heads, generate_series(2, 997) n`,
	} {
		_, err := admin.Exec(t.Context(), sql)
		require.NoError(t, err)
	}
	errs := [16]error{}
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { errs[i] = make("acme", 1001+i) })
	}
	group.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
			continue
		}
		requireUsed(t, err, storage.MaxProfiles)
		require.ErrorContains(t, err, "1000 profiles")
	}
	require.Equal(t, 3, made)
	require.Equal(t, storage.MaxProfiles, value[int](t, w, "acme", "select count(*) from export_profile_heads"))
	require.NoError(t, make("globex", 2000))
}

func TestProfilesHaveSoManyRevisions(t *testing.T) {
	w := newWorld(t)
	profiles := postgres.NewProfiles(w.DB)
	first := storagetest.NewProfile("acme", "nightly", 1)
	for _, tenant := range []string{"globex", "initech"} {
		first.Config.Approvals = append(first.Config.Approvals, export.Approval{Tenant: tenant, Approver: "ops", ExpiresAt: at(9), Signature: "of " + tenant})
	}
	p, _, err := profiles.CreateProfile(t.Context(), first, storage.Idempotency{})
	require.NoError(t, err)
	_, err = connect(t, w.Admin).Exec(t.Context(), `insert into export_profiles (tenant, project, id, revision, name, kind, variant, config, created_by, created_at)
		select tenant, project, 'old', n, 'old', kind, variant, config, created_by, created_at from export_profiles, generate_series(1, $1) n`, storage.MaxRevisions-2)
	require.NoError(t, err)
	change := func(c storage.ProfileChange) error {
		c.By, c.At = "b", at(2)
		_, err := profiles.ChangeProfile(t.Context(), "acme", p.ID, c)
		return err
	}
	next, another, description := p.Config, p.Config, "more"
	next.Include, another.Include = []string{"vex"}, []string{"sboms"}
	require.NoError(t, change(storage.ProfileChange{Config: &next}), "the last one")
	before := w.fingerprint(t)
	requireUsed(t, change(storage.ProfileChange{Config: &another}), storage.MaxRevisions)
	require.Equal(t, before, w.fingerprint(t))
	require.NoError(t, change(storage.ProfileChange{Description: &description}), "it needs no revision")
	_, _, err = profiles.CreateProfile(t.Context(), storagetest.NewProfile("acme", "weekly", 2), storage.Idempotency{})
	requireUsed(t, err, storage.MaxRevisions)

	// What was approved can be withdrawn all the same, and nothing else with it.
	fewer, more, longer := next, another, next
	fewer.Approvals = next.Approvals[1:]
	more.Approvals = fewer.Approvals
	requireUsed(t, change(storage.ProfileChange{Config: &more}), storage.MaxRevisions)
	longer.Approvals = []export.Approval{next.Approvals[0]}
	longer.Approvals[0].ExpiresAt = at(10)
	requireUsed(t, change(storage.ProfileChange{Config: &longer}), storage.MaxRevisions)
	require.NoError(t, change(storage.ProfileChange{Config: &fewer}))
	requireUsed(t, change(storage.ProfileChange{Config: &next}), storage.MaxRevisions)
	fewer.Approvals = nil
	require.NoError(t, change(storage.ProfileChange{Config: &fewer}))
	now, err := profiles.GetProfile(t.Context(), "acme", p.ID)
	require.NoError(t, err)
	require.Empty(t, now.Config.Approvals)
	require.Equal(t, 4, now.Revision)
}

// Records of exports take so many bytes; one that is there already goes on.
func TestRecordsTakeSoManyBytes(t *testing.T) {
	w := newWorld(t)
	record := func(tenant string, n int, status orchestrator.Status) error {
		_, _, err := w.records().Record(t.Context(), tenant, "", aRecord(tenant, n, status), "robot", at(n))
		return err
	}
	require.NoError(t, record("acme", 1, "pending"))
	w.requireCounted(t, "acme")
	one := value[int64](t, w, "acme", "select record_bytes from export_usage where profile_id = ''")
	require.Equal(t, value[int64](t, w, "acme", "select sum(octet_length(record)) from orchestrator_exports"), one)
	_, err := connect(t, w.Admin).Exec(t.Context(), "update export_usage set record_bytes = $1", storage.MaxRecords-one)
	require.NoError(t, err)
	require.NoError(t, record("acme", 2, "pending"), "as much as there may be")
	before := w.toldOfRecords(t, "acme")
	requireUsed(t, record("acme", 3, "pending"), storage.MaxRecords)
	require.Equal(t, before, w.toldOfRecords(t, "acme"))
	require.Equal(t, 2, value[int](t, w, "acme", "select count(*) from orchestrator_exports"))
	require.NoError(t, record("acme", 1, "running"))
	require.NoError(t, record("acme", 2, "pending"), "the same again is nothing new")
	require.NoError(t, record("globex", 4, "pending"))
}
