package postgres_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// quota asks for a run of a profile with quotas.
func (w world) quota(t testing.TB, runs *postgres.Runs, tenant, profile string, n int, q export.ProfileQuotas) (export.Run, error) {
	t.Helper()
	run := request(tenant, n)
	run.ProfileID, run.ProfileName, run.Quotas = profile, profile, q
	stored, _, err := runs.CreateRun(t.Context(), run, storage.Idempotency{})
	return stored, err
}

// requireUsed demands the refusal of a bound that is used up.
func requireUsed(t testing.TB, err error, limit int64) *storage.QuotaReached {
	t.Helper()
	var used *storage.QuotaReached
	require.ErrorAs(t, err, &used)
	require.Equal(t, export.CodeQuota, export.CodeOf(err))
	require.Equal(t, export.ClassQuota, export.ClassOf(err))
	require.Equal(t, limit, used.Limit)
	return used
}

// requireCounted demands that what is noted is what the runs say.
func (w world) requireCounted(t testing.TB, tenant string) {
	t.Helper()
	records, err := postgres.NewSurvey(w.DB).UsageRecords(t.Context(), tenant)
	require.NoError(t, err)
	for _, u := range records {
		require.Equal(t, u.CountedRuns, u.Runs, "%q", u.Profile)
		require.Equal(t, u.CountedBytes, u.Bytes, "%q", u.Profile)
		require.Equal(t, u.CountedRecords, u.Records, "%q", u.Profile)
		require.False(t, u.Profile != "" && u.Bound > 0 && u.Active > u.Bound, "%+v", u)
	}
}

// A tenant's day: the bound of the installation, or its own. A refused request and one
// that is repeated with its key count nowhere.
func TestRunsPerDayOfATenant(t *testing.T) {
	w := newWorld(t)
	runs, tenants := w.runs.Within(storage.Limits{RunsPerDay: 2}), postgres.NewTenants(w.DB)
	key := storage.Idempotency{Key: "k", RequestHash: digest("r")}
	first, created, err := runs.CreateRun(t.Context(), request("acme", 1), key)
	require.True(t, created)
	require.NoError(t, err)
	for range 3 {
		again, created, err := runs.CreateRun(t.Context(), request("acme", 9), key)
		require.NoError(t, err)
		require.False(t, created)
		require.Equal(t, first, again)
	}
	_, err = w.quota(t, runs, "acme", "prof-json-raw", 2, export.ProfileQuotas{})
	require.NoError(t, err)
	before := w.fingerprint(t)
	for n := range 3 {
		_, err = w.quota(t, runs, "acme", "prof-json-raw", 3+n, export.ProfileQuotas{})
		used := requireUsed(t, err, 2)
		require.Positive(t, used.After)
		require.LessOrEqual(t, used.After, 24*time.Hour)
		require.ErrorContains(t, err, "tenant has asked for its 2 runs of today")
	}
	require.Equal(t, before, w.fingerprint(t), "a refusal counts nowhere")
	_, err = w.quota(t, runs, "globex", "prof-json-raw", 99, export.ProfileQuotas{})
	require.NoError(t, err)

	ask := func(n int, own *int) error {
		_, err := tenants.SetQuotas(t.Context(), "acme", export.TenantQuotas{RunsPerDay: own})
		require.NoError(t, err)
		_, err = w.quota(t, runs, "acme", "prof-json-raw", n, export.ProfileQuotas{})
		return err
	}
	require.NoError(t, ask(10, pointer(0)), "no bound of its own is no bound")
	requireUsed(t, ask(11, nil), 2)
	requireUsed(t, ask(12, pointer(3)), 3)
	require.NoError(t, ask(13, pointer(4)))
	got, err := tenants.GetTenant(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, export.TenantUsage{RunsToday: 4}, got.Usage)
	require.Equal(t, export.TenantQuotas{RunsPerDay: pointer(4)}, got.Quotas)
	w.requireCounted(t, "acme")
}

func pointer[T any](v T) *T { return &v }

// The day is the database's, in UTC; the next one begins with nothing, and one that
// went back does not begin again.
func TestADayEndsAtMidnight(t *testing.T) {
	w := newWorld(t)
	runs := w.runs.Within(storage.Limits{RunsPerDay: 1})
	ask := func(n int) error {
		_, err := w.quota(t, runs, "acme", "prof-json-raw", n, export.ProfileQuotas{})
		return err
	}
	require.NoError(t, ask(1))
	requireUsed(t, ask(2), 1)
	admin := connect(t, w.Admin)
	shift := func(days int) {
		for _, sql := range []string{"update export_usage set day = day + $1::int", "update export_runs set counted_on = counted_on + $1::int"} {
			_, err := admin.Exec(t.Context(), sql, days)
			require.NoError(t, err)
		}
	}
	shift(-1) // it was yesterday
	require.NoError(t, ask(3))
	requireUsed(t, ask(4), 1)
	w.requireCounted(t, "acme")
	shift(1) // the clock was set back by a day
	used := requireUsed(t, ask(5), 1)
	require.Greater(t, used.After, 24*time.Hour)
	w.requireCounted(t, "acme")
}

func TestRunsPerDayOfAProfile(t *testing.T) {
	w := newWorld(t)
	bound := export.ProfileQuotas{MaxRunsPerDay: 2}
	for n := range 2 {
		_, err := w.quota(t, w.runs, "acme", "nightly", n+1, bound)
		require.NoError(t, err)
	}
	_, err := w.quota(t, w.runs, "acme", "nightly", 3, bound)
	requireUsed(t, err, 2)
	require.ErrorContains(t, err, "profile nightly has made its 2 runs of today")
	_, err = w.quota(t, w.runs, "acme", "other", 4, bound)
	require.NoError(t, err, "another profile has its own")
	_, err = w.quota(t, w.runs, "globex", "nightly", 5, bound)
	require.NoError(t, err, "so has another tenant")
	_, err = w.quota(t, w.runs, "acme", "nightly", 6, export.ProfileQuotas{MaxRunsPerDay: 3})
	require.NoError(t, err, "a later revision may say otherwise; all runs of the profile count")
	w.requireCounted(t, "acme")
}

// A rebuild is bound by no quota of a profile, and uses none.
func TestARebuildIsNoRunOfItsProfile(t *testing.T) {
	w := newWorld(t)
	bound := export.ProfileQuotas{MaxRunsPerDay: 2}
	of, err := w.quota(t, w.runs, "acme", "nightly", 1, bound)
	require.NoError(t, err)
	rebuild := func(n int) error {
		run := request("acme", n)
		run.ProfileID, run.ProfileName, run.RebuildOf = "nightly", "nightly", of.ID
		_, _, err := w.runs.Within(storage.Limits{RunsPerDay: 4}).CreateRun(t.Context(), run, storage.Idempotency{})
		return err
	}
	require.NoError(t, rebuild(2))
	w.requireCounted(t, "acme")
	_, err = w.quota(t, w.runs, "acme", "nightly", 3, bound)
	require.NoError(t, err, "the profile has made one run, and not two")
	_, err = w.quota(t, w.runs, "acme", "nightly", 4, bound)
	requireUsed(t, err, 2)
	require.NoError(t, rebuild(5), "nor does the profile's bound stop it")
	w.requireCounted(t, "acme")
	requireUsed(t, rebuild(6), 4) // that of the tenant does
}

// Bytes of bundles count from the success until the bundle has expired.
func TestBytesOfATenant(t *testing.T) {
	w := newWorld(t)
	limits := storage.Limits{Bytes: 7}
	runs, exec := w.runs.Within(limits), w.exec.Within(limits)
	run := w.delivered(t, "acme", 1) // 7 bytes
	waiting, err := w.quota(t, runs, "acme", "prof-json-raw", 2, export.ProfileQuotas{})
	require.NoError(t, err, "nothing can be had yet")
	w.finish(t, run.Ref(), succeeded(run))
	w.requireCounted(t, "acme")

	_, err = w.quota(t, runs, "acme", "prof-json-raw", 3, export.ProfileQuotas{})
	require.Zero(t, requireUsed(t, err, 7).After, "nobody knows when")
	require.ErrorContains(t, err, "have 7 bytes and may have 7")
	claim := w.begin(t, waiting.Ref(), export.PhasePlan, 1)
	_, err = exec.Start(t.Context(), claim, 1, at(50))
	requireUsed(t, err, 7)
	require.Equal(t, export.StatePending, w.get(t, waiting.Ref()).State, "it does not begin")

	_, err = postgres.NewTenants(w.DB).SetQuotas(t.Context(), "acme", export.TenantQuotas{Bytes: pointer(int64(8))})
	require.NoError(t, err)
	_, err = exec.Start(t.Context(), claim, 1, at(50))
	require.NoError(t, err)
	_, err = connect(t, w.Admin).Exec(t.Context(), "update export_runs set status = 'expired' where id = $1", run.ID)
	require.NoError(t, err)
	w.requireCounted(t, "acme")
	require.Zero(t, value[int](t, w, "acme", "select bytes from export_usage where profile_id = ''"))
}

// Runs of a profile with a bound wait for it; those of other profiles go past them, and
// nobody goes past anybody of the same profile.
func TestRunsAtWorkOfAProfile(t *testing.T) {
	w := newWorld(t)
	dispatch := postgres.NewDispatch(w.DB)
	one, two := export.ProfileQuotas{MaxConcurrentRuns: 1}, export.ProfileQuotas{MaxConcurrentRuns: 2}
	given := func(n int, profile string, q export.ProfileQuotas) bool {
		run, err := w.quota(t, w.runs, "acme", profile, n, q)
		require.NoError(t, err)
		return !run.DispatchedAt.IsZero()
	}
	claim := func() []string {
		waiting, err := dispatch.Claim(t.Context(), "acme", at(60))
		require.NoError(t, err)
		w.requireCounted(t, "acme")
		return ids(waiting)
	}
	require.True(t, given(1, "slow", one))
	require.False(t, given(2, "slow", one), "the second waits")
	require.False(t, given(3, "slow", two), "a revision that allows more does not go past it")
	require.True(t, given(4, "fast", export.ProfileQuotas{}), "another profile does")
	require.Empty(t, claim())
	w.end(t, export.Ref{Tenant: "acme", RunID: runID(1)})
	require.False(t, given(5, "slow", export.ProfileQuotas{}), "nor does one without a bound")
	require.Equal(t, []string{runID(2)}, claim())
	require.Equal(t, []string{runID(3)}, claim(), "whoever is first in its profile is held to its own revision")
	require.Equal(t, []string{runID(5)}, claim())
	require.Empty(t, claim())
	require.False(t, given(7, "fast", export.ProfileQuotas{}), "the tenant's own bound holds above all")
}

// From two processes, 64 requests at once: exactly as many as may be are taken, of the
// day's and of those at work, at every moment.
func TestQuotasHoldAgainstManyAtOnce(t *testing.T) {
	w := newWorld(t)
	second, err := postgres.Open(t.Context(), w.Config)
	require.NoError(t, err)
	defer second.Close()
	limits := storage.Limits{Active: 8, RunsPerDay: 40}
	apis := []*postgres.Runs{w.runs.Within(limits), postgres.NewRuns(second).Within(limits)}
	quotas := map[string]export.ProfileQuotas{"a": {MaxConcurrentRuns: 2, MaxRunsPerDay: 16}, "b": {MaxConcurrentRuns: 1}, "c": {MaxRunsPerDay: 9}, "d": {}}
	names := []string{"a", "b", "c", "d"}

	done := make(chan struct{})
	var sampled, dispatchers sync.WaitGroup
	var over atomic.Pointer[string]
	sampled.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			records, err := postgres.NewSurvey(w.DB).UsageRecords(t.Context(), "acme")
			for _, u := range records {
				if err != nil || u.Runs != u.CountedRuns || u.Active > 8 || u.Profile == "a" && u.Active > 2 || u.Profile == "b" && u.Active > 1 {
					text := fmt.Sprintf("%+v %v", u, err)
					over.Store(&text)
				}
			}
		}
	})
	for _, db := range []*postgres.DB{w.DB, second} {
		dispatchers.Go(func() {
			dispatch := postgres.NewDispatch(db).Within(limits)
			exec := postgres.NewExecution(db)
			for {
				select {
				case <-done:
					return
				default:
				}
				given, err := dispatch.Claim(t.Context(), "acme", at(60))
				if err != nil {
					t.Error(err)
				}
				for _, g := range given { // it ends at once
					claim, run, err := exec.Begin(t.Context(), g.Ref, export.PhasePlan, 1)
					if err == nil {
						_, err = exec.Finish(t.Context(), claim, failed(run))
					}
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	errs := make([]error, 64)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() {
			profile := names[i%4]
			_, errs[i] = w.quota(t, apis[i/4%2], "acme", profile, i+1, quotas[profile])
		})
	}
	group.Wait()
	close(done)
	sampled.Wait()
	dispatchers.Wait()
	require.Nil(t, over.Load())
	taken := map[string]int{}
	for i, err := range errs {
		var used *storage.QuotaReached
		if err == nil {
			taken[names[i%4]]++
		} else if !errors.As(err, &used) {
			require.NoError(t, err)
		}
	}
	require.Equal(t, 40, taken["a"]+taken["b"]+taken["c"]+taken["d"], "exactly the day's")
	require.LessOrEqual(t, taken["c"], 9)
	require.Equal(t, 40, value[int](t, w, "acme", "select count(*) from export_runs"))
	w.requireCounted(t, "acme")
}
