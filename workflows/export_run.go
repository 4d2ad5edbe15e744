package workflows

import (
	"errors"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/export"
)

// Names that others use to talk to a run's workflow.
const (
	// CancelSignal asks a run to end; its argument is an export.Cancellation.
	CancelSignal = "cancel"
	// DecisionSignal approves or rejects a run that waits, or says that its row has
	// news; its argument is an export.Decision.
	DecisionSignal = "decision"
	// StatusQuery answers with an ExportRunStatus.
	StatusQuery = "status"
)

// ExportRunInput names the run; everything else is in its rows.
type ExportRunInput struct {
	Ref export.Ref `json:"ref"`
}

// ExportRunResult is how the run ended.
type ExportRunResult struct {
	State         export.State `json:"state"`
	PayloadDigest string       `json:"payloadDigest,omitempty"`
}

// ExportRunStatus is the answer to the status query. The truth about a run is
// its row; this says where its workflow is.
type ExportRunStatus struct {
	Phase     export.Phase `json:"phase"`
	Cancelled bool         `json:"cancelled"`
	// Waits says that the run holds for somebody to decide.
	Waits bool `json:"waits,omitempty"`
}

// ExportRun walks a run through its phases: plan, resolve, adapt, manifest,
// sign, distribute, emit timeline. Whatever happens on the way, the last step
// ends the run, exactly once.
func ExportRun(ctx workflow.Context, in ExportRunInput) (ExportRunResult, error) {
	return Runs{}.ExportRun(ctx, in)
}

// ExportRunName is the workflow's name in Temporal and in recorded histories.
const ExportRunName = "ExportRun"

// ExportRun is ExportRun with the patience of r; it has the same name in Temporal.
func (r Runs) ExportRun(ctx workflow.Context, in ExportRunInput) (ExportRunResult, error) {
	run, err := r.setupExportRun(ctx, in.Ref)
	if err != nil {
		return ExportRunResult{}, err
	}
	return run.end(run.walk())
}

// exportRun is a run under way.
type exportRun struct {
	Runs
	ref    export.Ref
	ctx    workflow.Context // the run's own context: both ways to cancel end it
	phase  export.Phase
	cancel *export.Cancellation // from the signal
	waits  bool
}

// setupExportRun answers queries and listens for cancel before the first step,
// so that a run can be asked anything from its first moment.
func (r Runs) setupExportRun(ctx workflow.Context, ref export.Ref) (*exportRun, error) {
	own, stop := workflow.WithCancel(ctx)
	run := &exportRun{Runs: r, ref: ref, ctx: own, phase: export.PhasePlan}
	err := workflow.SetQueryHandler(ctx, StatusQuery, func() (ExportRunStatus, error) {
		return ExportRunStatus{Phase: run.phase, Cancelled: run.ctx.Err() != nil, Waits: run.waits}, nil
	})
	if err != nil {
		return nil, err
	}
	workflow.Go(ctx, func(ctx workflow.Context) {
		var cancel export.Cancellation
		if workflow.GetSignalChannel(ctx, CancelSignal).Receive(ctx, &cancel); run.cancel == nil {
			run.cancel = &cancel
		}
		stop()
	})
	return run, nil
}

// walk takes the phases in order until one fails or the run is cancelled.
func (r *exportRun) walk() error {
	var begun, planned activities.PhaseResult
	steps := []func() error{
		func() error { return r.take(export.PhasePlan, exporting.Plan, &begun) },
		func() error { return r.take(export.PhaseResolve, exporting.Resolve, &planned) },
		func() error { return r.adapt(planned.Ranges) },
		func() error { return r.assemble(planned.Builds) },
		func() error { return r.guard(planned.Guarded) },
		func() error { return r.take(export.PhaseManifest, exporting.Manifest, nil) },
		func() error { return r.conclude(begun.Rebuild, planned.Encrypted) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// conclude signs the bundle and distributes it; a rebuild's is compared instead. Runs
// that began under a version without rebuilds are none: their plan does not say so.
func (r *exportRun) conclude(rebuild, encrypted bool) error {
	if rebuild {
		return r.take(export.PhaseCompare, exporting.Compare, nil)
	}
	if err := r.take(export.PhaseSign, exporting.Sign, nil); err != nil {
		return err
	}
	if err := r.encrypt(encrypted); err != nil {
		return err
	}
	return r.take(export.PhaseDistribute, exporting.Distribute, nil)
}

// take runs the activity of a phase.
func (r *exportRun) take(phase export.Phase, activity any, result *activities.PhaseResult) error {
	r.phase = phase
	ctx := r.forPhase(r.ctx, phase)
	running := workflow.ExecuteActivity(ctx, activity, activities.PhaseInput{Ref: r.ref})
	if result == nil {
		return running.Get(ctx, nil)
	}
	return running.Get(ctx, result)
}

// Changes of this workflow that runs under way when they came must not take.
const changeRanges = "adapt-ranges" // 1: adapt is an activity per range

// PackQueue is the task queue of the activities that pack, beside that of all
// others: a worker packs as many ranges at once as it has processors, and what
// waits for its turn holds up nothing else.
func PackQueue(queue string) string { return queue + "-pack" }

// adapt packs the ranges beside each other. When one fails for good the others
// are stopped; their work is over before the run ends.
func (r *exportRun) adapt(ranges []activities.OrdinalRange) error {
	if workflow.GetVersion(r.ctx, changeRanges, workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return r.take(export.PhaseAdapt, exporting.Adapt, nil)
	}
	r.phase = export.PhaseAdapt
	within, stop := workflow.WithCancel(r.ctx)
	defer stop()
	ctx := r.forPhase(within, export.PhaseAdapt)
	if len(ranges) > 1 { // a small run need not wait behind large ones
		ctx = workflow.WithTaskQueue(ctx, PackQueue(workflow.GetInfo(ctx).TaskQueueName))
	}
	var failed error
	ended := workflow.NewSelector(ctx)
	for _, of := range ranges {
		ended.AddFuture(workflow.ExecuteActivity(ctx, exporting.AdaptRange, activities.RangeInput{Ref: r.ref, Range: of}), func(f workflow.Future) {
			if err := f.Get(ctx, nil); err != nil && failed == nil {
				failed = err
				stop()
			}
		})
	}
	for range ranges {
		ended.Select(ctx)
	}
	return failed
}

// assemble builds what the run's kind makes of its packed shards. Runs that began
// under a version without it build nothing: their plan does not say so.
func (r *exportRun) assemble(builds bool) error {
	if !builds {
		return nil
	}
	return r.take(export.PhaseAdapt, exporting.Assemble, nil)
}

// encrypt puts the layer of encryption around a bundle that is signed. Runs that began
// under a version without it are not encrypted: their plan does not say so.
func (r *exportRun) encrypt(encrypted bool) error {
	if !encrypted {
		return nil
	}
	r.phase = export.PhaseSign
	ctx := r.forEncrypt(r.ctx)
	return workflow.ExecuteActivity(ctx, exporting.Encrypt, activities.PhaseInput{Ref: r.ref}).Get(ctx, nil)
}

// end records how the run ended, in a context that no cancel reaches, and
// destroys what a run without a bundle left behind.
func (r *exportRun) end(err error) (ExportRunResult, error) {
	disconnected, _ := workflow.NewDisconnectedContext(r.ctx)
	ctx := r.forPhase(disconnected, export.PhaseEmitTimeline)
	failedIn := r.phase
	r.phase = export.PhaseEmitTimeline

	var ended activities.EmitTimelineResult
	in := activities.EmitTimelineInput{Ref: r.ref, Cancel: r.cancel}
	switch {
	case isCancel(err), err != nil && r.ctx.Err() != nil:
		// Temporal does not repeat an attempt of a run that is to end: what the
		// loss of its worker or a moment's failure left behind is the cancel's.
		in.Cancelled = true
	case err != nil:
		in.Failure = failureOf(err, failedIn)
	}
	if emitErr := workflow.ExecuteActivity(ctx, exporting.EmitTimeline, in).Get(ctx, &ended); emitErr != nil {
		return ExportRunResult{}, emitErr
	}
	if ended.State != export.StateSucceeded || ended.Rebuild {
		discarded := workflow.ExecuteActivity(ctx, exporting.Discard, activities.PhaseInput{Ref: r.ref}).Get(ctx, nil)
		if discarded != nil {
			return ExportRunResult{}, discarded
		}
	}
	return r.result(ended, err)
}

// result makes Temporal show what the row says: completed, failed or cancelled.
func (r *exportRun) result(ended activities.EmitTimelineResult, err error) (ExportRunResult, error) {
	switch ended.State {
	case export.StateAborted:
		return ExportRunResult{}, temporal.NewCanceledError()
	case export.StateFailed:
		if err == nil || isCancel(err) { // nothing failed here
			err = failedElsewhere()
		}
		return ExportRunResult{}, err
	}
	return ExportRunResult{State: ended.State, PayloadDigest: ended.PayloadDigest}, nil
}

// failedElsewhere is the error of a workflow whose own phases did not fail: the
// run had ended before, under an earlier workflow, or its rows were not those
// of a success.
func failedElsewhere() error {
	return temporal.NewNonRetryableApplicationError("the run has failed; its row and its events say why",
		string(export.ClassPermanent), nil)
}

// isCancel reports whether err is a cancellation, by context or by an activity
// that found the request in the run's row.
func isCancel(err error) bool {
	if err == nil {
		return false
	}
	var app *temporal.ApplicationError
	return temporal.IsCanceledError(err) || errors.As(err, &app) && app.Type() == string(export.ClassCancelled)
}

// failureOf reads the failure out of an activity's error; what carries none
// (a timeout, retries used up on a lost worker) gets a neutral one.
func failureOf(err error, phase export.Phase) *export.Failure {
	var app *temporal.ApplicationError
	if errors.As(err, &app) && app.HasDetails() {
		var failure export.Failure
		if app.Details(&failure) == nil && failure.Code != "" {
			return &failure
		}
	}
	return &export.Failure{
		Code: export.CodeInternal, Phase: phase,
		Message: "the phase did not finish in time; the worker's log has more under this run id",
	}
}
