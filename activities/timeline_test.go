package activities

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/testsuite"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/storage"
)

// ends notes how a run is to end and refuses some of it.
type ends struct {
	storage.Execution
	asked  []storage.Outcome
	refuse map[export.State]error
	cancel *export.Cancellation // that was accepted when it refuses
}

var endingRef = export.Ref{Tenant: "demo", RunID: "0190c0de-0000-7000-8000-000000000001"}

func (e *ends) BeginPart(_ context.Context, ref export.Ref, phase export.Phase, _ string, attempt int64) (storage.Claim, export.Run, error) {
	return storage.Claim{Ref: ref, Phase: phase, Attempt: attempt}, export.Run{Tenant: ref.Tenant, ID: ref.RunID, State: export.StateRunning}, nil
}

func (e *ends) Finish(_ context.Context, _ storage.Claim, o storage.Outcome) (export.Run, error) {
	e.asked = append(e.asked, o)
	run := export.Run{Tenant: endingRef.Tenant, ID: endingRef.RunID, State: o.State, Failure: o.Failure}
	if e.refuse[o.State] != nil {
		run.State, run.Cancel = export.StateRunning, e.cancel
	}
	return run, e.refuse[o.State]
}

func (e *ends) emit(t *testing.T) (EmitTimelineResult, error) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	suite.SetLogger(sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)))
	env := suite.NewTestActivityEnvironment()
	a := &Export{Execution: e, Clock: clock.Fixed(time.Unix(1, 0)), Log: slog.New(slog.DiscardHandler)}
	env.RegisterActivity(a)
	var result EmitTimelineResult
	value, err := env.ExecuteActivity(a.EmitTimeline, EmitTimelineInput{Ref: endingRef})
	if err == nil {
		require.NoError(t, value.Get(&result))
	}
	return result, err
}

// The end of a run as of the past is told as one, and so is its failure.
func TestTheEndOfARunOfThePastSaysSo(t *testing.T) {
	e := &Export{Clock: clock.Fixed(time.Unix(1, 0))}
	run := export.Run{Tenant: endingRef.Tenant, ID: endingRef.RunID, State: export.StateRunning, Options: export.Options{MirrorRunID: "R"}}
	for _, in := range []EmitTimelineInput{{Ref: endingRef}, {Ref: endingRef, Failure: &export.Failure{Code: export.CodeRebuild}}, {Ref: endingRef, Cancelled: true}} {
		events := e.outcome(in, run).Timeline
		require.NotEmpty(t, events)
		for _, event := range events {
			require.Equal(t, map[string]string{"mirrorRunId": "R"}, event.Attributes)
		}
	}
}

// A success without all it promises is refused for ever. The run must end all
// the same, so it fails and says why.
func TestAnIncompleteSuccessFails(t *testing.T) {
	refusal := &export.Error{Code: export.CodeDistribution, Class: export.ClassPermanent, Message: "nothing was delivered", Err: storage.ErrConflict}
	e := &ends{refuse: map[export.State]error{export.StateSucceeded: fmt.Errorf("finish run: %w", refusal)}}
	result, err := e.emit(t)
	require.NoError(t, err)
	require.Equal(t, export.StateFailed, result.State)
	require.Len(t, e.asked, 2)
	require.Equal(t, &export.Failure{Code: export.CodeDistribution, Phase: export.PhaseDistribute, Message: "nothing was delivered"}, e.asked[1].Failure)
	require.Equal(t, export.TransitionFailed, e.asked[1].Timeline[0].EventType)
}

// The cancel may be accepted between the look at the run and its end.
func TestACancelThatIsAcceptedMeanwhileIsHeard(t *testing.T) {
	e := &ends{cancel: &export.Cancellation{By: "kim", Reason: "wrong", At: time.Unix(1, 0)},
		refuse: map[export.State]error{
			export.StateSucceeded: fmt.Errorf("nothing was delivered: %w", storage.ErrConflict),
			export.StateFailed:    fmt.Errorf("its cancel was accepted: %w", storage.ErrConflict),
		}}
	result, err := e.emit(t)
	require.NoError(t, err)
	require.Equal(t, export.StateAborted, result.State)
	require.Equal(t, e.cancel, e.asked[2].Cancel)
}

// Whatever else goes wrong while a run ends is tried again, not made a failure.
func TestADatabaseThatIsAwayDoesNotFailTheRun(t *testing.T) {
	e := &ends{refuse: map[export.State]error{export.StateSucceeded: errors.New("connection reset")}}
	_, err := e.emit(t)
	require.Error(t, err)
	require.Len(t, e.asked, 1)

	e = &ends{}
	result, err := e.emit(t)
	require.NoError(t, err)
	require.Equal(t, export.StateSucceeded, result.State)
}

// A cancel signal that was sent by hand may not say when: a run is not
// cancelled in the year 1.
func TestACancelWithoutItsTimeGetsOne(t *testing.T) {
	outcome := aborted(EmitTimelineInput{Cancel: &export.Cancellation{By: "kim", Reason: "by hand"}}, export.Run{}, time.Unix(1, 0))
	require.Equal(t, &export.Cancellation{By: "kim", Reason: "by hand", At: time.Unix(1, 0)}, outcome.Cancel)
}

// A cancel that the API has accepted counts also when a phase failed after it.
func TestAFailureAfterAnAcceptedCancelIsAnAbort(t *testing.T) {
	run := export.Run{Cancel: &export.Cancellation{By: "kim", Reason: "wrong selectors", At: time.Unix(1, 0)}}
	e := &Export{Clock: clock.Fixed(time.Unix(2, 0))}
	failed := EmitTimelineInput{Failure: &export.Failure{Code: export.CodeInternal, Message: "timed out"}}
	require.Equal(t, export.StateAborted, e.outcome(failed, run).State)
	require.Equal(t, export.StateFailed, e.outcome(failed, export.Run{}).State)
	require.Equal(t, export.StateSucceeded, e.outcome(EmitTimelineInput{}, run).State, "it was too late")
}
