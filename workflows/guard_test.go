package workflows

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/export"
)

// parkedFor is how long a run waits for somebody to decide.
const parkedFor = 24 * time.Hour

// guardedAt is when Guard is done: plan, resolve, adapt, assemble and guard.
const guardedAt = 5 * phaseTakes

// guardWorld is a run of a guarded kind, which is parked. Its row is what the activities
// know, and nothing else.
type guardWorld struct {
	*world
	row      *export.Decision // that was recorded
	slot     bool             // was given
	settled  []activities.SettleInput
	assembly int
}

func newGuardWorld(t *testing.T, parked bool) *guardWorld {
	t.Helper()
	w := &guardWorld{world: newWorld(t, nil)}
	w.guarded = true
	w.env.OnActivity(exporting.Assemble, mock.Anything, mock.Anything).After(phaseTakes).Return(
		func(context.Context, activities.PhaseInput) (activities.PhaseResult, error) {
			w.assembly++
			return activities.PhaseResult{}, nil
		})
	w.env.OnActivity(exporting.Guard, mock.Anything, activities.PhaseInput{Ref: ref}).After(phaseTakes).Return(
		func(context.Context, activities.PhaseInput) (activities.GuardResult, error) {
			w.walked = append(w.walked, export.PhaseGuard)
			if !parked {
				return activities.GuardResult{}, nil
			}
			return activities.GuardResult{Parked: true, Until: w.env.Now().Add(parkedFor)}, nil
		})
	w.env.OnActivity(exporting.Settle, mock.Anything, mock.Anything).Return(w.settle)
	return w
}

// settle is the real activity on a row of two members.
func (w *guardWorld) settle(_ context.Context, in activities.SettleInput) (activities.SettleResult, error) {
	w.settled = append(w.settled, in)
	if w.row == nil && in.Expired {
		w.row = &export.Decision{Verdict: export.VerdictExpired}
	}
	if w.row == nil && in.Decision != nil && in.Decision.Verdict != "" {
		w.row = in.Decision
		w.slot = true
	}
	if w.row == nil {
		return activities.SettleResult{}, nil
	}
	if w.row.Verdict == export.VerdictApproved {
		return activities.SettleResult{Approved: true, Resumed: w.slot}, nil
	}
	code := map[export.Verdict]export.Code{export.VerdictRejected: export.CodeRejected, export.VerdictExpired: export.CodeUndecided}[w.row.Verdict]
	return activities.SettleResult{}, temporal.NewApplicationErrorWithOptions(string(code), string(export.ClassPolicy),
		temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{export.Failure{Code: code, Message: "no", Phase: export.PhaseGuard}}})
}

// at lets something happen so long after the run began to wait.
func (w *guardWorld) at(after time.Duration, what func()) {
	w.env.RegisterDelayedCallback(what, guardedAt+after)
}

func (w *guardWorld) signal(d export.Decision) func() {
	return func() { w.env.SignalWorkflow(DecisionSignal, d) }
}

var (
	approved = export.Decision{Verdict: export.VerdictApproved, By: "kim", Reason: "the source ended"}
	rejected = export.Decision{Verdict: export.VerdictRejected, By: "kim", Reason: "too small"}
	told     = export.Decision{By: "the API", Reason: "as the run's row says"} // what the dispatcher signals
	rest     = []export.Phase{export.PhaseManifest, export.PhaseSign, export.PhaseDistribute}
	guarded  = []export.Phase{export.PhasePlan, export.PhaseResolve, export.PhaseAdapt, export.PhaseGuard}
)

func TestAResultThatDidNotShrinkGoesOn(t *testing.T) {
	w := newGuardWorld(t, false)
	require.NoError(t, w.run(t))
	require.Equal(t, append(guarded[:4:4], rest...), w.walked)
	require.Equal(t, 1, w.assembly)
	require.Empty(t, w.settled)
}

func TestAKindThatIsNotGuardedIsNot(t *testing.T) {
	w := newGuardWorld(t, true)
	w.guarded = false
	require.NoError(t, w.run(t))
	require.NotContains(t, w.walked, export.PhaseGuard)
}

// By a signal alone: it says who and why, and the run goes on.
func TestAnApprovalBySignal(t *testing.T) {
	w := newGuardWorld(t, true)
	w.at(time.Hour, func() {
		require.Equal(t, guarded, w.walked, "nothing goes on before")
		answer, err := w.env.QueryWorkflow(StatusQuery)
		require.NoError(t, err)
		var status ExportRunStatus
		require.NoError(t, answer.Get(&status))
		require.Equal(t, ExportRunStatus{Phase: export.PhaseGuard, Waits: true}, status)
	})
	w.at(2*time.Hour, w.signal(approved))
	require.NoError(t, w.run(t))
	require.Equal(t, append(guarded[:4:4], rest...), w.walked)
	require.Equal(t, []activities.SettleInput{{Ref: ref, Decision: &approved}}, w.settled)
}

// By the API: the row has the decision, a signal is a reason to look; and the slot
// comes when one is free, also when that is long after the time to decide is over.
func TestAnApprovalByTheAPIWaitsForASlot(t *testing.T) {
	w := newGuardWorld(t, true)
	w.at(time.Hour, func() { w.row = &approved; w.signal(told)() })
	w.at(parkedFor+time.Hour, func() { require.Equal(t, guarded, w.walked) })
	w.at(parkedFor+2*time.Hour, func() { w.slot = true; w.signal(told)() })
	require.NoError(t, w.run(t))
	require.Equal(t, append(guarded[:4:4], rest...), w.walked)
	require.Len(t, w.settled, 2, "it does not expire when it is approved")
}

func TestARejectedRunFails(t *testing.T) {
	for name, how := range map[string]func(w *guardWorld) func(){
		"signal": func(w *guardWorld) func() { return w.signal(rejected) },
		"API":    func(w *guardWorld) func() { return func() { w.row = &rejected; w.signal(told)() } },
	} {
		t.Run(name, func(t *testing.T) {
			w := newGuardWorld(t, true)
			w.at(time.Hour, how(w))
			require.Error(t, w.run(t))
			require.Equal(t, guarded, w.walked)
			require.Equal(t, export.CodeRejected, w.ends[0].Failure.Code)
			require.Equal(t, 1, w.discards)
		})
	}
}

func TestAWaitExpires(t *testing.T) {
	w := newGuardWorld(t, true)
	began := w.env.Now()
	require.Error(t, w.run(t))
	require.Equal(t, []activities.SettleInput{{Ref: ref, Expired: true}}, w.settled)
	require.Equal(t, export.CodeUndecided, w.ends[0].Failure.Code)
	require.Equal(t, parkedFor+guardedAt+phaseTakes, w.env.Now().Sub(began))
	require.Equal(t, 1, w.discards)
}

// Approved in time, but the signal was lost: the end of the time finds it in the row.
func TestAnApprovalThatWasNotToldIsFound(t *testing.T) {
	w := newGuardWorld(t, true)
	w.at(time.Hour, func() { w.row = &approved })
	w.at(parkedFor+time.Hour, func() { w.slot = true; w.signal(told)() })
	require.NoError(t, w.run(t))
	require.Len(t, w.settled, 2)
}

func TestACancelEndsAWait(t *testing.T) {
	for name, how := range map[string]func(w *guardWorld) func(){
		"signal": func(w *guardWorld) func() {
			return func() { w.env.SignalWorkflow(CancelSignal, export.Cancellation{By: "kim"}) }
		},
		"temporal": func(w *guardWorld) func() { return w.env.CancelWorkflow },
	} {
		for _, approvedBefore := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				w := newGuardWorld(t, true)
				if approvedBefore {
					w.at(time.Minute, func() { w.row = &approved; w.signal(told)() })
				}
				w.at(time.Hour, how(w))
				require.True(t, temporal.IsCanceledError(w.run(t)))
				require.Equal(t, guarded, w.walked)
				require.True(t, w.ends[0].Cancelled)
				require.Equal(t, 1, w.discards)
			})
		}
	}
}

// Whoever signals before the run waits has not read its report.
func TestASignalBeforeTheRunWaitsDecidesNothing(t *testing.T) {
	for _, early := range []export.Decision{approved, rejected} {
		w := newGuardWorld(t, true)
		w.env.RegisterDelayedCallback(w.signal(early), during(1))
		w.at(time.Hour, func() {
			require.Equal(t, guarded, w.walked)
			require.Equal(t, []activities.SettleInput{{Ref: ref}}, w.settled, "it looks what the row says")
		})
		w.at(2*time.Hour, w.signal(approved))
		require.NoError(t, w.run(t))
	}
	w := newGuardWorld(t, false)
	w.env.RegisterDelayedCallback(w.signal(rejected), during(1))
	require.NoError(t, w.run(t), "nor does it of a run that is not parked")
}

// What says neither is a reason to look, whatever it says.
func TestAnOddSignalDecidesNothing(t *testing.T) {
	w := newGuardWorld(t, true)
	w.at(time.Hour, func() { w.env.SignalWorkflow(DecisionSignal, "approve!") })
	w.at(time.Hour+time.Minute, func() { w.env.SignalWorkflow(DecisionSignal, map[string]any{"approve": true}) })
	w.at(2*time.Hour, func() { require.Equal(t, guarded, w.walked) })
	w.at(3*time.Hour, w.signal(approved))
	require.NoError(t, w.run(t))
	require.Len(t, w.settled, 3)
}
