package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// EmitTimelineInput says how the run ended. With neither Failure nor
// Cancelled it succeeded.
type EmitTimelineInput struct {
	Ref       export.Ref           `json:"ref"`
	Failure   *export.Failure      `json:"failure,omitempty"`
	Cancelled bool                 `json:"cancelled,omitempty"`
	Cancel    *export.Cancellation `json:"cancel,omitempty"`
}

// EmitTimelineResult is the state the run ended in.
type EmitTimelineResult struct {
	State         export.State `json:"state"`
	PayloadDigest string       `json:"payloadDigest,omitempty"`
	// Rebuild: the run has no bundle, however it ended.
	Rebuild bool `json:"rebuild,omitempty"`
}

// EmitTimeline ends the run: the terminal state, its journal event and its
// timeline event commit together, once. A run that has ended before keeps its
// end, and that end is the answer.
func (e *Export) EmitTimeline(ctx context.Context, in EmitTimelineInput) (EmitTimelineResult, error) {
	run, err := e.emitTimeline(ctx, in)
	if err != nil {
		return EmitTimelineResult{}, e.fail(ctx, in.Ref, export.PhaseEmitTimeline, err)
	}
	return EmitTimelineResult{State: run.State, PayloadDigest: run.Result.PayloadDigest, Rebuild: run.RebuildOf != ""}, nil
}

func (e *Export) emitTimeline(ctx context.Context, in EmitTimelineInput) (export.Run, error) {
	claim, run, err := e.begin(ctx, in.Ref, export.PhaseEmitTimeline)
	if errors.Is(err, storage.ErrStale) && run.State.Terminal() {
		return run, nil
	}
	if err != nil {
		return run, err
	}
	outcome := e.outcome(in, run)
	ended, err := e.Execution.Finish(ctx, claim, outcome)
	if outcome.State == export.StateSucceeded && errors.Is(err, storage.ErrConflict) {
		// Its rows are not those of a success. A run must end, so it fails.
		failure := FailureOf(err, export.PhaseDistribute)
		in.Failure = &failure
		outcome = e.outcome(in, run)
		ended, err = e.Execution.Finish(ctx, claim, outcome)
	}
	if outcome.State == export.StateFailed && errors.Is(err, storage.ErrConflict) {
		// A cancel was accepted since the run was read: whoever asked for it was
		// told that the run will be aborted.
		ended, err = e.Execution.Finish(ctx, claim, e.outcome(in, ended))
	}
	if err != nil {
		return run, fmt.Errorf("finish run: %w", err)
	}
	e.log(run, export.PhaseEmitTimeline).Info("run ended", "state", string(ended.State))
	return ended, nil
}

// outcome is how a run ends, and what the platform hears of it: of a rebuild nothing.
func (e *Export) outcome(in EmitTimelineInput, run export.Run) storage.Outcome {
	o := e.ending(in, run)
	if run.RebuildOf != "" {
		o.Timeline = nil
		if o.State == export.StateSucceeded {
			o.Message = "the same bytes came out as in run " + run.RebuildOf
		}
	}
	return o
}

func (e *Export) ending(in EmitTimelineInput, run export.Run) storage.Outcome {
	now := e.Clock()
	switch {
	case in.Cancelled, in.Failure != nil && run.Cancel != nil:
		// Whoever was told that the cancel is accepted is not told of a failure
		// that came after it.
		return aborted(in, run, now)
	case in.Failure != nil:
		failure := inFull(in.Failure, run)
		event := timelineEvent(run, export.TransitionFailed, now)
		event.Failure = failure
		return storage.Outcome{State: export.StateFailed, Failure: failure, At: now,
			Message: failure.Message, Timeline: []export.TimelineEvent{event}}
	}
	return storage.Outcome{State: export.StateSucceeded, At: now, Message: "the bundle is ready",
		Timeline: []export.TimelineEvent{timelineEvent(run, export.TransitionDistributed, now)}}
}

// aborted is the end of a cancelled run. Who asked is in the signal or, when
// the API asked, in the run's row; Cancel in the Temporal UI names nobody.
func aborted(in EmitTimelineInput, run export.Run, now time.Time) storage.Outcome {
	cancel := in.Cancel
	if run.Cancel != nil {
		cancel = run.Cancel
	}
	if cancel == nil {
		cancel = &export.Cancellation{By: "temporal", Reason: "cancelled in Temporal", At: now}
	}
	if cancel.At.IsZero() { // a signal sent by hand need not say when
		cancel = &export.Cancellation{By: cancel.By, Reason: cancel.Reason, At: now}
	}
	failure := &export.Failure{Code: export.CodeCancelled, Phase: export.PhaseEmitTimeline,
		Message: "cancelled by " + cancel.By + ": " + cancel.Reason}
	event := timelineEvent(run, export.TransitionFailed, now)
	event.Failure = failure
	return storage.Outcome{State: export.StateAborted, Cancel: cancel, At: now,
		Message: failure.Message, Timeline: []export.TimelineEvent{event}}
}

// timelineEvent tells the platform of a transition, with the evidence for it.
func timelineEvent(run export.Run, t export.Transition, at time.Time) export.TimelineEvent {
	event := export.TimelineEvent{
		EventID:        export.TimelineEventID(run.Ref(), t),
		TenantID:       run.Tenant,
		EventType:      t,
		Source:         "exportcenter",
		OccurredAt:     at.UTC().Format(time.RFC3339Nano),
		CorrelationID:  run.ID,
		RunID:          run.ID,
		ProfileID:      run.ProfileID,
		ManifestDigest: run.Result.ManifestDigest,
		PayloadDigest:  run.Result.PayloadDigest,
		EvidenceRefs:   []export.EvidenceRef{},
		Attributes:     run.Attributes(),
	}
	if d, err := bundle.ParseDigest(run.Result.ManifestDigest); err == nil {
		event.EvidenceRefs = append(event.EvidenceRefs, export.EvidenceRef{Kind: "manifest", Digest: d.String(), URI: d.URI()})
	}
	return event
}

// Discard destroys what a run left in the blob store when it ended without a
// bundle. What another run shares stays.
func (e *Export) Discard(ctx context.Context, in PhaseInput) (PhaseResult, error) {
	result, err := e.discard(ctx, in.Ref)
	return result, e.fail(ctx, in.Ref, export.PhaseEmitTimeline, err)
}

func (e *Export) discard(ctx context.Context, ref export.Ref) (PhaseResult, error) {
	digests, err := storage.Destroy(ctx, e.Execution, ref, e.Objects.Delete)
	return PhaseResult{Records: int64(len(digests))}, err
}
