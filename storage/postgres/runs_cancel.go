package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// RequestCancel records who wants a run to end. The run ends later, by its
// workflow; whoever comes second finds the first request.
func (r *Runs) RequestCancel(ctx context.Context, ref export.Ref, c export.Cancellation) (run export.Run, err error) {
	if !export.ValidRunID(ref.RunID) {
		return run, absentRun(ref)
	}
	err = r.db.WithTenant(ctx, ref.Tenant, func(tx pgx.Tx) error {
		if run, err = lockRun(ctx, tx, ref); err != nil {
			return err
		}
		if run.State.Terminal() {
			return &export.Error{Code: export.CodeStateConflict, Class: export.ClassPermanent, Err: storage.ErrConflict,
				Message: fmt.Sprintf("run %s has ended: it is %s", run.ID, run.State)}
		}
		if run.Cancel != nil {
			return nil
		}
		run, err = recordCancel(ctx, tx, run, c)
		return err
	})
	if err != nil {
		return run, fmt.Errorf("cancel run: %w", err)
	}
	return run, nil
}

// recordCancel writes who asked and the journal entry that the audit finds.
func recordCancel(ctx context.Context, tx pgx.Tx, run export.Run, c export.Cancellation) (export.Run, error) {
	run, err := scanRun(tx.QueryRow(ctx, `
		update export_runs set cancel_requested_at = $3, cancel_by = $4, cancel_reason = $5
		where tenant = $1 and id = $2 returning `+runColumns,
		run.Tenant, run.ID, c.At, storable(c.By), storable(c.Reason)))
	if err != nil {
		return run, err
	}
	return run, addEvents(ctx, tx, run, entry{
		kind: export.EventCancelRequested, at: c.At,
		message: fmt.Sprintf("cancel requested by %s: %s", c.By, c.Reason),
	})
}
