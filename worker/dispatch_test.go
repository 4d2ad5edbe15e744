package worker

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/mocks"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/workflows"
)

var ref = export.Ref{Tenant: "demo", RunID: "0190c0de-0000-7000-8000-000000000001"}

// waiting is a database in which these runs wait.
type waiting []storage.Waiting

func (w waiting) Waiting(context.Context, string, int) ([]storage.Waiting, error) { return w, nil }

func (waiting) Claim(context.Context, string, time.Time) ([]storage.Waiting, error) { return nil, nil }

var (
	errClosed = serviceerror.NewWorkflowExecutionAlreadyStarted("closed", "", "")
	errAbsent = serviceerror.NewNotFound("no such workflow")
	errAway   = errors.New("temporal is away")
)

// look lets the dispatcher look once at one waiting run, with a Temporal that
// answers a start and a signal like this, and gives the run that was buried.
func look(t *testing.T, w storage.Waiting, start, signal error) (buried []client.StartWorkflowOptions) {
	t.Helper()
	temporal := mocks.NewClient(t)
	id := export.RunWorkflowID(ref)
	temporal.On("ExecuteWorkflow", mock.Anything, mock.MatchedBy(func(o client.StartWorkflowOptions) bool {
		return o.WorkflowExecutionErrorWhenAlreadyStarted // else the SDK makes a success of it
	}), mock.Anything, mock.Anything).Return(nil, start).Maybe()
	temporal.On("SignalWorkflow", mock.Anything, id, "", workflows.CancelSignal, mock.Anything).Return(signal).Maybe()
	temporal.On("GetWorkflowHistory", mock.Anything, id, "", false, mock.Anything).Return(&lastEvent{terminatedBy("kim", "stop it")}).Maybe()
	temporal.On("SignalWithStartWorkflow", mock.Anything, id, workflows.CancelSignal, mock.Anything, mock.Anything, mock.Anything, mock.Anything).
		Run(func(args mock.Arguments) {
			require.Equal(t, "its workflow was terminated in Temporal by kim: stop it", args.Get(3).(export.Cancellation).Reason, "who and why")
			buried = append(buried, args.Get(4).(client.StartWorkflowOptions))
		}).Return(nil, nil).Maybe()
	d := &Dispatcher{Client: temporal, Waiting: waiting{w}, Clock: clock.Fixed(time.Unix(1772366400, 0)), Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	d.deliver(t.Context())
	return buried
}

// A run whose workflow was terminated, or lost, is ended: it would wait for
// ever, and in front of those that wait for a start.
func TestARunWhoseWorkflowIsGoneIsEnded(t *testing.T) {
	pending, cancelled := storage.Waiting{Ref: ref, Pending: true}, storage.Waiting{Ref: ref, Cancel: true}
	both := storage.Waiting{Ref: ref, Pending: true, Cancel: true}
	for name, c := range map[string]struct {
		run           storage.Waiting
		start, signal error
		buried        int
	}{
		"starts":                     {pending, nil, nil, 0},
		"pending, but closed":        {pending, errClosed, nil, 1},
		"pending, temporal away":     {pending, errAway, nil, 0},
		"cancel is heard":            {cancelled, nil, nil, 0},
		"cancel finds no workflow":   {cancelled, nil, errAbsent, 1},
		"cancel, temporal away":      {cancelled, nil, errAway, 0},
		"both, closed":               {both, errClosed, nil, 1},
		"both, closed between calls": {both, nil, errAbsent, 1},
	} {
		t.Run(name, func(t *testing.T) {
			buried := look(t, c.run, c.start, c.signal)
			require.Len(t, buried, c.buried)
			for _, options := range buried {
				require.Equal(t, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE, options.WorkflowIDReusePolicy)
			}
		})
	}
}

// The API leaves the burial to the loop: its run may have ended just now.
func TestTheAPIDoesNotBury(t *testing.T) {
	temporal := mocks.NewClient(t)
	temporal.On("ExecuteWorkflow", mock.Anything, mock.Anything, mock.Anything, mock.Anything).Return(nil, errClosed).Once()
	temporal.On("SignalWorkflow", mock.Anything, mock.Anything, "", workflows.CancelSignal, mock.Anything).Return(errAbsent).Once()
	d := &Dispatcher{Client: temporal}
	require.NoError(t, d.StartRun(t.Context(), export.Run{Tenant: ref.Tenant, ID: ref.RunID}))
	require.NoError(t, d.CancelRun(t.Context(), ref))
}

// silent is a database that accepts a question and never answers.
type silent struct{ asked chan bool }

func (s silent) Waiting(ctx context.Context, _ string, _ int) ([]storage.Waiting, error) {
	_, bounded := ctx.Deadline()
	s.asked <- bounded
	return nil, errAway
}

func (s silent) Claim(ctx context.Context, _ string, _ time.Time) ([]storage.Waiting, error) {
	_, bounded := ctx.Deadline()
	s.asked <- bounded
	return nil, errAway
}

// One answer that never comes must not stop the runs of all tenants.
func TestADispatcherDoesNotWaitForEverForTheDatabase(t *testing.T) {
	s := silent{make(chan bool, 2)}
	d := &Dispatcher{Waiting: s, Clock: clock.Fixed(time.Unix(1772366400, 0)), Log: slog.New(slog.DiscardHandler)}
	d.deliver(t.Context())
	require.True(t, <-s.asked)
	d.giveTurns(t.Context(), []string{"demo"})
	require.True(t, <-s.asked)
}
