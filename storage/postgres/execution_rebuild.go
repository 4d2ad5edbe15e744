package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// ReadRun gives a run as it stands.
func (e *Execution) ReadRun(ctx context.Context, ref export.Ref) (run export.Run, err error) {
	if !export.ValidRunID(ref.RunID) {
		return run, absentRun(ref)
	}
	err = e.db.readTenant(ctx, ref.Tenant, func(tx pgx.Tx) error {
		run, err = readRun(ctx, tx, ref)
		return err
	})
	if err != nil {
		return run, fmt.Errorf("read run: %w", err)
	}
	return run, nil
}

// SaveRebuilt records what came of a rebuild, once.
func (e *Execution) SaveRebuilt(ctx context.Context, c storage.Claim, r export.Rebuilt, at time.Time) (run export.Run, err error) {
	text, err := jsonColumn(r, "{}")
	if err != nil {
		return run, fmt.Errorf("save what came of the rebuild: %w", err)
	}
	err = e.claimed(ctx, c, "save what came of the rebuild", func(tx pgx.Tx, found export.Run) error {
		if run = found; run.RebuildOf == "" {
			return fmt.Errorf("run %s is no rebuild: %w", run.ID, storage.ErrConflict)
		}
		if run.Rebuilt != nil {
			return nil
		}
		run, err = scanRun(tx.QueryRow(ctx, "update export_runs set rebuilt = $3 where tenant = $1 and id = $2 returning "+runColumns, run.Tenant, run.ID, text))
		if err != nil {
			return err
		}
		return addEvents(ctx, tx, run, entry{kind: export.EventCompared, phase: c.Phase, at: at,
			message: "compared with run " + run.RebuildOf + ": " + string(r.Verdict),
			metrics: map[string]int64{"files": r.Files, "bytes": r.Bytes}})
	})
	return run, err
}
