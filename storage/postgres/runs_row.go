package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// noProject stands in rows for the project of a tenant that has none (CONTRACT
// ruling 14).
const noProject = "_"

func projectColumn(project string) string {
	if project == "" {
		return noProject
	}
	return project
}

// runColumns are the columns of a runRow, in its order.
const runColumns = `tenant, project, id, profile_id, profile_revision, profile_name, kind, variant,
	selectors, options, labels, requested_by, requested_at,
	status, as_of, dispatched_at, started_at, completed_at, error_code, error_message, error_phase,
	cancel_requested_at, cancel_by, cancel_reason,
	shards, shards_done, records, records_done, bytes, bytes_done,
	manifest_digest, payload_digest, rerun_hash, archive_digest, archive_bytes, signatures,
	quota_active, quota_daily, quota_bytes,
	guard, waiting_since, waiting_until, waiting_why, decision, decided_at, decided_by, decision_reason, resumed_at, generation,
	rebuild_of, rebuilt, encryption, encrypted, reach`

// listedRunColumns are runColumns without what may be long and lists do not tell.
var listedRunColumns = strings.TrimSuffix(runColumns, "reach") + "null::jsonb"

// runRow is a row of export_runs as it is read.
type runRow struct {
	run                        export.Run
	project                    string
	dispatchedAt               *time.Time
	startedAt, completedAt     *time.Time
	errCode, errText, errStep  *string
	cancelAt                   *time.Time
	cancelBy, cancelReason     *string
	waitingSince, waitingUntil *time.Time
	waitingWhy                 *string
	decision                   *string
	decidedAt, resumedAt       *time.Time
	decidedBy, decisionReason  *string
	rebuildOf                  *string
}

// targets are where the runColumns are scanned to.
func (r *runRow) targets() []any {
	run := &r.run
	return []any{
		&run.Tenant, &r.project, &run.ID,
		&run.ProfileID, &run.ProfileRevision, &run.ProfileName, &run.Kind, &run.Variant,
		&run.Selectors, &run.Options, &run.Labels, &run.RequestedBy, &run.RequestedAt,
		&run.State, &run.AsOf, &r.dispatchedAt, &r.startedAt, &r.completedAt, &r.errCode, &r.errText, &r.errStep,
		&r.cancelAt, &r.cancelBy, &r.cancelReason,
		&run.Progress.Shards, &run.Progress.ShardsDone, &run.Progress.Records, &run.Progress.RecordsDone,
		&run.Progress.Bytes, &run.Progress.BytesDone,
		&run.Result.ManifestDigest, &run.Result.PayloadDigest, &run.Result.RerunHash,
		&run.Result.ArchiveDigest, &run.Result.ArchiveBytes, &run.Result.Signatures,
		&run.Quotas.MaxConcurrentRuns, &run.Quotas.MaxRunsPerDay, &run.Quotas.MaxBytes,
		&run.Guard, &r.waitingSince, &r.waitingUntil, &r.waitingWhy,
		&r.decision, &r.decidedAt, &r.decidedBy, &r.decisionReason, &r.resumedAt, &run.Generation,
		&r.rebuildOf, &run.Rebuilt, &run.Encryption, &run.Result.Encrypted, &run.Reach,
	}
}

// finish gives the run, with absent things absent and times in UTC.
func (r *runRow) finish() export.Run {
	run := r.run
	if r.project != noProject {
		run.Project = r.project
	}
	if len(run.Labels) == 0 {
		run.Labels = nil
	}
	if len(run.Result.Signatures) == 0 {
		run.Result.Signatures = nil
	}
	run.RequestedAt = run.RequestedAt.UTC()
	run.DispatchedAt = timeOf(r.dispatchedAt)
	run.StartedAt = timeOf(r.startedAt)
	run.CompletedAt = timeOf(r.completedAt)
	if r.errCode != nil {
		run.Failure = &export.Failure{Code: export.Code(*r.errCode), Message: textOf(r.errText), Phase: export.Phase(textOf(r.errStep))}
	}
	if r.cancelAt != nil {
		run.Cancel = &export.Cancellation{By: textOf(r.cancelBy), Reason: textOf(r.cancelReason), At: r.cancelAt.UTC()}
	}
	run.Wait = r.wait()
	run.RebuildOf = textOf(r.rebuildOf)
	return run
}

// wait is what the run waits for, or did.
func (r *runRow) wait() *export.Wait {
	if r.waitingSince == nil {
		return nil
	}
	wait := &export.Wait{Since: timeOf(r.waitingSince), Until: timeOf(r.waitingUntil), Why: textOf(r.waitingWhy), ResumedAt: timeOf(r.resumedAt)}
	if r.decision != nil {
		wait.Decision = &export.Decision{Verdict: export.Verdict(*r.decision), By: textOf(r.decidedBy), Reason: textOf(r.decisionReason), At: timeOf(r.decidedAt)}
	}
	return wait
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

func textOf(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// scanRun reads a row that begins with runColumns, then more.
func scanRun(row pgx.Row, more ...any) (export.Run, error) {
	var r runRow
	if err := row.Scan(append(r.targets(), more...)...); err != nil {
		return export.Run{}, err
	}
	return r.finish(), nil
}

// absentRun is the answer for a run that this tenant does not have, whoever
// else may have it.
func absentRun(ref export.Ref) error {
	return &export.Error{
		Code: export.CodeRunNotFound, Class: export.ClassPermanent,
		Message: fmt.Sprintf("there is no run %.80q", ref.RunID),
		Err:     storage.ErrNotFound,
	}
}

// collectRun is scanRun for pgx.CollectRows.
func collectRun(row pgx.CollectableRow) (export.Run, error) { return scanRun(row) }

const (
	readRunsSQL = "select " + runColumns + " from export_runs"
	readRunSQL  = readRunsSQL + " where tenant = $1 and id = $2"
)

// readRun reads a run.
func readRun(ctx context.Context, tx pgx.Tx, ref export.Ref) (export.Run, error) {
	return oneRun(ref, tx.QueryRow(ctx, readRunSQL, ref.Tenant, ref.RunID))
}

const lockRunSQL = "select " + runColumns + " from export_runs where tenant = $1 and id = $2 for no key update"

// lockRun reads a run and keeps every other writer of it away until the
// transaction ends. It comes before all other locks, and what is read after it
// must be read by a later statement: only that one sees what the previous
// holder committed.
func lockRun(ctx context.Context, tx pgx.Tx, ref export.Ref) (export.Run, error) {
	return oneRun(ref, tx.QueryRow(ctx, lockRunSQL, ref.Tenant, ref.RunID))
}

func oneRun(ref export.Ref, row pgx.Row) (export.Run, error) {
	run, err := scanRun(row)
	return run, presentRun(ref, err)
}

// presentRun says in our words that a query for one run found none.
func presentRun(ref export.Ref, err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return absentRun(ref)
	}
	return err
}

// jsonColumn encodes v for a jsonb column; a nil map or slice becomes empty.
func jsonColumn(v any, empty string) ([]byte, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode column: %w", err)
	}
	if string(raw) == "null" {
		return []byte(empty), nil
	}
	return raw, nil
}
