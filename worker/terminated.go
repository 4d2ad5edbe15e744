package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/converter"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// A run whose workflow was terminated gets no chance to end itself: no code of
// ours runs when Temporal terminates a workflow. So a dispatcher asks Temporal
// for those that were, and ends their runs, within 30 seconds of the
// termination.
const (
	// terminatedEvery is the pause between two looks.
	terminatedEvery = 2 * time.Second
	// terminatedGrace lets an activity that was under way stop by itself: it
	// hears of the termination with its next heartbeat, and what it stores
	// after its run has ended nobody would destroy.
	terminatedGrace = 5 * time.Second
	// terminatedOverlap is looked at again each time: Temporal lists a workflow
	// some time after it has closed, and its clock is not ours.
	terminatedOverlap = time.Minute
	// terminatedPage bounds one list.
	terminatedPage = 100
)

// watchTerminated ends the runs of terminated workflows, until ctx ends. The
// first look is at all that Temporal remembers.
func (d *Dispatcher) watchTerminated(ctx context.Context) {
	ticker := time.NewTicker(terminatedEvery)
	defer ticker.Stop()
	var since time.Time
	for {
		began := d.Clock()
		if err := d.endTerminated(ctx, since); err != nil {
			d.warn(ctx, err, "cannot look for terminated workflows; trying again")
		} else {
			since = began.Add(-terminatedGrace - terminatedOverlap)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// endTerminated ends the runs whose workflow was terminated after since.
func (d *Dispatcher) endTerminated(ctx context.Context, since time.Time) error {
	var next []byte
	var failed error // one run must not keep the others from their end
	for {
		page, err := d.listTerminated(ctx, since, next)
		if err != nil {
			return errors.Join(failed, err)
		}
		for _, w := range page.GetExecutions() {
			if d.Clock().Sub(w.GetCloseTime().AsTime()) < terminatedGrace {
				continue // the next look has it
			}
			failed = errors.Join(failed, d.endOne(ctx, w))
		}
		if next = page.GetNextPageToken(); len(next) == 0 {
			return failed
		}
	}
}

func (d *Dispatcher) listTerminated(ctx context.Context, since time.Time, next []byte) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	query := "WorkflowType = 'ExportRun' AND ExecutionStatus = 'Terminated'"
	if !since.IsZero() {
		query += " AND CloseTime >= '" + since.UTC().Format(time.RFC3339) + "'"
	}
	page, err := d.Client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		PageSize: terminatedPage, NextPageToken: next, Query: query,
	})
	if err != nil {
		return nil, fmt.Errorf("list terminated workflows: %w", err)
	}
	return page, nil
}

// endOne ends the run of a terminated workflow, unless it has a later one: a
// reset, or somebody who ended the run already.
func (d *Dispatcher) endOne(ctx context.Context, w *workflowpb.WorkflowExecutionInfo) error {
	id := w.GetExecution().GetWorkflowId()
	ref, ours := export.ParseRunWorkflowID(id)
	if !ours {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	latest, err := d.Client.DescribeWorkflowExecution(ctx, id, "")
	if gone(err) { // deleted since
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the terminated workflow of run %s: %w", ref.RunID, err)
	}
	if latest.GetWorkflowExecutionInfo().GetExecution().GetRunId() != w.GetExecution().GetRunId() {
		return nil
	}
	return d.bury(ctx, storage.Waiting{Ref: ref, ProfileID: profileOf(w)}, d.whyGone(ctx, ref))
}

// whyGone reads from the last event of a run's latest workflow who terminated
// it and why. Where that cannot be read the run must end all the same.
func (d *Dispatcher) whyGone(ctx context.Context, ref export.Ref) string {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	last := d.Client.GetWorkflowHistory(ctx, export.RunWorkflowID(ref), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT)
	for last.HasNext() {
		event, err := last.Next()
		if err != nil {
			break
		}
		said := event.GetWorkflowExecutionTerminatedEventAttributes()
		if said == nil {
			continue
		}
		why := "its workflow was terminated in Temporal"
		if who := said.GetIdentity(); who != "" {
			why += " by " + shortened(who)
		}
		if reason := said.GetReason(); reason != "" {
			why += ": " + shortened(reason)
		}
		return why
	}
	return "its workflow ended without ending the run"
}

// shortened bounds an operator's words, as the API bounds a caller's.
func shortened(text string) string {
	const atMost = 256
	return strings.ToValidUTF8(text[:min(len(text), atMost)], "")
}

// profileOf is the profile in a workflow's search attributes, "" without one.
func profileOf(w *workflowpb.WorkflowExecutionInfo) (profile string) {
	value := w.GetSearchAttributes().GetIndexedFields()[export.AttributeProfile]
	if value == nil || converter.GetDefaultDataConverter().FromPayload(value, &profile) != nil {
		return ""
	}
	return profile
}
