package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Execution is what the activities need of runs. Every write is one
// transaction that first locks the run's row, then checks the claim: a late
// attempt finds a newer one, or the end of the run, and writes nothing
// (ARCHITECTURE D5).
type Execution struct {
	db     *DB
	limits storage.Limits
}

var _ storage.Execution = (*Execution)(nil)

// NewExecution makes the activities' view of runs.
func NewExecution(db *DB) *Execution { return &Execution{db: db} }

// Within gives the same view with these limits. All processes of an installation must
// have the same.
func (e *Execution) Within(limits storage.Limits) *Execution {
	return &Execution{db: e.db, limits: limits}
}

// Begin claims a phase. The same attempt may begin again; a lower one is stale.
func (e *Execution) Begin(ctx context.Context, ref export.Ref, phase export.Phase, attempt int64) (storage.Claim, export.Run, error) {
	return e.BeginPart(ctx, ref, phase, "", attempt)
}

// BeginPart claims a part of a phase. Parts are claimed each by itself.
func (e *Execution) BeginPart(ctx context.Context, ref export.Ref, phase export.Phase, part string, attempt int64) (storage.Claim, export.Run, error) {
	if !export.ValidRunID(ref.RunID) {
		return storage.Claim{}, export.Run{}, absentRun(ref)
	}
	claim := storage.Claim{Ref: ref, Phase: phase, Part: part, Attempt: attempt}
	var run export.Run
	err := e.db.WithTenant(ctx, ref.Tenant, func(tx pgx.Tx) (err error) {
		if run, err = lockRun(ctx, tx, ref); err != nil {
			return err
		}
		if run.State.Terminal() {
			return ended(claim, run)
		}
		if run.Reach != nil { // else the database leaves the claim to another worker (00018)
			if _, err := tx.Exec(ctx, "select set_config('app.reads_reach', 'on', true)"); err != nil {
				return err
			}
		}
		if run.RebuildOf != "" { // the same, of 00025
			if _, err := tx.Exec(ctx, "select set_config('app.reads_rebuild', 'on', true)"); err != nil {
				return err
			}
		}
		tag, err := tx.Exec(ctx, `
			insert into export_attempts as a (tenant, project, run_id, phase, attempt) values ($1, $2, $3, $4, $5)
			on conflict (tenant, run_id, phase) do update set attempt = excluded.attempt where a.attempt <= excluded.attempt`,
			ref.Tenant, projectColumn(run.Project), ref.RunID, claimColumn(claim), attempt)
		if err == nil && tag.RowsAffected() == 0 {
			err = outrun(claim)
		}
		return err
	})
	if err != nil {
		return storage.Claim{}, run, fmt.Errorf("claim phase: %w", err)
	}
	return claim, run, nil
}

// claimColumn is the phase of a claim, or the part of one, as export_attempts
// has it.
func claimColumn(c storage.Claim) string {
	if c.Part == "" {
		return string(c.Phase)
	}
	return string(c.Phase) + "/" + c.Part
}

func ended(c storage.Claim, run export.Run) error {
	return fmt.Errorf("%w: run %s is %s", storage.ErrStale, c.Ref.RunID, run.State)
}

func outrun(c storage.Claim) error {
	return fmt.Errorf("%w: %s of run %s has an attempt newer than %d", storage.ErrStale, claimColumn(c), c.Ref.RunID, c.Attempt)
}

// claimed runs fn in a transaction that holds the run's row and in which c is
// the newest claim of a run that has not ended.
func (e *Execution) claimed(ctx context.Context, c storage.Claim, op string, fn func(tx pgx.Tx, run export.Run) error) error {
	return e.locked(ctx, c, op, func(tx pgx.Tx, run export.Run, newest bool) error {
		if run.State.Terminal() {
			return ended(c, run)
		}
		if !newest {
			return outrun(c)
		}
		return fn(tx, run)
	})
}

// locked runs fn in a transaction that holds the run's row, and says whether c
// is the newest claim.
//
// Lock and claim are two statements, sent together: the second must see what
// the previous holder of the row has committed, and a statement that waited
// for a lock reads other tables as they were before it waited.
func (e *Execution) locked(ctx context.Context, c storage.Claim, op string, fn func(tx pgx.Tx, run export.Run, newest bool) error) error {
	if !export.ValidRunID(c.Ref.RunID) {
		return absentRun(c.Ref)
	}
	err := e.db.WithTenant(ctx, c.Ref.Tenant, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(lockRunSQL, c.Ref.Tenant, c.Ref.RunID)
		batch.Queue("select attempt from export_attempts where tenant = $1 and run_id = $2 and phase = $3",
			c.Ref.Tenant, c.Ref.RunID, claimColumn(c))
		results := tx.SendBatch(ctx, batch)
		run, err := oneRun(c.Ref, results.QueryRow())
		if err != nil {
			return errors.Join(err, results.Close())
		}
		var attempt int64
		err = results.QueryRow().Scan(&attempt)
		if errors.Is(err, pgx.ErrNoRows) { // never begun: attempt 0 is nobody's
			err = nil
		}
		if err := errors.Join(err, results.Close()); err != nil {
			return err
		}
		return fn(tx, run, c.Attempt > 0 && attempt == c.Attempt)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", op, err)
	}
	return nil
}

// Start moves a run to running and fixes the moment it reads at: seq, and of a full
// mirror now.
func (e *Execution) Start(ctx context.Context, c storage.Claim, seq int64, at time.Time) (run export.Run, err error) {
	err = e.claimed(ctx, c, "start run", func(tx pgx.Tx, found export.Run) error {
		// One that waits goes on when it is approved, also when its workflow begins anew.
		if run = found; run.State == export.StateRunning || run.State == export.StateWaiting {
			return nil
		}
		if run.RebuildOf == "" { // else nothing of it is kept
			if err := mayKeepMore(ctx, tx, run.Tenant, e.limits); err != nil {
				return err
			}
		}
		generation, seq, err := nextGeneration(ctx, tx, run, seq)
		if err != nil {
			return err
		}
		run, err = scanRun(tx.QueryRow(ctx, `
			update export_runs set status = $3, started_at = coalesce(started_at, $4),
				as_of = case when started_at is null then $5 else as_of end, generation = $6
			where tenant = $1 and id = $2 returning `+runColumns,
			run.Tenant, run.ID, string(export.StateRunning), at, seq, generation))
		if err != nil {
			return err
		}
		return addEvents(ctx, tx, run, entry{kind: export.EventStarted, phase: c.Phase, at: at,
			message: "the run has started", metrics: map[string]int64{"asOf": run.AsOf}})
	})
	return run, err
}

// AddEvent records an event of a phase, once per (phase, type, subject).
func (e *Execution) AddEvent(ctx context.Context, c storage.Claim, subject string, event export.Event) error {
	return e.claimed(ctx, c, "add event", func(tx pgx.Tx, run export.Run) error {
		return addEvents(ctx, tx, run, entry{kind: event.Type, phase: c.Phase, subject: subject,
			message: event.Message, at: event.At, metrics: event.Metrics})
	})
}
