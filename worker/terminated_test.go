package worker

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/mocks"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/workflows"
)

// terminated is a workflow that was terminated this long ago.
func terminated(id string, ago time.Duration) *workflowpb.WorkflowExecutionInfo {
	return &workflowpb.WorkflowExecutionInfo{
		Execution: &commonpb.WorkflowExecution{WorkflowId: id, RunId: "terminated"},
		CloseTime: timestamppb.New(time.Unix(1772366400, 0).Add(-ago)),
	}
}

// lastEvent is a history of one event.
type lastEvent struct{ event *historypb.HistoryEvent }

func (l *lastEvent) HasNext() bool { return l.event != nil }

func (l *lastEvent) Next() (*historypb.HistoryEvent, error) {
	event := l.event
	l.event = nil
	return event, nil
}

// terminatedBy is the last event of a workflow that was terminated.
func terminatedBy(who, why string) *historypb.HistoryEvent {
	return &historypb.HistoryEvent{Attributes: &historypb.HistoryEvent_WorkflowExecutionTerminatedEventAttributes{
		WorkflowExecutionTerminatedEventAttributes: &historypb.WorkflowExecutionTerminatedEventAttributes{Identity: who, Reason: why}}}
}

// lookAtTerminated lets a dispatcher look once at a Temporal that lists w and
// says that the latest workflow of its id is latest, or gone. It gives what the run's
// new workflow is told.
func lookAtTerminated(t *testing.T, w *workflowpb.WorkflowExecutionInfo, latest, who, why string) (told []export.Cancellation) {
	t.Helper()
	temporal := mocks.NewClient(t)
	temporal.On("ListWorkflow", mock.Anything, mock.MatchedBy(func(r *workflowservice.ListWorkflowExecutionsRequest) bool {
		return strings.Contains(r.Query, "ExecutionStatus = 'Terminated' AND TaskQueue = 'ours'") && strings.Contains(r.Query, "CloseTime >= '2026-")
	})).Return(&workflowservice.ListWorkflowExecutionsResponse{Executions: []*workflowpb.WorkflowExecutionInfo{w}}, nil).Once()
	var absent error
	if latest == "" {
		absent = serviceerror.NewNotFound("deleted")
	}
	temporal.On("DescribeWorkflowExecution", mock.Anything, w.Execution.WorkflowId, "").Return(
		&workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{
			Execution: &commonpb.WorkflowExecution{WorkflowId: w.Execution.WorkflowId, RunId: latest}}}, absent).Maybe()
	events := &lastEvent{terminatedBy(who, why)}
	temporal.On("GetWorkflowHistory", mock.Anything, w.Execution.WorkflowId, "", false,
		enumspb.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT).Return(events).Maybe()
	temporal.On("SignalWithStartWorkflow", mock.Anything, w.Execution.WorkflowId, workflows.CancelSignal, mock.Anything, mock.Anything, mock.Anything, mock.Anything).
		Run(func(args mock.Arguments) { told = append(told, args.Get(3).(export.Cancellation)) }).Return(nil, nil).Maybe()
	d := &Dispatcher{Client: temporal, TaskQueue: "ours", Clock: clock.Fixed(time.Unix(1772366400, 0)), Log: slog.New(slog.DiscardHandler)}
	listed, err := d.endTerminated(t.Context(), time.Unix(1772366000, 0))
	require.NoError(t, err)
	require.True(t, listed)
	return told
}

// Nothing of ours runs when a workflow is terminated, so its run is ended from
// outside, and the run says who did it and why.
func TestTheRunOfATerminatedWorkflowIsEnded(t *testing.T) {
	id := export.RunWorkflowID(ref)
	told := lookAtTerminated(t, terminated(id, terminatedGrace), "terminated", "kim@console", strings.Repeat("x", 1000))
	require.Len(t, told, 1)
	require.Equal(t, "temporal", told[0].By)
	require.Equal(t, "its workflow was terminated in Temporal by kim@console: "+strings.Repeat("x", 256), told[0].Reason)
	require.False(t, told[0].At.IsZero())

	require.Len(t, lookAtTerminated(t, terminated(id, time.Minute), "", "", ""), 1, "deleted, which ends it too")
	require.Empty(t, lookAtTerminated(t, terminated(id, terminatedGrace-time.Second), "terminated", "", ""), "what was under way may still stop by itself")
	require.Empty(t, lookAtTerminated(t, terminated(id, time.Minute), "a later one", "", ""), "a reset, or ended already")
	require.Empty(t, lookAtTerminated(t, terminated("somebody-else/1", time.Minute), "terminated", "", ""), "not a run of ours")
}
