package activities

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

func TestClassesBecomeRetryDecisions(t *testing.T) {
	e := &Export{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	for name, c := range map[string]struct {
		err   error
		retry bool
		code  export.Code
	}{
		"unknown":   {errors.New("dial tcp 10.0.0.1: secret detail"), true, export.CodeInternal},
		"permanent": {export.Errorf(export.CodeEmptySelection, "nothing selected"), false, export.CodeEmptySelection},
		"upstream":  {&export.Error{Code: export.CodeSigning, Class: export.ClassUpstream, Message: "key service"}, true, export.CodeSigning},
		"cancelled": {&export.Error{Code: export.CodeCancelled, Class: export.ClassCancelled}, false, export.CodeCancelled},
		"stale":     {fmt.Errorf("save: %w", storage.ErrStale), false, export.CodeInternal},
		"corrupt":   {fmt.Errorf("read: %w", storage.ErrCorrupt), false, export.CodeInternal},
	} {
		t.Run(name, func(t *testing.T) {
			err := e.fail(context.Background(), export.Ref{RunID: "r"}, export.PhaseAdapt, c.err)
			var app *temporal.ApplicationError
			require.ErrorAs(t, err, &app)
			require.Equal(t, c.retry, !app.NonRetryable())
			var failure export.Failure
			require.NoError(t, app.Details(&failure))
			require.Equal(t, c.code, failure.Code)
			require.Equal(t, export.PhaseAdapt, failure.Phase)
			require.NotContains(t, err.Error()+failure.Message, "secret", "causes go to the log, not to a history")
		})
	}
}

func TestSuccessIsNoError(t *testing.T) {
	require.NoError(t, (&Export{}).fail(context.Background(), export.Ref{}, export.PhasePlan, nil))
}

func TestCancelledAttemptIsLeftToTemporal(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := (&Export{}).fail(ctx, export.Ref{}, export.PhasePlan, fmt.Errorf("read: %w", ctx.Err()))
	require.ErrorIs(t, err, context.Canceled)
	var app *temporal.ApplicationError
	require.False(t, errors.As(err, &app))
}

func TestLaterAttemptsHaveGreaterNumbers(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_000)
	number := func(ms int, attempt int32) int64 {
		return attemptOf(activity.Info{ScheduledTime: at.Add(time.Duration(ms) * time.Millisecond), Attempt: attempt})
	}
	require.Less(t, number(0, 1), number(0, 2))
	require.Less(t, number(0, 60), number(1, 1), "a reset workflow counts its attempts from one again")
	for _, attempt := range []int32{999, 1000, 1001, 5000} {
		require.Less(t, number(0, 998), number(0, attempt), "attempt %d", attempt)
		require.Less(t, number(0, attempt), number(1, 1), "attempt %d", attempt)
	}
}

// A run must end: its last phase is given up only when there is no such run.
func TestTheEndOfARunIsNotGivenUp(t *testing.T) {
	e := &Export{Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	for name, c := range map[string]struct {
		err   error
		retry bool
	}{
		"read only while failing over": {&export.Error{Code: export.CodeInternal, Class: export.ClassPermanent}, true},
		"no grant while migrating":     {&export.Error{Code: export.CodeCrossTenant, Class: export.ClassPermanent}, true},
		"a clock that was set back":    {fmt.Errorf("begin: %w", storage.ErrStale), true},
		"no such run":                  {&export.Error{Code: export.CodeRunNotFound, Class: export.ClassPermanent, Err: storage.ErrNotFound}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var app *temporal.ApplicationError
			require.ErrorAs(t, e.fail(context.Background(), export.Ref{RunID: "r"}, export.PhaseEmitTimeline, c.err), &app)
			require.Equal(t, c.retry, !app.NonRetryable())
		})
	}
}

func TestOutcomeNamesWhoCancelled(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	e := &Export{Clock: func() time.Time { return now }}
	signal := &export.Cancellation{By: "signal", Reason: "a"}
	row := &export.Cancellation{By: "row", Reason: "b"}
	for name, c := range map[string]struct {
		in   EmitTimelineInput
		run  export.Run
		want string
	}{
		"temporal": {EmitTimelineInput{Cancelled: true}, export.Run{}, "temporal"},
		"signal":   {EmitTimelineInput{Cancelled: true, Cancel: signal}, export.Run{}, "signal"},
		"row wins": {EmitTimelineInput{Cancelled: true, Cancel: signal}, export.Run{Cancel: row}, "row"},
	} {
		t.Run(name, func(t *testing.T) {
			o := e.outcome(c.in, c.run)
			require.Equal(t, export.StateAborted, o.State)
			require.Equal(t, c.want, o.Cancel.By)
			require.Len(t, o.Timeline, 1)
			require.Equal(t, export.TransitionFailed, o.Timeline[0].EventType)
		})
	}
}

func TestTimelineEventsAreDerivedFromRunAndTransition(t *testing.T) {
	run := export.Run{Tenant: "demo", ID: "0190c0de-0000-7000-8000-000000000001"}
	first := timelineEvent(run, export.TransitionBuilt, time.Now())
	again := timelineEvent(run, export.TransitionBuilt, time.Now().Add(time.Hour))
	other := timelineEvent(run, export.TransitionDistributed, time.Now())
	require.Equal(t, first.EventID, again.EventID)
	require.NotEqual(t, first.EventID, other.EventID)
}
