package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// GetRun reads a run.
func (r *Runs) GetRun(ctx context.Context, ref export.Ref) (run export.Run, err error) {
	if !export.ValidRunID(ref.RunID) {
		return run, absentRun(ref)
	}
	err = r.db.readOnce(ctx, ref.Tenant, func(rows pgx.Rows) (err error) {
		run, err = pgx.CollectExactlyOneRow(rows, collectRun)
		return presentRun(ref, err)
	}, readRunSQL, ref.Tenant, ref.RunID)
	if err != nil {
		return export.Run{}, fmt.Errorf("get run: %w", err)
	}
	return run, nil
}

// FindRun gives the run that was made under a key for the same request.
func (r *Runs) FindRun(ctx context.Context, tenant string, idem storage.Idempotency) (run export.Run, found bool, err error) {
	if err := checkKey(idem); err != nil || idem.Key == "" {
		return run, false, err
	}
	err = r.db.readOnce(ctx, tenant, func(rows pgx.Rows) (err error) {
		run, err = pgx.CollectExactlyOneRow(rows, collectRun)
		if found = err == nil; errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return err
	}, readRunsSQL+` where tenant = $1 and id = (select run_id from export_idempotency_keys
		where tenant = $1 and operation = $2 and key = $3 and request_hash = $4)`,
		tenant, createRunOperation, idem.Key, idem.RequestHash[:])
	if err != nil {
		return export.Run{}, false, fmt.Errorf("find run by key: %w", err)
	}
	return run, found, nil
}

// maxPage bounds a page of runs.
const maxPage = 200

// ListRuns gives a page of runs, newest first.
func (r *Runs) ListRuns(ctx context.Context, tenant string, f storage.RunFilter) ([]export.Run, string, error) {
	query, args, err := listQuery(tenant, f)
	if err != nil {
		return nil, "", err
	}
	var runs []export.Run
	err = r.db.readOnce(ctx, tenant, func(rows pgx.Rows) (err error) {
		runs, err = pgx.CollectRows(rows, collectRun)
		return err
	}, query, args...)
	if err != nil {
		return nil, "", fmt.Errorf("list runs: %w", err)
	}
	if len(runs) <= f.Limit {
		return runs, "", nil
	}
	runs = runs[:f.Limit]
	return runs, cursorOf(runs[f.Limit-1]).encode(), nil
}

// listQuery asks for one run more than the page holds, to know whether another
// page follows.
func listQuery(tenant string, f storage.RunFilter) (string, []any, error) {
	if f.Limit < 1 || f.Limit > maxPage {
		return "", nil, &export.Error{Code: export.CodeValidation, Class: export.ClassPermanent, Field: "limit",
			Message: fmt.Sprintf("limit is %d; it must be 1 to %d", f.Limit, maxPage)}
	}
	where, args := []string{"tenant = $1"}, []any{tenant}
	parameter := func(value any) string {
		args = append(args, value)
		return "$" + strconv.Itoa(len(args))
	}
	if f.State != "" {
		if !f.State.Valid() {
			return "", nil, &export.Error{Code: export.CodeValidation, Class: export.ClassPermanent, Field: "status",
				Message: fmt.Sprintf("status %.40q is not a run state", string(f.State))}
		}
		where = append(where, "status = "+parameter(string(f.State)))
	}
	if f.Profile != "" {
		where = append(where, "profile_id = "+parameter(f.Profile))
	}
	for _, equal := range []struct{ column, value string }{{"project", f.Project}, {"requested_by", f.RequestedBy}} {
		if equal.value != "" {
			where = append(where, equal.column+" = "+parameter(storable(equal.value)))
		}
	}
	if f.Label[0] != "" {
		where = append(where, "labels @> jsonb_build_object("+parameter(storable(f.Label[0]))+"::text, "+parameter(storable(f.Label[1]))+"::text)")
	}
	if !f.From.IsZero() {
		where = append(where, "requested_at >= "+parameter(f.From))
	}
	if !f.To.IsZero() {
		where = append(where, "requested_at < "+parameter(f.To))
	}
	if f.Cursor != "" {
		c, err := parseCursor(f.Cursor)
		if err != nil {
			return "", nil, err
		}
		where = append(where, "(requested_at, id) < ("+parameter(c.at)+", "+parameter(c.id)+")")
	}
	query := "select " + listedRunColumns + " from export_runs where " + strings.Join(where, " and ") +
		" order by requested_at desc, id desc limit " + parameter(f.Limit+1)
	return query, args, nil
}

// maxEvents bounds one read of a journal.
const maxEvents = 1000

// Events lists a run's journal after seq.
func (r *Runs) Events(ctx context.Context, ref export.Ref, after int64, limit int) ([]export.Event, error) {
	if !export.ValidRunID(ref.RunID) {
		return nil, absentRun(ref)
	}
	var events []export.Event
	// One query: a run without further events is a row of nulls, an absent run is none.
	err := r.db.readOnce(ctx, ref.Tenant, func(rows pgx.Rows) (err error) {
		events, err = collectEvents(ref, rows)
		return err
	}, `
		select e.seq, e.event_type, e.message, e.at, e.metrics
		from export_runs r left join lateral (
			select * from export_events e where e.tenant = r.tenant and e.run_id = r.id and e.seq > $3
			order by e.seq limit $4) e on true
		where r.tenant = $1 and r.id = $2 order by e.seq`,
		ref.Tenant, ref.RunID, after, min(max(limit, 1), maxEvents))
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return events, nil
}

func collectEvents(ref export.Ref, rows pgx.Rows) ([]export.Event, error) {
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (*export.Event, error) {
		if row.RawValues()[0] == nil {
			return nil, nil //nolint:nilnil // the run is there and has no such event
		}
		e := &export.Event{RunID: ref.RunID}
		err := row.Scan(&e.Seq, &e.Type, &e.Message, &e.At, &e.Metrics)
		e.At = e.At.UTC()
		return e, err
	})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, absentRun(ref)
	}
	events := make([]export.Event, 0, len(found))
	for _, e := range found {
		if e == nil {
			continue
		}
		if len(e.Metrics) == 0 {
			e.Metrics = nil
		}
		events = append(events, *e)
	}
	return events, nil
}

// Files lists the entries of a run's bundle in archive order.
func (r *Runs) Files(ctx context.Context, ref export.Ref) ([]storage.File, error) {
	return bundleFiles(ctx, r.db, ref, layerPlain)
}
