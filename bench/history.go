package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	enumspb "go.temporal.io/api/enums/v1"
	temporal "go.temporal.io/sdk/client"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/worker"
)

// dialTemporal connects to the Temporal of the house.
func (h *house) dialTemporal(ctx context.Context) (temporal.Client, error) {
	t := h.config.Temporal
	return worker.Dial(ctx, worker.Config{Address: t.Address, Namespace: t.Namespace},
		slog.New(slog.NewTextHandler(io.Discard, nil)))
}

// history is the size of a workflow's history.
type history struct{ events, activities int }

// historyOf waits for the end of a run's workflow, which comes a moment after
// the end of the run, and counts.
func (b *bench) historyOf(ctx context.Context, tenant, runID string) (history, error) {
	return countHistory(ctx, b.temporal, export.RunWorkflowID(export.Ref{Tenant: tenant, RunID: runID}))
}

func countHistory(ctx context.Context, c temporal.Client, workflowID string) (history, error) {
	var found history
	if err := c.GetWorkflow(ctx, workflowID, "").Get(ctx, nil); err != nil {
		return found, fmt.Errorf("workflow %s: %w", workflowID, err)
	}
	all := c.GetWorkflowHistory(ctx, workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for all.HasNext() {
		event, err := all.Next()
		if err != nil {
			return found, fmt.Errorf("history of workflow %s: %w", workflowID, err)
		}
		found.events++
		if event.EventType == enumspb.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED {
			found.activities++
		}
	}
	return found, nil
}
