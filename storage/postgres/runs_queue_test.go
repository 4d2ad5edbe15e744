package postgres_test

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// ask asks for runs first..last of a tenant, one after the other.
func (w world) ask(t testing.TB, tenant string, first, last int) (runs []export.Run) {
	t.Helper()
	for n := first; n <= last; n++ {
		runs = append(runs, w.create(t, tenant, n))
	}
	return runs
}

// holding counts the runs of a tenant that hold a slot.
func (w world) holding(t testing.TB, tenant string) int {
	t.Helper()
	return value[int](t, w, tenant, `select count(*) from export_runs
		where status = 'running' or status = 'pending' and dispatched_at is not null`)
}

// end lets a run that was given out run and end.
func (w world) end(t testing.TB, ref export.Ref) {
	t.Helper()
	run, err := w.exec.Start(t.Context(), w.begin(t, ref, export.PhasePlan, 1), 1, at(100))
	require.NoError(t, err)
	w.finish(t, ref, aborted(run))
}

func ids(waiting []storage.Waiting) (found []string) {
	for _, w := range waiting {
		found = append(found, w.Ref.RunID)
	}
	return found
}

func TestRunsPastTheCapWaitTheirTurn(t *testing.T) {
	w := newWorld(t)
	dispatch := postgres.NewDispatch(w.DB)
	runs := w.ask(t, "acme", 1, 7)
	for i, run := range runs {
		require.Equal(t, i < storage.DefaultActive, !run.DispatchedAt.IsZero(), "run %d", i+1)
	}
	given, err := dispatch.Claim(t.Context(), "acme", at(50))
	require.NoError(t, err)
	require.Empty(t, given, "no slot is free")

	w.end(t, runs[1].Ref())
	w.end(t, runs[3].Ref())
	late := w.create(t, "acme", 8)
	require.Zero(t, late.DispatchedAt, "slots are free, but others were there before")
	given, err = dispatch.Claim(t.Context(), "acme", at(51))
	require.NoError(t, err)
	require.Equal(t, []string{runID(5), runID(6)}, ids(given))
	require.Equal(t, storage.Waiting{Ref: runs[4].Ref(), ProfileID: "prof-json-raw", Pending: true}, given[0])
	require.Equal(t, at(51), w.get(t, runs[4].Ref()).DispatchedAt)
	given, err = dispatch.Claim(t.Context(), "acme", at(52))
	require.NoError(t, err)
	require.Empty(t, given)
}

// The order is that of the requests, whatever clock stamped them.
func TestTheQueueKeepsTheOrderOfRequests(t *testing.T) {
	w := newWorld(t)
	var want []string
	for _, n := range []int{20, 9, 15, 3, 12, 1, 30, 2} { // ids and stamps in another order
		want = append(want, w.create(t, "acme", n).ID)
	}
	var got []string
	for _, id := range want {
		w.end(t, export.Ref{Tenant: "acme", RunID: id})
		given, err := postgres.NewDispatch(w.DB).Claim(t.Context(), "acme", at(60))
		require.NoError(t, err)
		got = append(got, ids(given)...)
	}
	require.Equal(t, want[4:], got)
}

// Two requests at once never both take the last slot or the last place.
func TestManyRequestsAtOnceKeepTheLimits(t *testing.T) {
	w := newWorld(t)
	runs := w.runs.Within(storage.Limits{Active: 3, Pending: 5})
	errs := make([]error, 40)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { _, _, errs[i] = runs.CreateRun(t.Context(), request("acme", i+1), storage.Idempotency{}) })
	}
	group.Wait()
	taken := 0
	for _, err := range errs {
		var full *storage.QueueFull
		if err == nil {
			taken++
		} else {
			require.ErrorAs(t, err, &full)
			require.Equal(t, 5, full.Limit)
			require.Equal(t, export.CodeConcurrency, export.CodeOf(err))
		}
	}
	require.Equal(t, 8, taken)
	require.Equal(t, 8, value[int](t, w, "acme", "select count(*) from export_runs"))
	require.Equal(t, 8, value[int](t, w, "acme", "select count(distinct queue_seq) from export_runs"))
	require.Equal(t, 3, w.holding(t, "acme"))

	_, _, err := runs.CreateRun(t.Context(), request("globex", 99), storage.Idempotency{})
	require.NoError(t, err, "another tenant has its own queue")
}

// A request that was accepted is answered again, however full the queue is by then.
func TestAnAcceptedRequestIsNeverRefused(t *testing.T) {
	w := newWorld(t)
	runs := w.runs.Within(storage.Limits{Active: 1, Pending: 1})
	idem := func(key string) storage.Idempotency { return storage.Idempotency{Key: key, RequestHash: digest("r")} }
	_, _, err := runs.CreateRun(t.Context(), request("acme", 1), storage.Idempotency{})
	require.NoError(t, err)
	second, _, err := runs.CreateRun(t.Context(), request("acme", 2), idem("k2"))
	require.NoError(t, err)
	before := w.fingerprint(t)
	again, created, err := runs.CreateRun(t.Context(), request("acme", 3), idem("k2"))
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, second, again)
	_, _, err = runs.CreateRun(t.Context(), request("acme", 4), idem("k4"))
	require.Equal(t, export.CodeConcurrency, export.CodeOf(err))
	require.Equal(t, before, w.fingerprint(t), "a refusal writes nothing, and uses up no key")

	w.end(t, export.Ref{Tenant: "acme", RunID: runID(1)})
	_, err = postgres.NewDispatch(w.DB).Claim(t.Context(), "acme", at(60))
	require.NoError(t, err)
	_, created, err = runs.CreateRun(t.Context(), request("acme", 4), idem("k4"))
	require.NoError(t, err)
	require.True(t, created)
}

// Any number of dispatchers together give out no run twice and keep the cap.
func TestManyDispatchersKeepTheCap(t *testing.T) {
	w := newWorld(t)
	dispatch := postgres.NewDispatch(w.DB)
	for _, run := range w.ask(t, "acme", 1, 24)[:4] {
		w.end(t, run.Ref())
	}
	given := make([][]storage.Waiting, 12)
	errs := make([]error, len(given))
	var group sync.WaitGroup
	for i := range given {
		group.Go(func() { given[i], errs[i] = dispatch.Claim(t.Context(), "acme", at(60)) })
	}
	group.Wait()
	require.NoError(t, errors.Join(errs...))
	var all []string
	for _, g := range given {
		all = append(all, ids(g)...)
	}
	require.Equal(t, []string{runID(5), runID(6), runID(7), runID(8)}, all)
	require.Equal(t, storage.DefaultActive, w.holding(t, "acme"))
}

// A run that is to be cancelled needs no slot: its workflow ends it.
func TestACancelledRunLeavesTheQueue(t *testing.T) {
	w := newWorld(t)
	dispatch := postgres.NewDispatch(w.DB)
	runs := w.ask(t, "acme", 1, 6)
	_, err := w.runs.RequestCancel(t.Context(), runs[4].Ref(), export.Cancellation{By: "a", Reason: "b", At: at(50)})
	require.NoError(t, err)
	waiting, err := dispatch.Waiting(t.Context(), "", 10)
	require.NoError(t, err)
	require.Equal(t, []storage.Waiting{
		{Ref: runs[0].Ref(), ProfileID: "prof-json-raw", Pending: true},
		{Ref: runs[1].Ref(), ProfileID: "prof-json-raw", Pending: true},
		{Ref: runs[2].Ref(), ProfileID: "prof-json-raw", Pending: true},
		{Ref: runs[3].Ref(), ProfileID: "prof-json-raw", Pending: true},
		{Ref: runs[4].Ref(), ProfileID: "prof-json-raw", Pending: true, Cancel: true},
		{Ref: runs[5].Ref(), ProfileID: "prof-json-raw", Queued: true},
	}, waiting)
	w.end(t, runs[0].Ref())
	given, err := dispatch.Claim(t.Context(), "acme", at(51))
	require.NoError(t, err)
	require.Equal(t, []string{runID(6)}, ids(given))
}

// However many runs of one tenant wait, the next tenant's is in the same list.
func TestAFullQueueStandsInNobodysWay(t *testing.T) {
	w := newWorld(t)
	w.ask(t, "acme", 1, storage.DefaultActive+storage.DefaultPending)
	_, _, err := w.runs.CreateRun(t.Context(), request("acme", 500), storage.Idempotency{})
	require.Equal(t, export.CodeConcurrency, export.CodeOf(err))
	for n := range 3 {
		w.create(t, fmt.Sprintf("tenant-%d", n), 200+n)
	}
	waiting, err := postgres.NewDispatch(w.DB).Waiting(t.Context(), "", 10)
	require.NoError(t, err)
	require.Len(t, waiting, storage.DefaultActive+1+3, "the given out, the head of the queue, and one of each other")
	waiting, err = postgres.NewDispatch(w.DB).Waiting(t.Context(), "acme", 2)
	require.NoError(t, err)
	require.Equal(t, []string{runID(200), runID(201)}, ids(waiting))
}
