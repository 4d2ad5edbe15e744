package workflows

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/export"
)

var ref = export.Ref{Tenant: "demo", RunID: "0190c0de-0000-7000-8000-000000000001"}

// world is a workflow in the SDK's test environment, with activities that note
// that they ran. Each phase takes a minute of the skipping clock.
type world struct {
	env      *testsuite.TestWorkflowEnvironment
	walked   []export.Phase
	ends     []activities.EmitTimelineInput
	discards int
	// planned are the ranges that resolve gives, ranges those that were packed.
	planned, ranges []activities.OrdinalRange
	// adapt, if set, packs a range.
	adapt func(activities.RangeInput) error
	// elsewhere is how the run had ended before, "" when it had not.
	elsewhere export.State
	// guarded says that its kind builds, and is guarded.
	guarded bool
	// encrypted says that its bundle is encrypted; encrypting is how long that may take.
	encrypted  bool
	encrypting time.Duration
	// rebuild says that it builds another run again.
	rebuild bool
}

const phaseTakes = time.Minute

func newWorld(t *testing.T, failing map[export.Phase]error) *world {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	w := &world{env: suite.NewTestWorkflowEnvironment(), planned: []activities.OrdinalRange{{From: 0, To: 3}}}
	w.env.SetTestTimeout(time.Minute)
	w.env.SetWorkerOptions(worker.Options{DeadlockDetectionTimeout: time.Minute}) // a busy machine is no deadlock
	w.env.RegisterWorkflow(ExportRun)
	w.env.RegisterActivity(&activities.Export{})
	phase := func(p export.Phase, activity any) {
		w.env.OnActivity(activity, mock.Anything, activities.PhaseInput{Ref: ref}).After(phaseTakes).Return(
			func(context.Context, activities.PhaseInput) (activities.PhaseResult, error) {
				w.walked = append(w.walked, p)
				result := activities.PhaseResult{}
				if p == export.PhaseResolve {
					result.Ranges, result.Builds, result.Guarded, result.Encrypted = w.planned, w.guarded, w.guarded, w.encrypted
				}
				result.Rebuild = p == export.PhasePlan && w.rebuild
				return result, failing[p]
			})
	}
	phase(export.PhasePlan, exporting.Plan)
	phase(export.PhaseResolve, exporting.Resolve)
	w.env.OnActivity(exporting.AdaptRange, mock.Anything, mock.Anything).After(phaseTakes).Return(
		func(_ context.Context, in activities.RangeInput) (activities.PhaseResult, error) {
			w.walked = append(w.walked, export.PhaseAdapt)
			w.ranges = append(w.ranges, in.Range)
			if w.adapt != nil {
				return activities.PhaseResult{}, w.adapt(in)
			}
			return activities.PhaseResult{}, failing[export.PhaseAdapt]
		})
	phase(export.PhaseManifest, exporting.Manifest)
	phase(export.PhaseCompare, exporting.Compare)
	phase(export.PhaseSign, exporting.Sign)
	w.env.OnActivity(exporting.Encrypt, mock.Anything, mock.Anything).After(phaseTakes).Return(
		func(ctx context.Context, _ activities.PhaseInput) (activities.PhaseResult, error) {
			w.encrypting = activity.GetInfo(ctx).StartToCloseTimeout
			return activities.PhaseResult{}, nil
		})
	phase(export.PhaseDistribute, exporting.Distribute)
	w.env.OnActivity(exporting.EmitTimeline, mock.Anything, mock.Anything).After(phaseTakes).Return(w.emit)
	w.env.OnActivity(exporting.Discard, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.PhaseInput) (activities.PhaseResult, error) {
			w.discards++
			return activities.PhaseResult{}, nil
		})
	return w
}

// emit ends the run the way the real activity does.
func (w *world) emit(_ context.Context, in activities.EmitTimelineInput) (activities.EmitTimelineResult, error) {
	w.ends = append(w.ends, in)
	switch {
	case w.elsewhere != "":
		return activities.EmitTimelineResult{State: w.elsewhere}, nil
	case in.Cancelled:
		return activities.EmitTimelineResult{State: export.StateAborted}, nil
	case in.Failure != nil:
		return activities.EmitTimelineResult{State: export.StateFailed}, nil
	}
	return activities.EmitTimelineResult{State: export.StateSucceeded, PayloadDigest: "sha256:feed", Rebuild: w.rebuild}, nil
}

func (w *world) run(t *testing.T) error {
	t.Helper()
	w.env.ExecuteWorkflow(ExportRun, ExportRunInput{Ref: ref})
	require.True(t, w.env.IsWorkflowCompleted(), "the workflow must end")
	require.Len(t, w.ends, 1, "a run ends exactly once")
	return w.env.GetWorkflowError()
}

// TestEncryptMayTakeAsLongAsAdapt: a million originals have a header for each recipient.
func TestEncryptMayTakeAsLongAsAdapt(t *testing.T) {
	w := newWorld(t, nil)
	w.encrypted = true
	require.NoError(t, w.run(t))
	require.Equal(t, patienceOf[export.PhaseAdapt].StartToClose, w.encrypting)
}

// working are the phases before the run is ended, of a kind that is not guarded.
var working = slices.DeleteFunc(slices.Clone(export.Phases[:len(export.Phases)-1]), func(p export.Phase) bool {
	return p == export.PhaseGuard || p == export.PhaseCompare
})

// rebuilding are those of a rebuild.
var rebuilding = []export.Phase{export.PhasePlan, export.PhaseResolve, export.PhaseAdapt, export.PhaseManifest, export.PhaseCompare}

func TestRebuildIsComparedInPlaceOfSignedAndDistributed(t *testing.T) {
	w := newWorld(t, nil)
	w.rebuild = true
	require.NoError(t, w.run(t))
	require.Equal(t, rebuilding, w.walked)
	require.Equal(t, 1, w.discards, "nothing of it is kept, also when it is identical")
}

func TestRebuildThatDiffersFails(t *testing.T) {
	failure := export.Failure{Code: export.CodeRebuild, Message: "other bytes came out", Phase: export.PhaseCompare}
	w := newWorld(t, map[export.Phase]error{export.PhaseCompare: temporal.NewApplicationErrorWithOptions(
		"other bytes", string(export.ClassPermanent), temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{failure}})})
	w.rebuild = true
	require.Error(t, w.run(t))
	require.Equal(t, rebuilding, w.walked, "it is not compared again")
	require.Equal(t, &failure, w.ends[0].Failure)
	require.Equal(t, 1, w.discards)
}

func TestRebuildCanBeCancelledInEveryPhase(t *testing.T) {
	for i, phase := range rebuilding {
		t.Run(string(phase), func(t *testing.T) {
			w := newWorld(t, nil)
			w.rebuild = true
			w.env.RegisterDelayedCallback(func() { w.env.SignalWorkflow(CancelSignal, export.Cancellation{By: "kim", Reason: "enough"}) }, during(i))
			require.True(t, temporal.IsCanceledError(w.run(t)))
			require.True(t, w.ends[0].Cancelled)
			require.Equal(t, 1, w.discards)
		})
	}
}

func TestRunWalksThroughAllPhasesInOrder(t *testing.T) {
	w := newWorld(t, nil)
	require.NoError(t, w.run(t))
	require.Equal(t, working, w.walked)
	require.Nil(t, w.ends[0].Failure)
	require.False(t, w.ends[0].Cancelled)
	require.Zero(t, w.discards, "a bundle that succeeded is kept")

	var result ExportRunResult
	require.NoError(t, w.env.GetWorkflowResult(&result))
	require.Equal(t, ExportRunResult{State: export.StateSucceeded, PayloadDigest: "sha256:feed"}, result)
}

func TestPermanentFailureOfAPhaseEndsTheRunFailed(t *testing.T) {
	for i, phase := range working {
		t.Run(string(phase), func(t *testing.T) {
			failure := export.Failure{Code: export.CodeSigning, Message: "no key", Phase: phase}
			w := newWorld(t, map[export.Phase]error{phase: temporal.NewApplicationErrorWithOptions(
				"no key", string(export.ClassPermanent), temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{failure}})})
			require.Error(t, w.run(t), "Temporal must show a failed run as failed")
			require.Equal(t, working[:i+1], w.walked, "no phase runs after a failed one")
			require.Equal(t, &failure, w.ends[0].Failure)
			require.Equal(t, 1, w.discards)
		})
	}
}

func TestTransientFailureIsTriedAgainAndThenGivenUp(t *testing.T) {
	w := newWorld(t, map[export.Phase]error{export.PhaseResolve: errors.New("connection reset")})
	require.Error(t, w.run(t))
	tries := len(w.walked) - 1 // without plan
	require.EqualValues(t, patienceOf[export.PhaseResolve].Attempts, tries)
	require.Equal(t, export.PhaseResolve, w.ends[0].Failure.Phase)
	require.Equal(t, export.CodeInternal, w.ends[0].Failure.Code)
}

func TestCancelSignalAbortsInEveryPhase(t *testing.T) {
	cancel := export.Cancellation{By: "kim", Reason: "wrong selectors"}
	for i, phase := range working {
		t.Run(string(phase), func(t *testing.T) {
			w := newWorld(t, nil)
			w.env.RegisterDelayedCallback(func() { w.env.SignalWorkflow(CancelSignal, cancel) }, during(i))
			err := w.run(t)
			require.True(t, temporal.IsCanceledError(err), "Temporal must show an aborted run as cancelled, got %v", err)
			require.True(t, w.ends[0].Cancelled)
			require.Equal(t, &cancel, w.ends[0].Cancel, "who and why must reach the row")
			require.LessOrEqual(t, len(w.walked), i+1, "no phase starts after the cancel")
			require.Equal(t, 1, w.discards, "partial blobs must be destroyed")
		})
	}
}

func TestCancelInTemporalTakesTheSamePath(t *testing.T) {
	for i, phase := range working {
		t.Run(string(phase), func(t *testing.T) {
			w := newWorld(t, nil)
			w.env.RegisterDelayedCallback(w.env.CancelWorkflow, during(i))
			err := w.run(t)
			require.True(t, temporal.IsCanceledError(err), "got %v", err)
			require.True(t, w.ends[0].Cancelled)
			require.Nil(t, w.ends[0].Cancel, "Temporal does not say who")
			require.Equal(t, 1, w.discards)
		})
	}
}

func TestRangesArePackedBesideEachOther(t *testing.T) {
	w := newWorld(t, nil)
	w.planned = nil
	for i := range 32 {
		w.planned = append(w.planned, activities.OrdinalRange{From: 10 * i, To: 10*i + 10})
	}
	queues := map[string]int{}
	w.env.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, _ converter.EncodedValues) {
		queues[info.ActivityType.Name+" "+info.TaskQueue]++
	})
	began := w.env.Now()
	require.NoError(t, w.run(t))
	require.ElementsMatch(t, w.planned, w.ranges)
	require.Equal(t, time.Duration(len(working)+1)*phaseTakes, w.env.Now().Sub(began), "at the same time")
	require.Equal(t, 32, queues["AdaptRange default-test-taskqueue-pack"], "%v", queues)
}

func TestWithNothingToPackAdaptIsSkipped(t *testing.T) {
	w := newWorld(t, nil)
	w.planned = nil
	require.NoError(t, w.run(t))
	require.NotContains(t, w.walked, export.PhaseAdapt)
	require.Contains(t, w.walked, export.PhaseManifest)
}

func TestARangeThatFailsStopsTheOthers(t *testing.T) {
	w := newWorld(t, nil)
	w.planned = []activities.OrdinalRange{{From: 0, To: 1}, {From: 1, To: 2}}
	failure := export.Failure{Code: export.CodeInternal, Message: "broken", Phase: export.PhaseAdapt}
	w.adapt = func(in activities.RangeInput) error {
		if in.Range == w.planned[0] {
			return temporal.NewApplicationErrorWithOptions("broken", string(export.ClassPermanent),
				temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{failure}})
		}
		return errors.New("and this one would be tried for ever")
	}
	require.Error(t, w.run(t))
	require.Equal(t, &failure, w.ends[0].Failure, "the first failure is the run's")
	require.False(t, w.ends[0].Cancelled)
	require.Equal(t, 1, w.discards)
	require.Less(t, len(w.ranges), 10, "the others are stopped")
}

func TestCancelFoundInTheRowAborts(t *testing.T) {
	w := newWorld(t, map[export.Phase]error{export.PhaseAdapt: temporal.NewNonRetryableApplicationError(
		"cancelled", string(export.ClassCancelled), nil)})
	require.True(t, temporal.IsCanceledError(w.run(t)))
	require.True(t, w.ends[0].Cancelled)
}

// Temporal repeats no attempt once its run is to end, so a cancelled phase may
// end with the timeout of a lost worker, or with a failure that would have gone
// away. (The SDK's test environment knows only phases that heed the cancel, so
// the walk is left out.)
func TestACancelledRunWhosePhaseFailsIsAborted(t *testing.T) {
	for name, err := range map[string]error{
		"lost worker": temporal.NewHeartbeatTimeoutError(),
		"failure": temporal.NewApplicationErrorWithOptions("away", string(export.ClassTransient), temporal.ApplicationErrorOptions{
			Details: []any{export.Failure{Code: export.CodeInternal, Message: "the database is away", Phase: export.PhaseSign}}}),
	} {
		t.Run(name, func(t *testing.T) {
			cancel := export.Cancellation{By: "kim", Reason: "wrong selectors"}
			w := newWorld(t, nil)
			w.env.RegisterDelayedCallback(func() { w.env.SignalWorkflow(CancelSignal, cancel) }, time.Second)
			w.env.ExecuteWorkflow(func(ctx workflow.Context) (ExportRunResult, error) {
				run, setup := Runs{}.setupExportRun(ctx, ref)
				require.NoError(t, setup)
				require.NoError(t, workflow.Await(ctx, func() bool { return run.cancel != nil }))
				return run.end(err)
			})
			require.True(t, temporal.IsCanceledError(w.env.GetWorkflowError()), "got %v", w.env.GetWorkflowError())
			require.Equal(t, []activities.EmitTimelineInput{{Ref: ref, Cancelled: true, Cancel: &cancel}}, w.ends)
			require.Equal(t, 1, w.discards)
		})
	}
}

func TestCancelAfterTheLastPhaseIsTooLate(t *testing.T) {
	w := newWorld(t, nil)
	w.env.RegisterDelayedCallback(func() {
		w.env.SignalWorkflow(CancelSignal, export.Cancellation{By: "kim"})
		w.env.CancelWorkflow()
	}, during(len(working)))
	require.NoError(t, w.run(t))
	require.False(t, w.ends[0].Cancelled)
	require.Zero(t, w.discards)
}

func TestSecondCancelDoesNotReplaceTheFirst(t *testing.T) {
	w := newWorld(t, nil)
	w.env.RegisterDelayedCallback(func() { w.env.SignalWorkflow(CancelSignal, export.Cancellation{By: "first"}) }, during(2))
	w.env.RegisterDelayedCallback(func() { w.env.SignalWorkflow(CancelSignal, export.Cancellation{By: "second"}) }, during(2)+time.Second)
	require.Error(t, w.run(t))
	require.Equal(t, "first", w.ends[0].Cancel.By)
}

// A second workflow of a run that has failed, or a success that its rows do not
// bear out: Temporal must not show an empty result as completed.
func TestARunThatFailedElsewhereIsShownAsFailed(t *testing.T) {
	cancelled := temporal.NewNonRetryableApplicationError("cancelled", string(export.ClassCancelled), nil)
	for name, failing := range map[string]map[export.Phase]error{"all phases done": nil, "cancelled": {export.PhasePlan: cancelled}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, failing)
			w.elsewhere = export.StateFailed
			err := w.run(t)
			require.False(t, temporal.IsCanceledError(err), "the row says failed: %v", err)
			var app *temporal.ApplicationError
			require.ErrorAs(t, err, &app)
			require.True(t, app.NonRetryable())
			require.Contains(t, app.Error(), "its row and its events say why")
			require.Equal(t, 1, w.discards)
		})
	}
}

func TestStatusQueryNamesThePhase(t *testing.T) {
	for i, phase := range working {
		w := newWorld(t, nil)
		w.env.RegisterDelayedCallback(func() {
			answer, err := w.env.QueryWorkflow(StatusQuery)
			require.NoError(t, err)
			var status ExportRunStatus
			require.NoError(t, answer.Get(&status))
			require.Equal(t, ExportRunStatus{Phase: phase}, status)
		}, during(i))
		require.NoError(t, w.run(t))
	}
}

// during is a moment in the middle of the i-th phase.
func during(i int) time.Duration { return time.Duration(i)*phaseTakes + phaseTakes/2 }
