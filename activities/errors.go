package activities

import (
	"context"
	"errors"

	"go.temporal.io/sdk/temporal"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// fail turns err into what Temporal records and retries by. It is the one place
// where failure classes become retry decisions. The message holds the code and
// our own words only: histories are read by people who must not see tenant
// data, so causes go to the worker's log.
func (e *Export) fail(ctx context.Context, ref export.Ref, phase export.Phase, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return err // Temporal knows best why it cancelled the attempt
	}
	failure := FailureOf(err, phase)
	class := classOf(err, phase)
	e.Log.Error("phase failed", "run_id", ref.RunID, "tenant", ref.Tenant, "phase", phase.Words().Log,
		"error_code", string(failure.Code), "class", string(class), "error", err.Error())
	return temporal.NewApplicationErrorWithOptions(string(failure.Code)+" in "+string(phase), string(class),
		temporal.ApplicationErrorOptions{NonRetryable: !class.Retryable(), Details: []any{failure}})
}

// FailureOf is the failure a client may see: the message of a coded error, a
// neutral sentence for any other.
func FailureOf(err error, phase export.Phase) export.Failure {
	var coded *export.Error
	if errors.As(err, &coded) {
		return export.Failure{Code: coded.Code, Message: coded.Message, Phase: phase}
	}
	return export.Failure{
		Code:    export.CodeInternal,
		Message: "the phase failed for a reason that is not the request's; the worker's log has it under this run id",
		Phase:   phase,
	}
}

func classOf(err error, phase export.Phase) export.Class {
	switch {
	case errors.Is(err, storage.ErrNotFound), errors.Is(err, storage.ErrCorrupt):
		return export.ClassPermanent
	case phase == export.PhaseEmitTimeline:
		// A run must end, and its blobs must go, whatever the database says
		// while it is restored, migrated or fails over.
		return export.ClassTransient
	case errors.Is(err, storage.ErrStale):
		// Another attempt owns the phase, or the run has ended; a retry of
		// this attempt would only be refused again.
		return export.ClassPermanent
	}
	return export.ClassOf(err)
}
