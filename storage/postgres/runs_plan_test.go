package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

// A plan is read back in parts, and says which of its shards another run packed.
func TestThePlanOfARun(t *testing.T) {
	w := newWorld(t)
	ref := w.started(t, "acme", 1).Ref()
	_, _, err := w.runs.Planned(t.Context(), ref, 0, 10)
	require.ErrorIs(t, err, storage.ErrNotFound, "there is none yet")
	claim := w.begin(t, ref, export.PhaseResolve, 1)
	plan := shards(5)
	require.NoError(t, w.exec.SavePlan(t.Context(), claim, digest("plan"), digest("selection"), plan, at(101)))
	done := packed(plan)
	for _, s := range done {
		require.NoError(t, w.exec.Pin(t.Context(), claim, s.Result.Digest, s.Result.Size))
	}
	require.NoError(t, w.exec.SaveShards(t.Context(), claim, digest("recipe"), done[:2], at(102)), "taken over")
	adapt := w.begin(t, ref, export.PhaseAdapt, 1)
	require.NoError(t, w.exec.SaveShards(t.Context(), adapt, digest("recipe"), done[2:4], at(103)), "packed")

	got, all, err := w.runs.Planned(t.Context(), ref, 0, 10)
	require.NoError(t, err)
	require.Equal(t, digest("plan"), got)
	require.Len(t, all, 5)
	for i, s := range all {
		require.Equal(t, i, s.Ordinal)
		require.Equal(t, plan[i].Hash, s.Hash)
		require.Equal(t, i < 2, s.Reused)
		require.Equal(t, i < 4, s.Result != nil)
	}
	_, part, err := w.runs.Planned(t.Context(), ref, 3, 1)
	require.NoError(t, err)
	require.Equal(t, all[3:4], part)
	_, none, err := w.runs.Planned(t.Context(), ref, 5, 1)
	require.NoError(t, err)
	require.Empty(t, none)
	_, _, err = w.runs.Planned(t.Context(), export.Ref{Tenant: "globex", RunID: ref.RunID}, 0, 10)
	require.ErrorIs(t, err, storage.ErrNotFound, "a foreign one is absent")

	before := func(tenant string, recipe bundle.Digest) []bool {
		known, err := w.runs.PackedBefore(t.Context(), tenant, recipe, []bundle.Digest{plan[4].Hash, plan[0].Hash, digest("nothing"), plan[3].Hash, plan[0].Hash})
		require.NoError(t, err)
		return known
	}
	require.Equal(t, []bool{false, true, false, true, true}, before("acme", digest("recipe")))
	require.Equal(t, make([]bool, 5), before("acme", digest("another")))
	require.Equal(t, make([]bool, 5), before("globex", digest("recipe")))
}

func TestRunsAreFiltered(t *testing.T) {
	w := newWorld(t)
	for n := 1; n <= 4; n++ {
		run := request("acme", n)
		run.Labels = map[string]string{"team": []string{"red", "blue"}[n%2], "it's": `"quoted"`}
		run.RequestedBy = []string{"alice", "bob'; --"}[n%2]
		run.Project = []string{"core", "web"}[n/3]
		_, _, err := w.runs.CreateRun(t.Context(), run, storage.Idempotency{})
		require.NoError(t, err)
	}
	list := func(f storage.RunFilter) (ids []string) {
		f.Limit = 1
		for range 9 { // page by page
			runs, next, err := w.runs.ListRuns(t.Context(), "acme", f)
			require.NoError(t, err)
			for _, run := range runs {
				ids = append(ids, run.ID)
			}
			if f.Cursor = next; next == "" {
				break
			}
		}
		return ids
	}
	require.Equal(t, []string{runID(4), runID(2)}, list(storage.RunFilter{Label: [2]string{"team", "red"}}))
	require.Equal(t, []string{runID(4), runID(3), runID(2), runID(1)}, list(storage.RunFilter{Label: [2]string{"it's", `"quoted"`}}))
	require.Empty(t, list(storage.RunFilter{Label: [2]string{"team", ""}}))
	require.Empty(t, list(storage.RunFilter{Label: [2]string{"team' or true --", "red"}}))
	require.Equal(t, []string{runID(3), runID(1)}, list(storage.RunFilter{RequestedBy: "bob'; --"}))
	require.Equal(t, []string{runID(4), runID(3)}, list(storage.RunFilter{Project: "web"}))
	require.Equal(t, []string{runID(3), runID(2)}, list(storage.RunFilter{From: at(2), To: at(4)}))
	require.Equal(t, []string{runID(4)}, list(storage.RunFilter{From: at(4)}))
	require.Equal(t, []string{runID(3)}, list(storage.RunFilter{From: at(2), To: at(4), Project: "web", RequestedBy: "bob'; --", Label: [2]string{"team", "blue"}, Profile: "prof-json-raw", State: export.StatePending}))
}

// A profile that is archived between the request and its record makes no run;
// what was promised under a key is found whatever became of the profile.
func TestArchivedProfilesMakeNoRuns(t *testing.T) {
	w := newWorld(t)
	profiles := postgres.NewProfiles(w.DB)
	p, _, err := profiles.CreateProfile(t.Context(), storagetest.NewProfile("acme", "nightly", 1), storage.Idempotency{})
	require.NoError(t, err)
	run := request("acme", 1)
	run.ProfileID, run.ProfileName = p.ID, p.Name
	idem := storage.Idempotency{Key: "k", RequestHash: digest("r")}
	first, created, err := w.runs.CreateRun(t.Context(), run, idem)
	require.NoError(t, err)
	require.True(t, created)
	_, err = profiles.ChangeProfile(t.Context(), "acme", p.ID, storage.ProfileChange{Archive: true, By: "b", At: at(2)})
	require.NoError(t, err)
	run.ID = runID(2)
	_, _, err = w.runs.CreateRun(t.Context(), run, storage.Idempotency{})
	require.Equal(t, export.CodeStateConflict, export.CodeOf(err))
	_, _, err = w.runs.CreateRun(t.Context(), run, storage.Idempotency{Key: "other", RequestHash: digest("r")})
	require.Equal(t, export.CodeStateConflict, export.CodeOf(err))
	again, created, err := w.runs.CreateRun(t.Context(), run, idem)
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, first, again)
	found, there, err := w.runs.FindRun(t.Context(), "acme", idem)
	require.NoError(t, err)
	require.True(t, there)
	require.Equal(t, first, found)
	for tenant, key := range map[string]storage.Idempotency{
		"globex": idem, "acme": {Key: "k", RequestHash: digest("another")},
	} {
		_, there, err = w.runs.FindRun(t.Context(), tenant, key)
		require.NoError(t, err)
		require.False(t, there)
	}
	_, there, err = w.runs.FindRun(t.Context(), "acme", storage.Idempotency{Key: "other", RequestHash: digest("r")})
	require.NoError(t, err)
	require.False(t, there, "a refused request leaves its key free")
}
