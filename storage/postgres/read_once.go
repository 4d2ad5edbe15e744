package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// setReader is setTenant for a transaction that reads.
const setReader = "select set_config('app.current_tenant', $1, true), set_config('transaction_read_only', 'on', true)"

// readOnce runs one statement in a read-only transaction of tenant and gives its
// rows to collect: the tenant and the statement in one round trip, where readTenant
// takes three. Statements that are sent together without begin are one transaction
// (PostgreSQL protocol, pipelining), which the server ends. Like there, collect runs
// once and must not keep rows; a failed statement leaves nothing behind on the
// connection.
func (db *DB) readOnce(ctx context.Context, tenant string, collect func(pgx.Rows) error, sql string, args ...any) error {
	return classify("database", db.oneTrip(ctx, tenant, collect, sql, args))
}

func (db *DB) oneTrip(ctx context.Context, tenant string, collect func(pgx.Rows) error, sql string, args []any) error {
	if err := checkTenant(tenant); err != nil {
		return err
	}
	conn, err := db.app.Acquire(ctx)
	if err != nil {
		return err
	}
	// A connection that is still in a transaction is closed, not pooled.
	defer conn.Release()
	var collected error
	batch := &pgx.Batch{}
	batch.Queue(setReader, tenant)
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) error {
		// What collect makes of the rows is not the batch's failure: pgx would
		// forget the prepared statements after every absent run.
		collected = collect(rows)
		return nil
	})
	if err := conn.Conn().SendBatch(ctx, batch).Close(); err != nil {
		return err
	}
	return collected
}
