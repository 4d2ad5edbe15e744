package activities

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"go.temporal.io/sdk/activity"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/sealed"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
)

// Export runs the phases of an export.
type Export struct {
	Ledger    ledger.Store
	Execution storage.Execution
	Objects   storage.Objects
	Signer    signing.Signer
	Adapters  *adapters.Registry
	// Approvals let runs read the evidence of other tenants.
	Approvals Approvals
	// Scratch and Policies are for kinds that build; nil where there are none.
	Scratch  Scratch
	Policies Policies
	// KeyWrapper wraps data keys of encrypted bundles by keys of kms://; nil where no
	// key service is configured, and then no such recipient can be used. Random is
	// what their keys and nonces are made of; nil is the system's.
	KeyWrapper sealed.KeyWrapper
	Random     io.Reader
	// MirrorOf tells of the mirror that a run belongs to; nil reads its row.
	MirrorOf func(ctx context.Context, run export.Run) (MirrorRef, error)
	// TUF is for mirrors.
	TUF   TUF
	Clock clock.Clock
	Log   *slog.Logger
	// Version of this program, for manifest and provenance.
	Version string
}

// PhaseInput is the input of every phase: the run's name. All else is read
// from its rows, so a history holds no tenant data.
type PhaseInput struct {
	Ref export.Ref `json:"ref"`
}

// PhaseResult is the result of a phase, in counts and digests.
type PhaseResult struct {
	Shards  int    `json:"shards,omitempty"`
	Records int64  `json:"records,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`
	Digest  string `json:"digest,omitempty"`
	// Builds says, after resolve, that Assemble follows once all is packed.
	Builds bool `json:"builds,omitempty"`
	// Rebuild says, after plan, that Compare follows Manifest, and nothing else does.
	Rebuild bool `json:"rebuild,omitempty"`
	// Guarded says, after resolve, that Guard follows that.
	Guarded bool `json:"guarded,omitempty"`
	// Encrypted says, after resolve, that Encrypt follows Sign.
	Encrypted bool `json:"encrypted,omitempty"`
	// Ranges are what is left to pack, after resolve: at most maxRanges.
	Ranges []OrdinalRange `json:"ranges,omitempty"`
}

// RangeInput is the input of AdaptRange: shards of a run's plan.
type RangeInput struct {
	Ref   export.Ref   `json:"ref"`
	Range OrdinalRange `json:"range"`
}

// begin claims phase for this attempt and returns the run as it stands. A run
// whose cancellation was requested is not worked on any more.
func (e *Export) begin(ctx context.Context, ref export.Ref, phase export.Phase) (storage.Claim, export.Run, error) {
	return e.beginPart(ctx, ref, phase, "")
}

// beginPart claims a part of a phase.
func (e *Export) beginPart(ctx context.Context, ref export.Ref, phase export.Phase, part string) (storage.Claim, export.Run, error) {
	claim, run, err := e.Execution.BeginPart(ctx, ref, phase, part, attemptIn(ctx))
	if err != nil {
		return claim, run, fmt.Errorf("begin %s: %w", phase, err)
	}
	if run.RebuildOf != "" && (phase == export.PhaseSign || phase == export.PhaseDistribute) {
		return claim, run, fmt.Errorf("begin %s: run %s is a rebuild, which publishes nothing: %w", phase, ref.RunID, storage.ErrCorrupt)
	}
	if run.Cancel != nil && phase != export.PhaseEmitTimeline {
		return claim, run, &export.Error{
			Code: export.CodeCancelled, Class: export.ClassCancelled, Message: "cancelled by request",
		}
	}
	return claim, run, nil
}

// attemptIn numbers the attempt that ctx is of. Where no Temporal runs the phase there is
// one attempt (BuildHere).
func attemptIn(ctx context.Context) int64 {
	if !activity.IsActivity(ctx) {
		return 1
	}
	return attemptOf(activity.GetInfo(ctx))
}

// attemptOf numbers an attempt so that every later one has a greater number,
// also after a workflow was reset and counts its activity attempts from one
// again: milliseconds of the scheduling time, then the attempt. Attempts past
// the 999th share a number: one that counted from one again would be refused
// for ever, and the phase that ends a run is tried without limit.
func attemptOf(info activity.Info) int64 {
	const attemptsPerSchedule = 1000
	return info.ScheduledTime.UnixMilli()*attemptsPerSchedule + min(int64(info.Attempt), attemptsPerSchedule-1)
}

// log gives the run's logger with the contract's fields.
func (e *Export) log(run export.Run, phase export.Phase) *slog.Logger {
	return e.Log.With("run_id", run.ID, "tenant", run.Tenant,
		"profile_kind", run.Kind+":"+run.Variant, "phase", phase.Words().Log)
}
