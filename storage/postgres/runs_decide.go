package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Decide records what somebody says of a run that waits. The row is the truth; the
// dispatcher brings it to the workflow, as it does a cancel, and gives a run that was
// approved its slot.
func (r *Runs) Decide(ctx context.Context, ref export.Ref, d export.Decision) (run export.Run, err error) {
	if !export.ValidRunID(ref.RunID) {
		return run, absentRun(ref)
	}
	if d.Verdict != export.VerdictApproved && d.Verdict != export.VerdictRejected {
		return run, export.Errorf(export.CodeValidation, "a run is approved or rejected, not %.40q", string(d.Verdict))
	}
	err = r.db.WithTenant(ctx, ref.Tenant, func(tx pgx.Tx) error {
		if run, err = lockRun(ctx, tx, ref); err != nil {
			return err
		}
		if why := run.Refuses(d); why != "" {
			return &export.Error{Code: export.CodeStateConflict, Class: export.ClassPermanent, Err: storage.ErrConflict, Message: why}
		}
		if run.Wait.Decision != nil { // the same again
			return nil
		}
		run, err = recordDecision(ctx, tx, run, d)
		return err
	})
	if err != nil {
		return run, fmt.Errorf("decide about run: %w", err)
	}
	return run, nil
}

// toldOf are the event and the transition of a verdict. Nobody is told of a wait that
// has expired but by the failure that follows.
var toldOf = map[export.Verdict]struct {
	event      export.EventType
	transition export.Transition
}{
	export.VerdictApproved: {export.EventApproved, export.TransitionApproved},
	export.VerdictRejected: {export.EventRejected, export.TransitionRejected},
}

// recordDecision writes the first decision, with what is told of it.
func recordDecision(ctx context.Context, tx pgx.Tx, run export.Run, d export.Decision) (export.Run, error) {
	run, err := scanRun(tx.QueryRow(ctx, `
		update export_runs set decision = $3, decided_at = $4, decided_by = $5, decision_reason = $6
		where tenant = $1 and id = $2 returning `+runColumns,
		run.Tenant, run.ID, string(d.Verdict), d.At, storable(d.By), storable(d.Reason)))
	told, heard := toldOf[d.Verdict]
	if err != nil || !heard {
		return run, err
	}
	err = addEvents(ctx, tx, run, entry{kind: told.event, at: d.At, message: fmt.Sprintf("%s by %s: %s", d.Verdict, d.By, d.Reason)})
	if err != nil {
		return run, err
	}
	return run, addTimeline(ctx, tx, run, d.At, waitingEvent(run, told.transition, d.At))
}
