package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/workflows"
)

// Dispatcher brings runs and cancel requests to Temporal. The API calls it
// right after the row is committed; a worker calls Loop, which finds in the
// database what a crash or an absent Temporal left undelivered. Both may do
// the same thing twice: a workflow id starts one workflow, and a run listens
// to the first cancel. A run whose workflow is gone without having ended it
// (terminated by an operator, lost with Temporal's database) is ended by Loop.
type Dispatcher struct {
	Client    client.Client
	TaskQueue string
	Waiting   storage.Dispatch
	Log       *slog.Logger
}

// dispatchEvery is the pause between two looks at the database.
const dispatchEvery = time.Second

// dispatchBatch bounds one look.
const dispatchBatch = 100

// callTimeout bounds one call to Temporal, so that a request to the API does
// not wait for a server that is away.
const callTimeout = 3 * time.Second

// StartRun starts the workflow of a run; one that exists is left alone.
func (d *Dispatcher) StartRun(ctx context.Context, run export.Run) error {
	if err := d.start(ctx, run.Ref(), run.ProfileID); err != nil && !gone(err) {
		return err
	}
	return nil
}

func (d *Dispatcher) start(ctx context.Context, ref export.Ref, profileID string) error {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	_, err := d.Client.ExecuteWorkflow(ctx, d.options(ref, profileID), workflows.ExportRun, workflows.ExportRunInput{Ref: ref})
	if err != nil {
		return fmt.Errorf("start workflow of run %s: %w", ref.RunID, err)
	}
	return nil
}

// bury ends a run whose workflow is gone: a new workflow finds the cancel
// before its first step and records the end. When the run has ended since,
// that end stays, and the new workflow changes nothing.
func (d *Dispatcher) bury(ctx context.Context, w storage.Waiting) error {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	options := d.options(w.Ref, w.ProfileID)
	options.WorkflowIDReusePolicy = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	_, err := d.Client.SignalWithStartWorkflow(ctx, options.ID, workflows.CancelSignal,
		export.Cancellation{By: "temporal", Reason: "its workflow ended without ending the run"},
		options, workflows.ExportRun, workflows.ExportRunInput{Ref: w.Ref})
	if err != nil {
		return fmt.Errorf("end run %s, whose workflow is gone: %w", w.Ref.RunID, err)
	}
	return nil
}

// gone reports whether err says that a workflow is not there any more. A start
// is refused with AlreadyStarted only when it has closed (see options).
func gone(err error) bool {
	var closed *serviceerror.WorkflowExecutionAlreadyStarted
	var absent *serviceerror.NotFound
	return errors.As(err, &closed) || errors.As(err, &absent)
}

// CancelRun tells the workflow of a run to end. Who asked and why is in the
// run's row already; the signal makes it heard at once.
func (d *Dispatcher) CancelRun(ctx context.Context, ref export.Ref) error {
	if err := d.signal(ctx, ref); err != nil && !gone(err) {
		return err
	}
	return nil
}

func (d *Dispatcher) signal(ctx context.Context, ref export.Ref) error {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	err := d.Client.SignalWorkflow(ctx, export.RunWorkflowID(ref), "", workflows.CancelSignal,
		export.Cancellation{By: "the API", Reason: "as the run's row says"})
	if err != nil {
		return fmt.Errorf("signal workflow of run %s: %w", ref.RunID, err)
	}
	return nil
}

func (d *Dispatcher) options(ref export.Ref, profileID string) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		ID:                       export.RunWorkflowID(ref),
		TaskQueue:                d.TaskQueue,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		// The SDK would hide that the workflow has closed.
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		TypedSearchAttributes: temporal.NewSearchAttributes(
			tenantAttribute.ValueSet(ref.Tenant), profileAttribute.ValueSet(profileID)),
	}
}

var (
	tenantAttribute  = temporal.NewSearchAttributeKeyKeyword(export.AttributeTenant)
	profileAttribute = temporal.NewSearchAttributeKeyKeyword(export.AttributeProfile)
)

// Loop delivers what waits, until ctx ends.
func (d *Dispatcher) Loop(ctx context.Context) {
	ticker := time.NewTicker(dispatchEvery)
	defer ticker.Stop()
	for {
		d.deliver(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (d *Dispatcher) deliver(ctx context.Context) {
	waiting, err := d.Waiting.Waiting(ctx, dispatchBatch)
	if err != nil {
		if ctx.Err() == nil {
			d.Log.Warn("cannot look for waiting runs; trying again", "error", err.Error())
		}
		return
	}
	for _, w := range waiting {
		if err := d.deliverOne(ctx, w); err != nil && ctx.Err() == nil {
			d.Log.Warn("cannot deliver a run to temporal; trying again", "run_id", w.Ref.RunID, "error", err.Error())
		}
	}
}

func (d *Dispatcher) deliverOne(ctx context.Context, w storage.Waiting) (err error) {
	if w.Pending {
		err = d.start(ctx, w.Ref, w.ProfileID)
	}
	if err == nil && w.Cancel {
		err = d.signal(ctx, w.Ref)
	}
	if gone(err) {
		return d.bury(ctx, w)
	}
	return err
}
