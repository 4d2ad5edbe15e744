package postgres

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/orchestrator"
	"github.com/stella-ops/exportcenter/storage"
)

// OrchestratorExports keeps the records of exports.
type OrchestratorExports struct{ db *DB }

var _ storage.OrchestratorExports = (*OrchestratorExports)(nil)

// NewOrchestratorExports makes the store of records.
func NewOrchestratorExports(db *DB) *OrchestratorExports { return &OrchestratorExports{db: db} }

// Record stores a record and its events.
func (o *OrchestratorExports) Record(ctx context.Context, tenant, project string, r orchestrator.Record, by string, at time.Time) (orchestrator.Record, orchestrator.Verdict, error) {
	var stored orchestrator.Record
	var verdict orchestrator.Verdict
	err := o.db.WithTenant(ctx, tenant, func(tx pgx.Tx) (err error) {
		if err := notOurs(ctx, tx, r); err != nil {
			return err
		}
		if stored, verdict, err = record(ctx, tx, projectColumn(project), r, by, at); err == nil && verdict == orchestrator.Created {
			err = roomForRecords(ctx, tx, tenant)
		}
		return err
	})
	if err != nil {
		return stored, "", fmt.Errorf("record an export: %w", err)
	}
	return stored, verdict, nil
}

// notOurs refuses a report of a run of ours: those we report ourselves, and what
// somebody said of one before its end would stand in the way of that.
func notOurs(ctx context.Context, tx pgx.Tx, r orchestrator.Record) error {
	var ours bool
	err := tx.QueryRow(ctx, "select exists (select from export_runs where tenant = $1 and id = $2)", r.TenantID, r.RunID).Scan(&ours)
	if err == nil && ours {
		err = &export.Error{Code: export.CodeValidation, Class: export.ClassPermanent, Field: "runId",
			Message: "runId: this run is of this installation, which reports it itself when it has ended"}
	}
	return err
}

// record stores a record in the running transaction. Two who come with one key
// queue at its index; the second then sees what the first has stored.
func record(ctx context.Context, tx pgx.Tx, project string, r orchestrator.Record, by string, at time.Time) (orchestrator.Record, orchestrator.Verdict, error) {
	text, err := bundle.MarshalCanonical(r)
	if err != nil {
		return r, "", fmt.Errorf("encode record: %w", err)
	}
	tag, err := tx.Exec(ctx, `
		insert into orchestrator_exports (tenant, project, idempotency_key, run_id, artifact_hash, status, started_at,
			record, recorded_by, recorded_at, changed_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10) on conflict do nothing`,
		r.TenantID, project, r.IdempotencyKey, r.RunID, r.ArtifactHash, string(r.Status), r.Started(), string(text), storable(by), at)
	if err != nil {
		return r, "", err
	}
	if tag.RowsAffected() == 1 {
		return r, orchestrator.Created, tellOfRecord(ctx, tx, project, r, orchestrator.Created, at)
	}
	stored, err := lockRecord(ctx, tx, project, r)
	if err != nil {
		return r, "", err
	}
	verdict := orchestrator.Follow(stored, r)
	if verdict != orchestrator.Advanced {
		return stored, verdict, nil
	}
	_, err = tx.Exec(ctx, `update orchestrator_exports set status = $4, record = $5, changed_at = $6
		where tenant = $1 and project = $2 and idempotency_key = $3`,
		r.TenantID, project, r.IdempotencyKey, string(r.Status), string(text), at)
	if err != nil {
		return r, "", err
	}
	return r, verdict, tellOfRecord(ctx, tx, project, r, verdict, at)
}

func lockRecord(ctx context.Context, tx pgx.Tx, project string, r orchestrator.Record) (stored orchestrator.Record, err error) {
	var text string
	err = tx.QueryRow(ctx, `select record from orchestrator_exports
		where tenant = $1 and project = $2 and idempotency_key = $3 for update`,
		r.TenantID, project, r.IdempotencyKey).Scan(&text)
	if err == nil {
		err = bundle.UnmarshalStrict([]byte(text), &stored)
	}
	return stored, err
}

// tellOfRecord puts the events of a record in the outbox. They are about no run
// of ours, and stand in the order in which they were written.
func tellOfRecord(ctx context.Context, tx pgx.Tx, project string, r orchestrator.Record, verdict orchestrator.Verdict, at time.Time) error {
	events, err := orchestrator.Events(r, verdict, project, at)
	if err != nil {
		return err
	}
	for _, e := range events {
		payload, err := e.Encode()
		if err != nil {
			return err
		}
		if err := addOutside(ctx, tx, r.TenantID, project, e.EventID, e.EventType, payload, at); err != nil {
			return fmt.Errorf("write event %s: %w", e.EventType, err)
		}
	}
	return nil
}

// reportEnd reports the end of a run of ours as an orchestrator would, in the
// transaction that ends it; nobody else does (notOurs).
func reportEnd(ctx context.Context, tx pgx.Tx, run export.Run) error {
	r, reported := recordOf(run)
	if !reported {
		return nil
	}
	_, _, err := record(ctx, tx, projectColumn(run.Project), r, "exportcenter", run.CompletedAt)
	if err != nil {
		return fmt.Errorf("report the end of the run: %w", err)
	}
	return nil
}

// recordOf is what is reported of a run that has ended (CONTRACT ruling 7 and
// section 2): aborted is canceled, partial is failed.
func recordOf(run export.Run) (orchestrator.Record, bool) {
	status, ended := map[export.State]orchestrator.Status{
		export.StateSucceeded: orchestrator.StatusSucceeded,
		export.StatePartial:   orchestrator.StatusFailed,
		export.StateFailed:    orchestrator.StatusFailed,
		export.StateAborted:   orchestrator.StatusCanceled,
	}[run.State]
	if !ended {
		return orchestrator.Record{}, false
	}
	stamp := func(at time.Time) string { return at.UTC().Format(time.RFC3339Nano) }
	started := run.StartedAt
	if started.IsZero() || started.After(run.CompletedAt) {
		started = run.RequestedAt // it ended before it began
	}
	r := orchestrator.Record{RunID: run.ID, JobType: "export." + run.Kind + "." + run.Variant, ArtifactHash: orchestrator.NothingMade,
		StartedAt: stamp(started), CompletedAt: stamp(latest(started, run.CompletedAt)), Status: status, BundleID: run.ID}
	if run.Result.ArchiveDigest != "" {
		r.ArtifactHash = run.Result.ArchiveDigest
	}
	if digest, err := bundle.ParseDigest(run.Result.ManifestDigest); err == nil {
		r.ManifestPath = "cas://sha256/" + digest.Hex()
	}
	return r.Normal(run.Tenant), true
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Exports gives a page of records. A cursor is the project and key of the last
// record of a page; where that stands never changes.
func (o *OrchestratorExports) Exports(ctx context.Context, tenant, project string, f storage.OrchestratorFilter) ([]orchestrator.Record, string, error) {
	after, err := cursorOfRecords(f.Cursor)
	if err != nil {
		return nil, "", err
	}
	var records []orchestrator.Record
	var last, found string
	err = o.db.readOnce(ctx, tenant, func(rows pgx.Rows) error {
		var at, key, text string
		_, err := pgx.ForEachRow(rows, []any{&at, &key, &text}, func() error {
			if len(records) == f.Limit {
				found = last // there is more
				return nil
			}
			var r orchestrator.Record
			records, last = append(records, r), at+"/"+key
			return bundle.UnmarshalStrict([]byte(text), &records[len(records)-1])
		})
		return err
	}, `
		select e.project, e.idempotency_key, e.record from orchestrator_exports e
		where e.tenant = $1 and ($2 = '' or e.project = $2) and ($3 = '' or e.run_id = $3)
			and ($4 = '' or e.artifact_hash = $4) and ($5 = '' or e.status = $5)
			and ($7 = '' or (e.run_id, e.started_at, e.project, e.idempotency_key) >
				(select l.run_id, l.started_at, l.project, l.idempotency_key from orchestrator_exports l
				where l.tenant = $1 and l.project = $6 and l.idempotency_key = $7))
		order by e.run_id, e.started_at, e.project, e.idempotency_key limit $8`,
		tenant, project, f.RunID, f.ArtifactHash, string(f.Status), after[0], after[1], f.Limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("list records of exports: %w", err)
	}
	return records, found, nil
}

// cursorOfRecords cuts a cursor into project and key.
func cursorOfRecords(text string) (after [2]string, err error) {
	if text == "" {
		return after, nil
	}
	if !recordCursor.MatchString(text) {
		return after, &export.Error{Code: export.CodeValidation, Class: export.ClassPermanent, Field: "cursor",
			Message: "cursor: is not the cursor of a page; pass the nextCursor of the page before unchanged"}
	}
	project, key, _ := strings.Cut(text, "/")
	return [2]string{project, key}, nil
}

var recordCursor = regexp.MustCompile(`^[a-z0-9_-]{1,63}/sha256:[0-9a-f]{64}$`)
