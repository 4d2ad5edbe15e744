package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/workflows"
)

// Dispatcher brings runs and cancel requests to Temporal. The API calls it
// right after the row of a run that found a free slot is committed; a worker
// calls Loop, which gives out the runs that wait for a slot, and finds in the
// database what a crash or an absent Temporal left undelivered. Both may do
// the same thing twice: a workflow id starts one workflow, and a run listens
// to the first cancel. A run whose workflow is gone without having ended it is
// ended by Loop: at once when it waits for a start or a cancel, within
// seconds when it was terminated (terminated.go). One that ran and whose
// workflow Temporal does not know any more ends when it is cancelled.
//
// A run is marked in the database before Temporal hears of it, so any number
// of dispatchers together keep a tenant's cap, and a run whose dispatcher died
// between the two is started by the next look.
type Dispatcher struct {
	Client    Temporal
	TaskQueue string
	Waiting   storage.Dispatch // Loop's
	Clock     clock.Clock      // Loop's
	Log       *slog.Logger
}

// Temporal is what a Dispatcher asks of it; a client.Client is one.
type Temporal interface {
	ExecuteWorkflow(ctx context.Context, options client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
	SignalWorkflow(ctx context.Context, workflowID, runID, signal string, arg any) error
	SignalWithStartWorkflow(ctx context.Context, workflowID, signal string, signalArg any,
		options client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
	ListWorkflow(ctx context.Context, request *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error)
	DescribeWorkflowExecution(ctx context.Context, workflowID, runID string) (*workflowservice.DescribeWorkflowExecutionResponse, error)
	GetWorkflowHistory(ctx context.Context, workflowID, runID string, isLongPoll bool, filter enumspb.HistoryEventFilterType) client.HistoryEventIterator
}

// turnEvery is the pause between two looks at the queues that are known;
// every looksAtAll-th look is at the whole database.
const (
	turnEvery  = 100 * time.Millisecond
	looksAtAll = 10
)

// dispatchTenants bounds one list of what waits.
const dispatchTenants = 100

// callTimeout bounds one call to Temporal, so that a request to the API does
// not wait for a server that is away.
const callTimeout = 3 * time.Second

// lookTimeout bounds one question to the database, so that an answer that never
// comes holds up a look and not the loop.
const lookTimeout = 5 * time.Second

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
func (d *Dispatcher) bury(ctx context.Context, w storage.Waiting, why string) error {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	options := d.options(w.Ref, w.ProfileID)
	options.WorkflowIDReusePolicy = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE
	_, err := d.Client.SignalWithStartWorkflow(ctx, options.ID, workflows.CancelSignal,
		export.Cancellation{By: "temporal", Reason: why, At: d.Clock().UTC()},
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
	return d.send(ctx, ref, workflows.CancelSignal, export.Cancellation{By: "the API", Reason: "as the run's row says"})
}

// DecideRun tells the workflow of a run that waits that its row has news: the signal
// says nothing by itself, so that no history knows who decided what.
func (d *Dispatcher) DecideRun(ctx context.Context, ref export.Ref) error {
	if err := d.signalDecision(ctx, ref); err != nil && !gone(err) {
		return err
	}
	return nil
}

func (d *Dispatcher) signalDecision(ctx context.Context, ref export.Ref) error {
	return d.send(ctx, ref, workflows.DecisionSignal, export.Decision{By: "the API", Reason: "as the run's row says"})
}

func (d *Dispatcher) send(ctx context.Context, ref export.Ref, signal string, what any) error {
	ctx, stop := context.WithTimeout(ctx, callTimeout)
	defer stop()
	if err := d.Client.SignalWorkflow(ctx, export.RunWorkflowID(ref), "", signal, what); err != nil {
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

// Loop delivers what waits and gives out whose turn it is, until ctx ends.
func (d *Dispatcher) Loop(ctx context.Context) {
	var watch sync.WaitGroup
	watch.Go(func() { d.watchTerminated(ctx) })
	defer watch.Wait()
	ticker := time.NewTicker(turnEvery)
	defer ticker.Stop()
	var queues []string
	for n := 0; ; n++ {
		if n%looksAtAll == 0 {
			queues = d.deliver(ctx)
		} else {
			d.giveTurns(ctx, queues)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// deliver acts on everything that waits, tenant by tenant, and gives the
// tenants that have a queue.
func (d *Dispatcher) deliver(ctx context.Context) (queues []string) {
	after := ""
	for {
		waiting, err := d.look(ctx, after)
		if err != nil {
			d.warn(ctx, err, "cannot look for waiting runs; trying again")
			return queues
		}
		var found []string
		tenants := 0
		for _, w := range waiting {
			if w.Ref.Tenant != after {
				after, tenants = w.Ref.Tenant, tenants+1
			}
			if w.Queued {
				found = append(found, w.Ref.Tenant)
				continue
			}
			d.deliverOne(ctx, w)
		}
		d.giveTurns(ctx, found)
		if queues = append(queues, found...); tenants < dispatchTenants {
			return queues
		}
	}
}

func (d *Dispatcher) look(ctx context.Context, after string) ([]storage.Waiting, error) {
	ctx, stop := context.WithTimeout(ctx, lookTimeout)
	defer stop()
	return d.Waiting.Waiting(ctx, after, dispatchTenants)
}

func (d *Dispatcher) claim(ctx context.Context, tenant string) ([]storage.Waiting, error) {
	ctx, stop := context.WithTimeout(ctx, lookTimeout)
	defer stop()
	return d.Waiting.Claim(ctx, tenant, d.Clock())
}

// giveTurns starts the runs of tenants whose turn it is.
func (d *Dispatcher) giveTurns(ctx context.Context, tenants []string) {
	for _, tenant := range tenants {
		given, err := d.claim(ctx, tenant)
		if err != nil {
			d.warn(ctx, err, "cannot give out waiting runs; trying again", "tenant", tenant)
			continue
		}
		for _, w := range given {
			d.deliverOne(ctx, w)
		}
	}
}

// deliverOne brings a run to Temporal. What fails is in the next list.
func (d *Dispatcher) deliverOne(ctx context.Context, w storage.Waiting) {
	if err := d.bring(ctx, w); err != nil {
		d.warn(ctx, err, "cannot deliver a run to temporal; trying again", "run_id", w.Ref.RunID)
	}
}

func (d *Dispatcher) warn(ctx context.Context, err error, message string, more ...any) {
	if ctx.Err() == nil {
		d.Log.Warn(message, append(more, "error", err.Error())...)
	}
}

func (d *Dispatcher) bring(ctx context.Context, w storage.Waiting) (err error) {
	if w.Pending {
		err = d.start(ctx, w.Ref, w.ProfileID)
	}
	if err == nil && w.Cancel {
		err = d.signal(ctx, w.Ref)
	}
	if err == nil && w.Decided && !w.Cancel {
		err = d.signalDecision(ctx, w.Ref)
	}
	if gone(err) {
		return d.bury(ctx, w, d.whyGone(ctx, w.Ref))
	}
	return err
}
