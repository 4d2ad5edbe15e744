package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/storage"
)

// Dispatch sees, across tenants, which runs wait for somebody to act. It
// connects as a role of its own that can read their names and nothing else, so
// no mistake here can show one tenant's data to another.
type Dispatch struct{ db *DB }

var _ storage.Dispatch = (*Dispatch)(nil)

// NewDispatch makes the dispatcher's view; db must have been opened with
// Config.Dispatch.
func NewDispatch(db *DB) *Dispatch { return &Dispatch{db: db} }

// Waiting lists runs that are pending or to be cancelled, oldest first.
func (d *Dispatch) Waiting(ctx context.Context, limit int) ([]storage.Waiting, error) {
	if d.db.dispatch == nil {
		return nil, errors.New("list waiting runs: no connection string for the dispatcher (database.dispatch)")
	}
	// The condition is the policy's own, so that its partial index serves both.
	rows, err := d.db.dispatch.Query(ctx, `
		select tenant, id, profile_id, status = 'pending', cancel_requested_at is not null from export_runs
		where status = 'pending' or (cancel_requested_at is not null and status in ('pending', 'running', 'waiting'))
		order by requested_at, tenant, id limit $1`, limit)
	if err != nil {
		return nil, fmt.Errorf("list waiting runs: %w", classify("query", err))
	}
	waiting, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w storage.Waiting, err error) {
		return w, row.Scan(&w.Ref.Tenant, &w.Ref.RunID, &w.ProfileID, &w.Pending, &w.Cancel)
	})
	if err != nil {
		return nil, fmt.Errorf("list waiting runs: %w", classify("query", err))
	}
	return waiting, nil
}
