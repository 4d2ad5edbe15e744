package postgres_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// shrunk is what the guard says of a run that it parks.
func shrunk(parked bool) storage.Guarded {
	var config *export.GuardConfig
	now := counted
	if parked {
		now = counted[:1]
	}
	report := config.NewGuardReport(&export.GuardBaseline{RunID: runID(99), RequestedAt: at(0)}, counted, now, at(1), nil,
		export.Disappeared{Total: 1, Documents: []export.GoneDocument{{ID: "GHSA-1", Source: "osv"}}})
	return storage.Guarded{Report: report, Parked: parked, At: at(120), Until: at(120).Add(time.Hour)}
}

// parked is a run that waits.
func (w world) parked(t testing.TB, tenant string, n int) export.Run {
	t.Helper()
	run, err := w.exec.SaveGuard(t.Context(), w.begin(t, w.started(t, tenant, n).Ref(), export.PhaseGuard, 1), shrunk(true))
	require.NoError(t, err)
	return run
}

func approval(by string) export.Decision {
	return export.Decision{Verdict: export.VerdictApproved, By: by, Reason: "the source ended", At: at(130)}
}

func TestAGuardedRunIsParkedOnce(t *testing.T) {
	w := newWorld(t)
	run := w.parked(t, "acme", 1)
	ref := run.Ref()
	require.Equal(t, export.StateWaiting, run.State)
	require.Equal(t, &export.Wait{Since: at(120), Until: at(120).Add(time.Hour),
		Why: "source osv (advisory) has vanished: it gave 7 documents in the last run and gives none; and 1 more reasons"}, run.Wait)
	require.Equal(t, run, w.get(t, ref))
	require.Equal(t, []export.EventType{export.EventPending, export.EventStarted, export.EventWaiting}, w.types(t, ref))
	require.Equal(t, 1, value[int](t, w, "acme", "select count(*) from export_outbox where event_type = 'export.waiting'"))
	got, err := w.runs.GuardReport(t.Context(), ref)
	require.NoError(t, err)
	require.True(t, got.Parked)
	require.Equal(t, shrunk(true).Report, got.Report)

	before := w.fingerprint(t)
	again, err := w.exec.SaveGuard(t.Context(), w.begin(t, ref, export.PhaseGuard, 1), shrunk(false))
	require.NoError(t, err)
	require.Equal(t, run, again, "what was found first stays")
	require.Equal(t, before, w.fingerprint(t))

	for _, other := range []export.Ref{{Tenant: "globex", RunID: ref.RunID}, {Tenant: "acme", RunID: runID(7)}} {
		_, err = w.runs.GuardReport(t.Context(), other)
		require.ErrorIs(t, err, storage.ErrNotFound)
	}
	passed := w.started(t, "acme", 2).Ref()
	run, err = w.exec.SaveGuard(t.Context(), w.begin(t, passed, export.PhaseGuard, 1), shrunk(false))
	require.NoError(t, err)
	require.Equal(t, export.StateRunning, run.State)
	require.Nil(t, run.Wait)
	require.Equal(t, export.EventGuardPassed, w.types(t, passed)[2])
}

// Who waits holds no slot; who is approved takes one when one is free, before those
// that were asked for later, and is told to its workflow then.
func TestAParkedRunHoldsNoSlot(t *testing.T) {
	w := newWorld(t)
	limits := storage.Limits{Active: 1}
	w.runs, w.exec = w.runs.Within(limits), w.exec.Within(limits)
	dispatch := postgres.NewDispatch(w.DB).Within(limits)
	waits := w.parked(t, "acme", 1).Ref()
	other := w.started(t, "acme", 2)
	require.False(t, other.DispatchedAt.IsZero(), "the slot is free")
	behind := w.create(t, "acme", 3)
	require.Zero(t, behind.DispatchedAt)

	list, err := dispatch.Waiting(t.Context(), "", 10)
	require.NoError(t, err)
	require.Equal(t, []string{behind.ID}, ids(list), "there is nothing to say about the one that waits")
	run, err := w.runs.Decide(t.Context(), waits, approval("kim"))
	require.NoError(t, err)
	require.Equal(t, export.StateWaiting, run.State)
	require.True(t, run.Wait.Approved())
	settle := func() export.Run {
		run, err := w.exec.Settle(t.Context(), w.begin(t, waits, export.PhaseGuard, 2), nil, at(140))
		require.NoError(t, err)
		return run
	}
	require.Equal(t, export.StateWaiting, settle().State, "it has no slot")
	given, err := dispatch.Claim(t.Context(), "acme", at(135))
	require.NoError(t, err)
	require.Empty(t, given)
	list, err = dispatch.Waiting(t.Context(), "", 10)
	require.NoError(t, err)
	require.Equal(t, []storage.Waiting{{Ref: waits, ProfileID: "prof-json-raw", Queued: true}}, list, "it is the first of the queue")

	w.finish(t, other.Ref(), aborted(other))
	given, err = dispatch.Claim(t.Context(), "acme", at(136))
	require.NoError(t, err)
	told := storage.Waiting{Ref: waits, ProfileID: "prof-json-raw", Decided: true}
	require.Equal(t, []storage.Waiting{told}, given)
	given, err = dispatch.Claim(t.Context(), "acme", at(137))
	require.NoError(t, err)
	require.Empty(t, given, "its slot is taken before it works")
	list, err = dispatch.Waiting(t.Context(), "", 10)
	require.NoError(t, err)
	require.Contains(t, list, told, "until its workflow has heard of it")

	run = settle()
	require.Equal(t, export.StateRunning, run.State)
	require.Equal(t, at(136), run.Wait.ResumedAt)
	before := w.fingerprint(t)
	require.Equal(t, run, settle())
	require.Equal(t, before, w.fingerprint(t))
	list, err = dispatch.Waiting(t.Context(), "", 10)
	require.NoError(t, err)
	require.Equal(t, []string{behind.ID}, ids(list))
	require.Equal(t, []export.EventType{export.EventPending, export.EventStarted, export.EventWaiting, export.EventApproved, export.EventResumed}, w.types(t, waits))
	require.Equal(t, "approved by kim: the source ended", w.journal(t, waits)[3].Message)
}

func TestTheFirstDecisionStands(t *testing.T) {
	w := newWorld(t)
	conflict := func(ref export.Ref, d export.Decision, says string) {
		t.Helper()
		_, err := w.runs.Decide(t.Context(), ref, d)
		require.ErrorIs(t, err, storage.ErrConflict)
		require.ErrorContains(t, err, says)
	}
	conflict(w.started(t, "acme", 1).Ref(), approval("kim"), "waits for no decision")
	ref := w.parked(t, "acme", 2).Ref()
	late := approval("kim")
	late.At = at(120).Add(time.Hour)
	conflict(ref, late, "could be decided about until 2026-03-01T13:02:00Z")
	_, err := w.runs.Decide(t.Context(), ref, export.Decision{Verdict: export.VerdictExpired, At: at(130)})
	require.Equal(t, export.CodeValidation, export.CodeOf(err), "nobody says so")
	_, err = w.runs.Decide(t.Context(), export.Ref{Tenant: "globex", RunID: ref.RunID}, approval("kim"))
	require.ErrorIs(t, err, storage.ErrNotFound)

	first, err := w.runs.Decide(t.Context(), ref, approval("kim"))
	require.NoError(t, err)
	before := w.fingerprint(t)
	again := approval("kim")
	again.At, again.Reason = at(140), "another"
	same, err := w.runs.Decide(t.Context(), ref, again)
	require.NoError(t, err)
	require.Equal(t, first, same)
	conflict(ref, approval("robin"), "approved by kim already")
	rejection := approval("kim")
	rejection.Verdict = export.VerdictRejected
	conflict(ref, rejection, "approved by kim already")
	require.Equal(t, before, w.fingerprint(t))

	run := w.parked(t, "acme", 3)
	_, err = w.runs.RequestCancel(t.Context(), run.Ref(), export.Cancellation{By: "kim", Reason: "no", At: at(131)})
	require.NoError(t, err)
	conflict(run.Ref(), approval("kim"), "to be cancelled")
	w.finish(t, run.Ref(), aborted(w.get(t, run.Ref())))
	conflict(run.Ref(), approval("kim"), "has ended: it is aborted")
}

// Many who decide at once, by the API and by the workflow: one of them does.
func TestManyWhoDecideAtOnce(t *testing.T) {
	w := newWorld(t)
	ref := w.parked(t, "acme", 1).Ref()
	claim := w.begin(t, ref, export.PhaseGuard, 2)
	var group sync.WaitGroup
	taken := make([]bool, 16)
	for i := range taken {
		group.Go(func() {
			d := approval(strings.Repeat("x", i+1))
			if i%2 == 1 {
				d.Verdict = export.VerdictRejected
			}
			if i%4 == 3 {
				run, err := w.exec.Settle(t.Context(), claim, &d, at(131))
				taken[i] = err == nil && run.Wait.Decision.By == d.By
				return
			}
			_, err := w.runs.Decide(t.Context(), ref, d)
			taken[i] = err == nil
		})
	}
	group.Wait()
	n := 0
	for i, one := range taken {
		if one {
			n++
			require.Equal(t, strings.Repeat("x", i+1), w.get(t, ref).Wait.Decision.By)
		}
	}
	require.Equal(t, 1, n)
	require.Len(t, w.journal(t, ref), 4, "it is told once")
}

// A decision that came by the workflow is written down by it; a rejected run is told
// to its workflow whatever slots there are.
func TestDecisionsByTheWorkflow(t *testing.T) {
	w := newWorld(t)
	ref := w.parked(t, "acme", 1).Ref()
	claim := w.begin(t, ref, export.PhaseGuard, 2)
	run, err := w.exec.Settle(t.Context(), claim, nil, at(131))
	require.NoError(t, err)
	require.Nil(t, run.Wait.Decision, "somebody only looked")
	rejection := export.Decision{Verdict: export.VerdictRejected, By: "kim", Reason: "too small", At: at(132)}
	run, err = w.exec.Settle(t.Context(), claim, &rejection, at(132))
	require.NoError(t, err)
	require.Equal(t, &rejection, run.Wait.Decision)
	second := approval("robin")
	again, err := w.exec.Settle(t.Context(), claim, &second, at(133))
	require.NoError(t, err)
	require.Equal(t, run, again)
	list, err := postgres.NewDispatch(w.DB).Waiting(t.Context(), "", 10)
	require.NoError(t, err)
	require.Equal(t, []storage.Waiting{{Ref: ref, ProfileID: "prof-json-raw", Decided: true}}, list)

	late := w.parked(t, "acme", 2).Ref()
	expired := export.Decision{Verdict: export.VerdictExpired, By: "exportcenter", Reason: "nobody decided", At: at(134)}
	run, err = w.exec.Settle(t.Context(), w.begin(t, late, export.PhaseGuard, 2), &expired, at(134))
	require.NoError(t, err)
	require.Equal(t, export.VerdictExpired, run.Wait.Decision.Verdict)
	require.Len(t, w.journal(t, late), 3, "the failure that follows says so")
	_, err = w.exec.Settle(t.Context(), w.begin(t, w.started(t, "acme", 3).Ref(), export.PhaseGuard, 1), nil, at(131))
	require.ErrorIs(t, err, storage.ErrConflict)
}

// A run that waits does not succeed, and works only when it is approved, whatever a
// workflow that begins anew does.
func TestNothingGoesOnWithoutAnApproval(t *testing.T) {
	w := newWorld(t)
	run := w.delivered(t, "acme", 1)
	ref := run.Ref()
	_, err := w.exec.SaveGuard(t.Context(), w.begin(t, ref, export.PhaseGuard, 1), shrunk(true))
	require.NoError(t, err)
	run, err = w.exec.Start(t.Context(), w.begin(t, ref, export.PhasePlan, 2), 1, at(150))
	require.NoError(t, err)
	require.Equal(t, export.StateWaiting, run.State)
	_, err = w.exec.Finish(t.Context(), w.begin(t, ref, export.PhaseEmitTimeline, 1), succeeded(run))
	require.ErrorContains(t, err, "nobody has approved it")
	for _, state := range []string{"running", "succeeded"} {
		err := w.WithTenant(t.Context(), "acme", func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), "update export_runs set status = $1, completed_at = now() where id = $2", state, ref.RunID)
			return err
		})
		require.ErrorContains(t, err, "23514", state)
	}
	_, err = w.runs.Decide(t.Context(), ref, approval("kim"))
	require.NoError(t, err)
	_, err = postgres.NewDispatch(w.DB).Claim(t.Context(), "acme", at(136))
	require.NoError(t, err)
	_, err = w.exec.Settle(t.Context(), w.begin(t, ref, export.PhaseGuard, 3), nil, at(151))
	require.NoError(t, err)
	run = w.finish(t, ref, succeeded(run))
	require.Equal(t, export.StateSucceeded, run.State)
	err = w.WithTenant(t.Context(), "acme", func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "update export_runs set decided_by = 'mallory' where id = $1", ref.RunID)
		return err
	})
	require.ErrorContains(t, err, "23514")
}

// The run that another is held against is the last one of the same profile, project and
// selection that was published and guarded.
func TestTheLastGuardedRun(t *testing.T) {
	w := newWorld(t)
	publish := func(n int, change func(*export.Run)) export.Run {
		run := request("acme", n)
		change(&run)
		stored, _, err := w.runs.CreateRun(t.Context(), run, storage.Idempotency{})
		require.NoError(t, err)
		ref := stored.Ref()
		_, err = w.exec.Start(t.Context(), w.begin(t, ref, export.PhasePlan, 1), 77, at(100))
		require.NoError(t, err)
		_, err = w.exec.SaveGuard(t.Context(), w.begin(t, ref, export.PhaseGuard, 1), shrunk(false))
		require.NoError(t, err)
		require.NoError(t, w.exec.SaveSigned(t.Context(), w.begin(t, ref, export.PhaseSign, 1), export.Result{ArchiveDigest: digest("archive").String(), ArchiveBytes: 7},
			timeline(ref, export.TransitionBuilt), at(110)))
		require.NoError(t, w.exec.SaveDistribution(t.Context(), w.begin(t, ref, export.PhaseDistribute, 1),
			storage.Distribution{Type: "http", Location: "/download", Digest: digest("archive"), Size: 7}, at(111)))
		return w.finish(t, ref, succeeded(stored))
	}
	same := func(*export.Run) {}
	asked := request("acme", 50)
	_, err := w.exec.LastGuarded(t.Context(), asked)
	require.ErrorIs(t, err, storage.ErrNotFound)
	publish(1, same)
	want := publish(2, same)
	publish(3, func(r *export.Run) { r.Selectors.Sources = []string{"ghsa"} })
	publish(4, func(r *export.Run) { r.ProfileID = "prof-other" })
	publish(5, func(r *export.Run) { r.Project = "" })
	publish(8, func(r *export.Run) { r.Options.AsOf = 70 })
	publish(9, func(r *export.Run) { r.Options.MirrorRunID = runID(70) })
	unguarded := w.delivered(t, "acme", 6)
	w.finish(t, unguarded.Ref(), succeeded(unguarded))
	w.parked(t, "acme", 7)
	got, err := w.exec.LastGuarded(t.Context(), asked)
	require.NoError(t, err)
	require.Equal(t, want, got)
	asked.ID = want.ID
	got, err = w.exec.LastGuarded(t.Context(), asked)
	require.NoError(t, err)
	require.Equal(t, runID(1), got.ID, "a run is not held against itself")
	asked.Tenant = "globex"
	_, err = w.exec.LastGuarded(t.Context(), asked)
	require.ErrorIs(t, err, storage.ErrNotFound)
}

// What the profile says of the guard is in the run.
func TestARunKeepsItsGuard(t *testing.T) {
	w := newWorld(t)
	run := request("acme", 1)
	zero := 0
	run.Guard = &export.GuardConfig{MaxDropPercent: &zero, Canaries: []string{"CVE-2026-1"}}
	stored, _, err := w.runs.CreateRun(t.Context(), run, storage.Idempotency{})
	require.NoError(t, err)
	require.Equal(t, run.Guard, stored.Guard)
	require.Equal(t, run.Guard, w.get(t, stored.Ref()).Guard)
}
