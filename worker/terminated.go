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
// for those that were, and ends their runs, mostly within ten seconds of
// the termination.
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
	// terminatedAll is the pause between two looks at all that Temporal remembers:
	// for what it listed later than the overlap, and runs that could not be ended.
	terminatedAll = 10 * time.Minute
	// terminatedPage bounds one list.
	terminatedPage = 100
)

// watchTerminated ends the runs of terminated workflows, until ctx ends.
func (d *Dispatcher) watchTerminated(ctx context.Context) {
	ticker := time.NewTicker(terminatedEvery)
	defer ticker.Stop()
	var since, lookedAtAll time.Time
	for {
		began := d.Clock()
		all := began.Sub(lookedAtAll) >= terminatedAll
		if all {
			since = time.Time{}
		}
		listed, err := d.endTerminated(ctx, since)
		if err != nil {
			d.warn(ctx, err, "cannot end the runs of terminated workflows; trying again")
		}
		if listed {
			since = began.Add(-terminatedGrace - terminatedOverlap)
		}
		if listed && all {
			lookedAtAll = began
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// endTerminated ends the runs whose workflow was terminated after since, and
// reports whether it has seen them all. One that cannot be ended does not keep
// the others from their end.
func (d *Dispatcher) endTerminated(ctx context.Context, since time.Time) (listed bool, failed error) {
	var next []byte
	for {
		page, err := d.listTerminated(ctx, since, next)
		if err != nil {
			return false, errors.Join(failed, err)
		}
		for _, w := range page.GetExecutions() {
			if d.Clock().Sub(w.GetCloseTime().AsTime()) < terminatedGrace {
				continue // the next look has it
			}
			failed = errors.Join(failed, d.endOne(ctx, w))
		}
		if next = page.GetNextPageToken(); len(next) == 0 {
			return true, failed
		}
	}
}

func (d *Dispatcher) listTerminated(ctx context.Context, since time.Time, next []byte) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	// Of our queue: another installation may use the same namespace.
	query := "WorkflowType = 'ExportRun' AND ExecutionStatus = 'Terminated' AND TaskQueue = " + quoted(d.TaskQueue)
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

// quoted is text as a string of Temporal's list filter, which has no escapes we
// would need: a queue is named by the operator.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }

// endOne ends the run of a terminated workflow, unless it has a later one: a
// reset, or somebody who ended the run already. A run that has ended keeps its
// end, so one too many does no harm.
func (d *Dispatcher) endOne(ctx context.Context, w *workflowpb.WorkflowExecutionInfo) error {
	ref, ours := export.ParseRunWorkflowID(w.GetExecution().GetWorkflowId())
	if !ours {
		return nil
	}
	latest, err := d.latest(ctx, ref)
	if err != nil {
		return fmt.Errorf("look at the terminated workflow of run %s: %w", ref.RunID, err)
	}
	if latest != "" && latest != w.GetExecution().GetRunId() {
		return nil
	}
	return d.bury(ctx, storage.Waiting{Ref: ref, ProfileID: profileOf(w)}, d.whyGone(ctx, ref))
}

// latest is Temporal's id of a run's latest workflow, "" when it was deleted.
func (d *Dispatcher) latest(ctx context.Context, ref export.Ref) (string, error) {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	found, err := d.Client.DescribeWorkflowExecution(ctx, export.RunWorkflowID(ref), "")
	if gone(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return found.GetWorkflowExecutionInfo().GetExecution().GetRunId(), nil
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
