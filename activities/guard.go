package activities

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// guards reports whether a result of the run's kind that shrank waits.
func (e *Export) guards(run export.Run) (bool, error) {
	if run.RebuildOf != "" {
		return false, nil
	}
	adapter, err := e.Adapters.For(run.Kind, run.Variant)
	if err != nil {
		return false, err
	}
	builder, builds := adapter.(adapters.Builder)
	return builds && builder.Guarded(), nil
}

// GuardResult says whether the run goes on.
type GuardResult struct {
	Parked bool `json:"parked"`
	// Until a run that is parked waits.
	Until time.Time `json:"until,omitzero"`
}

// Guard holds what a run built against what the last run of its profile and selection
// did, before anything is published (ARCHITECTURE D13, docs/guard.md). A run that shrank
// waits for somebody to decide. What was found once stays: whoever decides has read it.
func (e *Export) Guard(ctx context.Context, in PhaseInput) (GuardResult, error) {
	result, err := e.guard(ctx, in.Ref)
	return result, e.fail(ctx, in.Ref, export.PhaseGuard, err)
}

func (e *Export) guard(ctx context.Context, ref export.Ref) (GuardResult, error) {
	defer newHeartbeat(ctx).wait()()
	claim, run, err := e.begin(ctx, ref, export.PhaseGuard)
	if err != nil {
		return GuardResult{}, err
	}
	found, err := e.Execution.Guarded(ctx, ref)
	if errors.Is(err, storage.ErrNotFound) {
		found, err = e.inspect(ctx, run)
	}
	if err != nil {
		return GuardResult{}, err
	}
	run, err = e.Execution.SaveGuard(ctx, claim, found)
	if err != nil {
		return GuardResult{}, fmt.Errorf("save what the guard found: %w", err)
	}
	if run.State != export.StateWaiting {
		return GuardResult{}, nil
	}
	e.log(run, export.PhaseGuard).Warn("the run waits for an approval", "reasons", found.Report.ReasonsTotal, "until", run.Wait.Until)
	return GuardResult{Parked: true, Until: run.Wait.Until}, nil
}

// inspect makes the report of a run.
func (e *Export) inspect(ctx context.Context, run export.Run) (storage.Guarded, error) {
	now, err := e.Execution.Sources(ctx, run.Ref())
	if err != nil {
		return storage.Guarded{}, fmt.Errorf("read what the sources gave: %w", err)
	}
	_, shards, err := e.Execution.Plan(ctx, run.Ref())
	if err != nil {
		return storage.Guarded{}, fmt.Errorf("load plan: %w", err)
	}
	canaries, err := e.canaries(ctx, run, shards)
	if err != nil {
		return storage.Guarded{}, err
	}
	var baseline *export.GuardBaseline
	var before []export.SourceCount
	var gone export.Disappeared
	last, err := e.published(ctx, run)
	switch {
	case errors.Is(err, storage.ErrNotFound):
	case err != nil:
		return storage.Guarded{}, fmt.Errorf("find the last run of the profile: %w", err)
	default:
		baseline = &export.GuardBaseline{RunID: last.ID, RequestedAt: last.RequestedAt}
		if before, err = e.Execution.Sources(ctx, last.Ref()); err != nil {
			return storage.Guarded{}, fmt.Errorf("read what the sources gave run %s: %w", last.ID, err)
		}
		if gone, err = e.disappeared(ctx, run, last, shards); err != nil {
			return storage.Guarded{}, err
		}
	}
	report := run.Guard.Of(run).NewGuardReport(baseline, before, now, run.RequestedAt, canaries, gone)
	at := e.Clock().UTC()
	return storage.Guarded{Report: report, Parked: report.Parks(), At: at, Until: at.Add(run.Guard.Patience())}, nil
}

// published is the run that another is held against. What is as of the past replaces
// nothing that was published: it is held against none.
func (e *Export) published(ctx context.Context, run export.Run) (export.Run, error) {
	if run.Past() {
		return export.Run{}, storage.ErrNotFound
	}
	return e.Execution.LastGuarded(ctx, run)
}

// SettleInput is what a workflow has heard about a run that waits.
type SettleInput struct {
	Ref export.Ref `json:"ref"`
	// Decision came by a signal, and counts where the run's row has none; nil looks
	// what the row says.
	Decision *export.Decision `json:"decision,omitempty"`
	// Expired: its time is over.
	Expired bool `json:"expired,omitempty"`
}

// SettleResult says how a wait stands: neither, approved, or approved with a slot.
type SettleResult struct {
	Approved bool `json:"approved,omitempty"`
	Resumed  bool `json:"resumed,omitempty"`
}

// Settle writes down what was decided, unless the row knows of a decision: the first
// stands. A run that is rejected, or about which nobody decided in time, fails.
func (e *Export) Settle(ctx context.Context, in SettleInput) (SettleResult, error) {
	result, err := e.settle(ctx, in)
	return result, e.fail(ctx, in.Ref, export.PhaseGuard, err)
}

func (e *Export) settle(ctx context.Context, in SettleInput) (SettleResult, error) {
	claim, _, err := e.begin(ctx, in.Ref, export.PhaseGuard)
	if err != nil {
		return SettleResult{}, err
	}
	now := e.Clock().UTC()
	run, err := e.Execution.Settle(ctx, claim, decisionOf(in, now), now)
	if err != nil {
		return SettleResult{}, fmt.Errorf("settle what the run waits for: %w", err)
	}
	if err := refusal(run); err != nil {
		return SettleResult{}, err
	}
	return SettleResult{Approved: run.Wait.Approved(), Resumed: run.State == export.StateRunning}, nil
}

// decisionOf is the decision of a signal, which need not say everything, nil when it is
// none: an unknown word must not let a run go on, nor end it.
func decisionOf(in SettleInput, now time.Time) *export.Decision {
	if in.Expired {
		return &export.Decision{Verdict: export.VerdictExpired, By: "exportcenter", Reason: "nobody decided in time", At: now}
	}
	if in.Decision == nil || in.Decision.Verdict != export.VerdictApproved && in.Decision.Verdict != export.VerdictRejected {
		return nil
	}
	d := *in.Decision
	if d.By == "" {
		d.By = "temporal"
	}
	if d.Reason == "" {
		d.Reason = "signalled in Temporal"
	}
	if d.At.IsZero() {
		d.At = now
	}
	return &d
}

// refusal is the failure of a run that does not go on, in words that may stand in
// Temporal's history; the row's are made when it ends.
func refusal(run export.Run) error {
	if run.Wait == nil || run.Wait.Decision == nil {
		return nil
	}
	switch run.Wait.Decision.Verdict {
	case export.VerdictRejected:
		return &export.Error{Code: export.CodeRejected, Class: export.ClassPolicy,
			Message: "the result was rejected; the last one that was approved stays the published one"}
	case export.VerdictExpired:
		return &export.Error{Code: export.CodeUndecided, Class: export.ClassPolicy,
			Message: "nobody approved or rejected the result in time; the last one stays the published one. Ask for a new run, and decide about it"}
	}
	return nil
}

// inFull adds to the failure of a rejected run who rejected it, and why.
func inFull(failure *export.Failure, run export.Run) *export.Failure {
	if failure == nil || failure.Code != export.CodeRejected || run.Wait == nil || run.Wait.Decision == nil {
		return failure
	}
	full := *failure
	full.Message = fmt.Sprintf("rejected by %s: %s", run.Wait.Decision.By, run.Wait.Decision.Reason)
	return &full
}
