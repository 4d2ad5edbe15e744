package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// nextGeneration numbers a full mirror that starts, and gives the moment that it reads at:
// the head of the ledger once the tenant's counter is held. The run read seq before it, and
// one that overtook it may have read a later head and have the earlier number. A run that
// fails leaves its number out. Other runs, and a rebuild, read at seq.
func nextGeneration(ctx context.Context, tx pgx.Tx, run export.Run, seq int64) (generation, asOf int64, err error) {
	if !export.IsFullMirror(run.Kind, run.Variant) || run.Generation > 0 || run.RebuildOf != "" {
		return run.Generation, seq, nil
	}
	err = tx.QueryRow(ctx, `
		insert into mirror_generations as g (tenant, last) values ($1, 1)
		on conflict (tenant) do update set last = g.last + 1 returning last`, run.Tenant).Scan(&generation)
	if err != nil {
		return 0, 0, err
	}
	// A statement of its own: it sees what was recorded while the one before waited.
	err = tx.QueryRow(ctx, "select coalesce((select seq from ledger_heads where tenant = $1), 0)", run.Tenant).Scan(&asOf)
	return generation, asOf, err
}

// PriorMirror finds the last full mirror before a run. After one that failed there is
// none: what it had taken over may be why.
func (e *Execution) PriorMirror(ctx context.Context, run export.Run) (export.Run, []storage.File, error) {
	prior, files, err := e.published(ctx, run, `id = (select id from export_runs
		where tenant = $1 and project = $2 and kind = 'mirror' and variant = 'full' and status in ('succeeded', 'failed')
			and generation > 0 and ($3 = 0 or generation < $3)
		order by generation desc limit 1)`, run.Generation)
	if err != nil {
		return prior, nil, fmt.Errorf("find the mirror before: %w", err)
	}
	return prior, files, nil
}

// NewestMirror finds the last full mirror of a base's project, profile and selection by
// its generation, however many other runs there are.
func (r *Runs) NewestMirror(ctx context.Context, base export.Run) (newest export.Run, err error) {
	selectors, err := jsonColumn(base.Selectors, "{}")
	if err != nil {
		return newest, fmt.Errorf("find the newest mirror: %w", err)
	}
	err = r.db.readOnce(ctx, base.Tenant, func(rows pgx.Rows) (err error) {
		newest, err = pgx.CollectExactlyOneRow(rows, collectRun)
		if errors.Is(err, pgx.ErrNoRows) {
			return storage.ErrNotFound
		}
		return err
	}, `select `+runColumns+` from export_runs
		where tenant = $1 and project = $2 and profile_id = $3 and selectors = $4::jsonb
			and kind = 'mirror' and variant = 'full' and status = 'succeeded' and rebuild_of is null and generation > 0
		order by generation desc limit 1`,
		base.Tenant, projectColumn(base.Project), base.ProfileID, selectors)
	if err != nil {
		return export.Run{}, fmt.Errorf("find the newest mirror: %w", err)
	}
	return newest, nil
}

// Published gives another run that succeeded, and its files.
func (e *Execution) Published(ctx context.Context, run export.Run, other string) (export.Run, []storage.File, error) {
	if !export.ValidRunID(other) {
		return export.Run{}, nil, absentRun(export.Ref{Tenant: run.Tenant, RunID: other})
	}
	found, files, err := e.published(ctx, run, "id = $3", other)
	if err != nil {
		return found, nil, fmt.Errorf("find run %s: %w", other, err)
	}
	return found, files, nil
}

func (e *Execution) published(ctx context.Context, run export.Run, which string, arg any) (found export.Run, files []storage.File, err error) {
	err = e.db.readOnce(ctx, run.Tenant, func(rows pgx.Rows) (err error) {
		found, err = pgx.CollectExactlyOneRow(rows, collectRun)
		if errors.Is(err, pgx.ErrNoRows) {
			return storage.ErrNotFound
		}
		return err
	}, `select `+runColumns+` from export_runs
		where tenant = $1 and project = $2 and status = 'succeeded' and rebuild_of is null and `+which, run.Tenant, projectColumn(run.Project), arg)
	if err != nil {
		return export.Run{}, nil, err
	}
	files, err = e.BundleFiles(ctx, found.Ref())
	return found, files, err
}
