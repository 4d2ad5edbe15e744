package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
)

// readOnce runs one statement in a read-only transaction of tenant and gives its
// rows to collect: begin, the tenant, the statement and commit in one round trip
// where readTenant takes three. Like there, collect runs once and must not keep
// rows; a failed statement leaves nothing behind on the connection.
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
	batch.Queue(beginRead)
	batch.Queue(setTenant, tenant)
	batch.Queue(sql, args...).Query(func(rows pgx.Rows) error {
		// What collect makes of the rows is not the batch's failure: pgx would
		// forget the prepared statements after every absent run.
		collected = collect(rows)
		return nil
	})
	batch.Queue("commit")
	if err := conn.Conn().SendBatch(ctx, batch).Close(); err != nil {
		return errors.Join(err, abandon(ctx, conn.Conn()))
	}
	return collected
}

// abandon ends what a failed batch has begun.
func abandon(ctx context.Context, conn *pgx.Conn) error {
	const idle = 'I' // of ReadyForQuery: not in a transaction
	tx := &transaction{conn: conn, open: !conn.IsClosed() && conn.PgConn().TxStatus() != idle}
	return tx.end(ctx)
}
