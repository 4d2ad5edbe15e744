package fault

import (
	"context"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/stella-ops/exportcenter/worker"
)

// Temporal passes starts and signals to inner through their point.
func (i *Injector) Temporal(inner worker.Temporal) worker.Temporal { return &temporal{i, inner} }

type temporal struct {
	injector *Injector
	inner    worker.Temporal
}

func (t *temporal) ExecuteWorkflow(ctx context.Context, options client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error) {
	return answer(ctx, t.injector, StartWorkflow, func(ctx context.Context) (client.WorkflowRun, error) {
		return t.inner.ExecuteWorkflow(ctx, options, workflow, args...)
	})
}

func (t *temporal) SignalWorkflow(ctx context.Context, workflowID, runID, signal string, arg any) error {
	return t.injector.At(ctx, SignalCancel, func(ctx context.Context) error {
		return t.inner.SignalWorkflow(ctx, workflowID, runID, signal, arg)
	})
}

func (t *temporal) SignalWithStartWorkflow(ctx context.Context, workflowID, signal string, signalArg any,
	options client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error) {
	return answer(ctx, t.injector, SignalWithStart, func(ctx context.Context) (client.WorkflowRun, error) {
		return t.inner.SignalWithStartWorkflow(ctx, workflowID, signal, signalArg, options, workflow, args...)
	})
}

func (t *temporal) ListWorkflow(ctx context.Context, request *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	return read(t.injector, func() (*workflowservice.ListWorkflowExecutionsResponse, error) {
		return t.inner.ListWorkflow(ctx, request)
	})
}

func (t *temporal) DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return read(t.injector, func() (*workflowservice.DescribeWorkflowExecutionResponse, error) {
		return t.inner.DescribeWorkflowExecution(ctx, workflowID, runID)
	})
}

// GetWorkflowHistory asks nothing by itself: its iterator does, over a
// connection that a crash cuts.
func (t *temporal) GetWorkflowHistory(ctx context.Context, workflowID, runID string, isLongPoll bool, filter enumspb.HistoryEventFilterType) client.HistoryEventIterator {
	return t.inner.GetWorkflowHistory(ctx, workflowID, runID, isLongPoll, filter)
}
