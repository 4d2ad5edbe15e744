package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// SaveSources records what each source gave a run; see storage.Execution.
func (e *Execution) SaveSources(ctx context.Context, c storage.Claim, sources []export.SourceCount) error {
	n := len(sources)
	names, streams, kinds, newest := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	documents, records := make([]int64, n), make([]int64, n)
	for i, s := range sources {
		names[i], streams[i], kinds[i], newest[i] = storable(s.Source), storable(s.Stream), s.Kind, s.Newest
		documents[i], records[i] = s.Documents, s.Records
	}
	return e.claimed(ctx, c, "save sources", func(tx pgx.Tx, run export.Run) error {
		if _, err := tx.Exec(ctx, "delete from export_sources where tenant = $1 and run_id = $2", run.Tenant, run.ID); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			insert into export_sources (tenant, project, run_id, source, stream, kind, documents, records, newest)
			select $1, $2, $3, * from unnest($4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::text[])`,
			run.Tenant, projectColumn(run.Project), run.ID, names, streams, kinds, documents, records, newest)
		return err
	})
}

// Sources gives what SaveSources recorded, by source, stream and kind.
func (e *Execution) Sources(ctx context.Context, ref export.Ref) (sources []export.SourceCount, err error) {
	if !export.ValidRunID(ref.RunID) {
		return nil, absentRun(ref)
	}
	err = e.db.readOnce(ctx, ref.Tenant, func(rows pgx.Rows) (err error) {
		sources, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s export.SourceCount, err error) {
			return s, row.Scan(&s.Source, &s.Stream, &s.Kind, &s.Documents, &s.Records, &s.Newest)
		})
		return err
	}, `select source, stream, kind, documents, records, newest from export_sources
		where tenant = $1 and run_id = $2 order by source, stream, kind`, ref.Tenant, ref.RunID)
	if err != nil {
		return nil, fmt.Errorf("read sources: %w", err)
	}
	return sources, nil
}

const readGuarded = "select report, parked, made_at from export_guards where tenant = $1 and run_id = $2"

// Guarded gives what the guard found.
func (e *Execution) Guarded(ctx context.Context, ref export.Ref) (storage.Guarded, error) {
	return guarded(ctx, e.db, ref)
}

// GuardReport gives what the guard found.
func (r *Runs) GuardReport(ctx context.Context, ref export.Ref) (storage.Guarded, error) {
	return guarded(ctx, r.db, ref)
}

func guarded(ctx context.Context, db *DB, ref export.Ref) (g storage.Guarded, err error) {
	if !export.ValidRunID(ref.RunID) {
		return g, absentRun(ref)
	}
	err = db.readOnce(ctx, ref.Tenant, func(rows pgx.Rows) (err error) {
		g, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (g storage.Guarded, err error) {
			err = row.Scan(&g.Report, &g.Parked, &g.At)
			g.At = g.At.UTC()
			return g, err
		})
		if errors.Is(err, pgx.ErrNoRows) {
			return storage.ErrNotFound
		}
		return err
	}, readGuarded, ref.Tenant, ref.RunID)
	if err != nil {
		return storage.Guarded{}, fmt.Errorf("read what the guard found: %w", err)
	}
	return g, nil
}

// LastGuarded gives the run that another is held against. In the order of request, as
// the latest of a profile is: a run that was approved late does not come before one
// that read a later moment. Runs as of the past publish nothing, and are no measure.
func (e *Execution) LastGuarded(ctx context.Context, run export.Run) (last export.Run, err error) {
	selectors, err := jsonColumn(run.Selectors, "{}")
	if err != nil {
		return last, fmt.Errorf("find the last run: %w", err)
	}
	err = e.db.readOnce(ctx, run.Tenant, func(rows pgx.Rows) (err error) {
		last, err = pgx.CollectExactlyOneRow(rows, collectRun)
		if errors.Is(err, pgx.ErrNoRows) {
			return storage.ErrNotFound
		}
		return err
	}, `select `+runColumns+` from export_runs r
		where tenant = $1 and profile_id = $2 and project = $3 and selectors = $4::jsonb and id <> $5
			and status in ('succeeded', 'expired') and not options ?| array['asOf', 'mirrorRunId']
			and exists (select from export_guards g where g.tenant = r.tenant and g.run_id = r.id)
		order by requested_at desc, id desc limit 1`,
		run.Tenant, run.ProfileID, projectColumn(run.Project), selectors, run.ID)
	if err != nil {
		return export.Run{}, fmt.Errorf("find the last run: %w", err)
	}
	return last, nil
}

// SaveGuard records what the guard found, once, and lets a run wait that it parked.
// A workflow that begins anew finds it as it was left: a run that is not approved
// waits again.
func (e *Execution) SaveGuard(ctx context.Context, c storage.Claim, g storage.Guarded) (run export.Run, err error) {
	report, err := jsonColumn(g.Report, "{}")
	if err != nil {
		return run, fmt.Errorf("save what the guard found: %w", err)
	}
	err = e.claimed(ctx, c, "save what the guard found", func(tx pgx.Tx, found export.Run) error {
		run = found
		var parked bool
		err := tx.QueryRow(ctx, "select parked from export_guards where tenant = $1 and run_id = $2", run.Tenant, run.ID).Scan(&parked)
		switch {
		case err == nil && (!parked || run.State == export.StateWaiting || run.Wait.Approved()):
			return nil
		case err == nil:
			run, err = scanRun(tx.QueryRow(ctx, "update export_runs set status = 'waiting' where tenant = $1 and id = $2 returning "+runColumns, run.Tenant, run.ID))
			return err
		case !errors.Is(err, pgx.ErrNoRows):
			return err
		}
		_, err = tx.Exec(ctx, "insert into export_guards (tenant, project, run_id, parked, report, made_at) values ($1, $2, $3, $4, $5, $6)",
			run.Tenant, projectColumn(run.Project), run.ID, g.Parked, report, g.At)
		if err != nil {
			return err
		}
		metrics := map[string]int64{"reasons": int64(g.Report.ReasonsTotal), "disappeared": g.Report.Disappeared.Total}
		if !g.Parked {
			return addEvents(ctx, tx, run, entry{kind: export.EventGuardPassed, phase: c.Phase, at: g.At, message: g.Report.Why(), metrics: metrics})
		}
		run, err = park(ctx, tx, run, g)
		if err != nil {
			return err
		}
		err = addEvents(ctx, tx, run, entry{kind: export.EventWaiting, phase: c.Phase, at: g.At, metrics: metrics,
			message: fmt.Sprintf("waits for an approval until %s: %s", g.Until.UTC().Format(time.RFC3339), run.Wait.Why)})
		if err != nil {
			return err
		}
		return addTimeline(ctx, tx, run, g.At, waitingEvent(run, export.TransitionWaiting, g.At))
	})
	return run, err
}

// maxWhy bounds what a run's row says of its wait, in bytes; the report has it whole.
const maxWhy = 1000

func park(ctx context.Context, tx pgx.Tx, run export.Run, g storage.Guarded) (export.Run, error) {
	why := storable(g.Report.Why())
	if len(why) > maxWhy {
		why = strings.ToValidUTF8(why[:maxWhy], "") + " ..."
	}
	return scanRun(tx.QueryRow(ctx, `
		update export_runs set status = 'waiting', waiting_since = $3, waiting_until = $4, waiting_why = $5
		where tenant = $1 and id = $2 returning `+runColumns, run.Tenant, run.ID, g.At, g.Until, why))
}

// waitingEvent tells the platform that a run waits, or what was decided.
func waitingEvent(run export.Run, t export.Transition, at time.Time) export.TimelineEvent {
	return export.TimelineEvent{
		EventID: export.TimelineEventID(run.Ref(), t), TenantID: run.Tenant, EventType: t, Source: "exportcenter",
		OccurredAt: at.UTC().Format(time.RFC3339Nano), CorrelationID: run.ID, RunID: run.ID, ProfileID: run.ProfileID,
		EvidenceRefs: []export.EvidenceRef{}, Attributes: run.Attributes(),
	}
}

// Settle records a decision that came by the workflow, and lets a run go on that was
// approved and has its slot.
func (e *Execution) Settle(ctx context.Context, c storage.Claim, d *export.Decision, at time.Time) (run export.Run, err error) {
	err = e.claimed(ctx, c, "settle what a run waits for", func(tx pgx.Tx, found export.Run) error {
		run = found
		switch {
		case run.Wait == nil:
			return fmt.Errorf("run %s waits for nothing: %w", run.ID, storage.ErrConflict)
		case run.State == export.StateRunning: // it went on before
			return nil
		}
		if run.Wait.Decision == nil && d != nil {
			if run, err = recordDecision(ctx, tx, run, *d); err != nil {
				return err
			}
		}
		if !run.Wait.Approved() || run.Wait.ResumedAt.IsZero() {
			return nil
		}
		run, err = scanRun(tx.QueryRow(ctx, "update export_runs set status = 'running' where tenant = $1 and id = $2 returning "+runColumns, run.Tenant, run.ID))
		if err != nil {
			return err
		}
		return addEvents(ctx, tx, run, entry{kind: export.EventResumed, phase: c.Phase, at: at, message: "the run has a slot again and goes on"})
	})
	return run, err
}
