package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
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

// createOperation is the name under which CreateRun keeps idempotency keys: a
// key is the client's, per tenant and operation (CONTRACT section 2).
const createOperation = "runs.create"

// maxKey bounds an idempotency key.
const maxKey = 255

// CreateRun records a run; see storage.Runs.
func (r *Runs) CreateRun(ctx context.Context, run export.Run, idem storage.Idempotency) (export.Run, bool, error) {
	if err := checkNewRun(run, idem); err != nil {
		return export.Run{}, false, err
	}
	var stored export.Run
	var created bool
	err := r.db.WithTenant(ctx, run.Tenant, func(tx pgx.Tx) error {
		first, err := takeKey(ctx, tx, run, idem)
		if err != nil {
			return err
		}
		if created = first == ""; !created {
			stored, err = readRun(ctx, tx, export.Ref{Tenant: run.Tenant, RunID: first})
			return err
		}
		place, err := takePlace(ctx, tx, run.Tenant, r.limits)
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
	case len(idem.Key) > maxKey:
		return invalid("Idempotency-Key", fmt.Sprintf("Idempotency-Key is longer than %d bytes", maxKey))
	case idem.Key != storable(idem.Key):
		return invalid("Idempotency-Key", "Idempotency-Key is not text")
	case idem.Key != "" && idem.RequestHash.IsZero():
		return invalid("Idempotency-Key", "Idempotency-Key without a request hash")
	}
	return nil
}

// takeKey records the idempotency key for run. When an earlier request has it,
// the id of that request's run is returned. Two requests at once: the second
// waits at the unique index until the first has committed or failed.
func takeKey(ctx context.Context, tx pgx.Tx, run export.Run, idem storage.Idempotency) (first string, err error) {
	if idem.Key == "" {
		return "", nil
	}
	tag, err := tx.Exec(ctx, `
		insert into export_idempotency_keys (tenant, operation, key, project, request_hash, run_id, created_at)
		values ($1, $2, $3, $4, $5, $6, $7) on conflict do nothing`,
		run.Tenant, createOperation, idem.Key, projectColumn(run.Project), idem.RequestHash[:], run.ID, run.RequestedAt)
	if err != nil || tag.RowsAffected() == 1 {
		return "", err
	}
	var hash []byte
	err = tx.QueryRow(ctx, `
		select run_id, request_hash from export_idempotency_keys where tenant = $1 and operation = $2 and key = $3`,
		run.Tenant, createOperation, idem.Key).Scan(&first, &hash)
	if err != nil {
		return "", err
	}
	if bundle.Digest(hash) != idem.RequestHash {
		return "", &export.Error{
			Code: export.CodeIdempotency, Class: export.ClassPermanent, Field: "Idempotency-Key", Err: storage.ErrConflict,
			Message: "this Idempotency-Key was used for another request; use a new key for a new request",
		}
	}
	return first, nil
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
	if err := addEvents(ctx, tx, stored, entry{kind: export.EventPending, message: "the run waits to be started", at: at}); err != nil {
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
	})
}

func insertRun(ctx context.Context, tx pgx.Tx, run export.Run, p place, at time.Time) (export.Run, error) {
	selectors, err1 := jsonColumn(run.Selectors, "{}")
	options, err2 := jsonColumn(run.Options, "{}")
	labels, err3 := jsonColumn(run.Labels, "{}")
	if err := errors.Join(err1, err2, err3); err != nil {
		return export.Run{}, err
	}
	var dispatchedAt *time.Time
	if p.slot {
		dispatchedAt = &at
	}
	return scanRun(tx.QueryRow(ctx, `
		insert into export_runs (tenant, project, id, profile_id, profile_revision, profile_name, kind, variant,
			selectors, options, labels, requested_by, requested_at, status, queue_seq, dispatched_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
		returning `+runColumns,
		run.Tenant, projectColumn(run.Project), run.ID,
		run.ProfileID, run.ProfileRevision, run.ProfileName, run.Kind, run.Variant,
		selectors, options, labels, run.RequestedBy, at, string(export.StatePending), p.number, dispatchedAt))
}
