package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Finish ends a run, once. Whoever comes second - a repeated activity, a
// cancel that lost against the success - is told how it ended. A failure that
// comes behind an accepted cancel is refused with ErrConflict, and gets the run
// as the cancel left it.
func (e *Execution) Finish(ctx context.Context, c storage.Claim, o storage.Outcome) (run export.Run, err error) {
	kind, err := checkOutcome(o)
	if err != nil {
		return run, fmt.Errorf("finish run: %w", err)
	}
	err = e.locked(ctx, c, "finish run", func(tx pgx.Tx, found export.Run, newest bool) error {
		if run = found; run.State.Terminal() {
			return nil
		}
		if !newest {
			return outrun(c)
		}
		if o.State == export.StateFailed && run.Cancel != nil {
			return fmt.Errorf("its cancel was accepted before it failed: %w", storage.ErrConflict)
		}
		if o.State == export.StateSucceeded {
			if err := complete(ctx, tx, run); err != nil {
				return err
			}
		}
		if o.State == export.StateAborted && run.Cancel == nil && o.Cancel != nil {
			if run, err = recordCancel(ctx, tx, run, *o.Cancel); err != nil {
				return err
			}
		}
		last := entry{kind: kind, phase: c.Phase, message: o.Message, at: o.At}
		if err := addEvents(ctx, tx, run, append(beforeEnd(run, o, c.Phase), last)...); err != nil {
			return err
		}
		if err := addTimeline(ctx, tx, run, o.At, o.Timeline...); err != nil {
			return err
		}
		if run, err = endRun(ctx, tx, run, o); err != nil {
			return err
		}
		if run.RebuildOf != "" {
			return nil // it made nothing that anybody else could have
		}
		return reportEnd(ctx, tx, run)
	})
	return run, err
}

// complete refuses a success that does not have everything it promises: the
// digest of its archive, and a delivery of that archive (ARCHITECTURE D13).
func complete(ctx context.Context, tx pgx.Tx, run export.Run) error {
	incomplete := func(what string) error {
		return &export.Error{Code: export.CodeDistribution, Class: export.ClassPermanent, Err: storage.ErrConflict,
			Message: "the run cannot succeed: " + what}
	}
	if run.RebuildOf != "" {
		if run.Rebuilt == nil || run.Rebuilt.Verdict != export.RebuildIdentical {
			return incomplete("it was not found to be identical with the bundle that it builds again")
		}
		return nil
	}
	if run.Wait != nil && !run.Wait.Approved() {
		return incomplete("the guard parked it, and nobody has approved it")
	}
	if run.Result.ArchiveDigest == "" {
		return incomplete("no digest of its archive is recorded")
	}
	var delivered bool
	err := tx.QueryRow(ctx, `
		select exists (select from export_distributions
			where tenant = $1 and run_id = $2 and 'sha256:' || encode(digest, 'hex') = $3)`,
		run.Tenant, run.ID, run.Result.ArchiveDigest).Scan(&delivered)
	if err == nil && !delivered {
		err = incomplete("no delivery of its archive is recorded")
	}
	return err
}

// checkOutcome gives the journal event of an end.
func checkOutcome(o storage.Outcome) (export.EventType, error) {
	if o.State == export.StateFailed && o.Failure == nil {
		return "", fmt.Errorf("a run that failed needs its reason")
	}
	if o.At.IsZero() {
		return "", fmt.Errorf("an end needs its time")
	}
	switch o.State {
	case export.StateSucceeded:
		return export.EventSucceeded, nil
	case export.StateFailed:
		return export.EventFailed, nil
	case export.StateAborted:
		return export.EventAborted, nil
	}
	return "", fmt.Errorf("a run cannot end %q", string(o.State))
}

// beforeEnd are the events that belong to an end: with a success the bundle can
// be had, and a failure of the adapter is told with its code.
func beforeEnd(run export.Run, o storage.Outcome, phase export.Phase) []entry {
	switch {
	case o.State == export.StateSucceeded && run.RebuildOf == "":
		return []entry{{kind: export.EventArtifactReady, phase: phase, at: o.At,
			message: fmt.Sprintf("%s at /api/export/runs/%s/download", run.Result.ArchiveDigest, run.ID),
			metrics: map[string]int64{"bytes": run.Result.ArchiveBytes}}}
	case o.State == export.StateFailed && o.Failure.Phase == export.PhaseAdapt:
		return []entry{{kind: export.EventAdapterError, phase: phase, at: o.At,
			message: string(o.Failure.Code) + ": " + o.Failure.Message}}
	}
	return nil
}

func endRun(ctx context.Context, tx pgx.Tx, run export.Run, o storage.Outcome) (export.Run, error) {
	var code, message, phase *string
	if o.Failure != nil {
		c, m, p := string(o.Failure.Code), storable(o.Failure.Message), string(o.Failure.Phase)
		code, message, phase = &c, &m, &p
	}
	return scanRun(tx.QueryRow(ctx, `
		update export_runs set status = $3, completed_at = $4, error_code = $5, error_message = $6, error_phase = $7
		where tenant = $1 and id = $2 and status in ('pending', 'running', 'waiting') returning `+runColumns,
		run.Tenant, run.ID, string(o.State), o.At, code, message, phase))
}
