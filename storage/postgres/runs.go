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

// Runs is what the API needs of runs.
type Runs struct {
	db     *DB
	limits storage.Limits
}

var _ storage.Runs = (*Runs)(nil)

// NewRuns makes the API's view of runs, with the default limits.
func NewRuns(db *DB) *Runs { return (&Runs{db: db}).Within(storage.Limits{}) }

// Within gives the same view with these limits. All processes of an
// installation must have the same.
func (r *Runs) Within(limits storage.Limits) *Runs {
	return &Runs{db: r.db, limits: limits.OrDefault()}
}

// CreateRun records a run; see storage.Runs.
func (r *Runs) CreateRun(ctx context.Context, run export.Run, idem storage.Idempotency) (export.Run, bool, error) {
	if err := checkNewRun(run, idem); err != nil {
		return export.Run{}, false, err
	}
	var stored export.Run
	var created bool
	err := r.db.WithTenant(ctx, run.Tenant, func(tx pgx.Tx) error {
		first, err := takeKey(ctx, tx, madeRun(run), idem)
		if err != nil {
			return err
		}
		if created = first == ""; !created {
			stored, err = readRun(ctx, tx, export.Ref{Tenant: run.Tenant, RunID: first})
			return err
		}
		if run.RebuildOf == "" { // else it makes nothing new: what it is made by may be archived
			if err := profileMakesRuns(ctx, tx, run); err != nil {
				return err
			}
			if err := snapshotMakesRuns(ctx, tx, run); err != nil {
				return err
			}
		}
		place, err := takePlace(ctx, tx, run, r.limits)
		if err != nil {
			return err
		}
		stored, err = createRun(ctx, tx, run, place)
		return err
	})
	if err != nil {
		return export.Run{}, false, fmt.Errorf("create run: %w", err)
	}
	return stored, created, nil
}

// profileMakesRuns fails when the run's profile was archived since it was read.
// Whoever archives it waits until the run is recorded. Built-in profiles have no row.
func profileMakesRuns(ctx context.Context, tx pgx.Tx, run export.Run) error {
	if !export.ValidRunID(run.ProfileID) {
		return nil
	}
	var archived bool
	err := tx.QueryRow(ctx, "select archived_at is not null from export_profile_heads where tenant = $1 and id = $2 for share",
		run.Tenant, run.ProfileID).Scan(&archived)
	if err != nil {
		return presentProfile(run.ProfileID, err)
	}
	if archived {
		return export.Errorf(export.CodeStateConflict, "profile %s is archived and makes no new runs", run.ProfileName)
	}
	return nil
}

// snapshotMakesRuns fails when the policy snapshot that the run will decide by, or
// carry, was archived since it was read. Whoever archives it waits until the run is recorded. The
// built-in one has no row.
func snapshotMakesRuns(ctx context.Context, tx pgx.Tx, run export.Run) error {
	id := run.Options.PolicySnapshotID
	if !export.HoldsPolicy(run.Kind, run.Variant) || id == export.BaselineSnapshot {
		return nil
	}
	var archived bool
	err := tx.QueryRow(ctx, "select archived_at is not null from policy_snapshots where tenant = $1 and id = $2 for share", run.Tenant, storable(id)).Scan(&archived)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return storage.SnapshotRefused(id, "there is no such policy snapshot")
	case err == nil && archived:
		return storage.SnapshotRefused(id, "the policy snapshot is archived and makes no new runs")
	}
	return err
}

// Restore records a run of another installation, to build it again in a scratch ledger:
// under its own id, stamp and generation, and without its profile or policy snapshot,
// which are not there. It is given out at once.
func (r *Runs) Restore(ctx context.Context, run export.Run) (stored export.Run, err error) {
	if err := checkNewRun(run, storage.Idempotency{}); err != nil {
		return run, err
	}
	err = r.db.WithTenant(ctx, run.Tenant, func(tx pgx.Tx) error {
		place, err := takePlace(ctx, tx, run, r.limits)
		if err != nil {
			return err
		}
		if run.Generation > 1 {
			_, err := tx.Exec(ctx, `insert into mirror_generations as g (tenant, last) values ($1, $2)
				on conflict (tenant) do update set last = greatest(g.last, excluded.last)`, run.Tenant, run.Generation-1)
			if err != nil {
				return err
			}
		}
		stored, err = createRun(ctx, tx, run, place)
		return err
	})
	if err != nil {
		return run, fmt.Errorf("restore run: %w", err)
	}
	return stored, nil
}

func checkNewRun(run export.Run, idem storage.Idempotency) error {
	invalid := func(field, message string) error {
		return &export.Error{Code: export.CodeValidation, Class: export.ClassPermanent, Field: field, Message: message}
	}
	switch {
	case !export.ValidRunID(run.ID):
		return invalid("runId", "a run id is a lower-case UUID")
	case run.Project != "" && !export.ValidTenant(run.Project):
		return invalid("project", "a project is named like a tenant: 1 to 63 lower-case letters, digits and inner hyphens")
	case run.RequestedAt.IsZero():
		return invalid("requestedAt", "a run needs the time it was requested at")
	}
	return checkKey(idem)
}

func createRun(ctx context.Context, tx pgx.Tx, run export.Run, p place) (export.Run, error) {
	at := run.RequestedAt.UTC().Truncate(time.Second)
	stored, err := insertRun(ctx, tx, run, p, at)
	if state(err, "23505") {
		return stored, &export.Error{
			Code: export.CodeStateConflict, Class: export.ClassPermanent, Err: storage.ErrConflict,
			Message: fmt.Sprintf("there is a run %s already", run.ID),
		}
	}
	if err != nil {
		return stored, err
	}
	err = addEvents(ctx, tx, stored, entry{kind: export.EventPending, message: "the run waits to be started", at: at})
	if err != nil || stored.RebuildOf != "" {
		return stored, err
	}
	return stored, addTimeline(ctx, tx, stored, at, export.TimelineEvent{
		EventID:       export.TimelineEventID(stored.Ref(), export.TransitionRequested),
		TenantID:      stored.Tenant,
		EventType:     export.TransitionRequested,
		Source:        "exportcenter",
		OccurredAt:    at.Format(time.RFC3339Nano),
		CorrelationID: stored.ID,
		RunID:         stored.ID,
		ProfileID:     stored.ProfileID,
		EvidenceRefs:  []export.EvidenceRef{},
		Attributes:    stored.Attributes(),
	})
}

func insertRun(ctx context.Context, tx pgx.Tx, run export.Run, p place, at time.Time) (export.Run, error) {
	selectors, err1 := jsonColumn(run.Selectors, "{}")
	options, err2 := jsonColumn(run.Options, "{}")
	labels, err3 := jsonColumn(run.Labels, "{}")
	var reach []byte // null without one
	var err4, err5, err6 error
	if run.Reach != nil {
		reach, err4 = jsonColumn(run.Reach, "{}")
	}
	var guard []byte // null without one
	if run.Guard != nil {
		guard, err5 = jsonColumn(run.Guard, "{}")
	}
	var encryption []byte // null without it
	if run.Encryption != nil {
		encryption, err6 = jsonColumn(run.Encryption, "{}")
	}
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return export.Run{}, err
	}
	var dispatchedAt *time.Time
	if p.slot {
		dispatchedAt = &at
	}
	return scanRun(tx.QueryRow(ctx, `
		insert into export_runs (tenant, project, id, profile_id, profile_revision, profile_name, kind, variant,
			selectors, options, labels, requested_by, requested_at, status, queue_seq, dispatched_at, policy_snapshot_id,
			quota_active, quota_daily, quota_bytes, counted_on, reach, guard, rebuild_of, encryption)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, nullif($24, ''), $25)
		returning `+runColumns,
		run.Tenant, projectColumn(run.Project), run.ID,
		run.ProfileID, run.ProfileRevision, run.ProfileName, run.Kind, run.Variant,
		selectors, options, labels, run.RequestedBy, at, string(export.StatePending), p.number, dispatchedAt, run.Options.PolicySnapshotID,
		run.Quotas.MaxConcurrentRuns, run.Quotas.MaxRunsPerDay, run.Quotas.MaxBytes, p.day, reach, guard, run.RebuildOf, encryption))
}
