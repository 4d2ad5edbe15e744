package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/export"
)

// WithTenant runs fn in a READ COMMITTED transaction that sees and writes the
// rows of tenant and of nobody else, and commits when fn returns nil.
//
// fn is run again from the start after a deadlock or a serialisation failure,
// so it must have no effect outside the transaction. Errors of the database
// come back as export.Error.
func (db *DB) WithTenant(ctx context.Context, tenant string, fn func(tx pgx.Tx) error) error {
	if err := checkTenant(tenant); err != nil {
		return err
	}
	return db.write(ctx, db.app, tenant, fn)
}

// withChain is WithTenant for a tenant or the installation, at the door; it is for
// the audit record alone.
func (db *DB) withChain(ctx context.Context, tenant string, fn func(tx pgx.Tx) error) error {
	return db.write(ctx, db.door, tenant, fn)
}

func (db *DB) write(ctx context.Context, pool *pgxpool.Pool, tenant string, fn func(tx pgx.Tx) error) error {
	const tries = 6
	for try := 1; ; try++ {
		err := db.inTenant(ctx, pool, tenant, beginWrite, fn)
		if err == nil || try == tries || !conflict(err) {
			return classify("database", err)
		}
		if err := sleep(ctx, time.Duration(try*try)*5*time.Millisecond); err != nil {
			return err
		}
	}
}

// readTenant runs fn once in a read-only transaction of tenant. It is for
// reads that stream to a caller, which cannot be run again; one statement alone is
// cheaper with readOnce.
func (db *DB) readTenant(ctx context.Context, tenant string, fn func(tx pgx.Tx) error) error {
	if err := checkTenant(tenant); err != nil {
		return err
	}
	return db.readChain(ctx, tenant, fn)
}

// readChain is readTenant for a tenant or the installation. Its rows go to whoever
// reads the record, who may be slow: not a thing of the door's.
func (db *DB) readChain(ctx context.Context, tenant string, fn func(tx pgx.Tx) error) error {
	return classify("database", db.inTenant(ctx, db.app, tenant, beginRead, fn))
}

func (db *DB) inTenant(ctx context.Context, pool *pgxpool.Pool, tenant, begin string, fn func(tx pgx.Tx) error) error {
	if !audit.ValidChain(tenant) {
		return checkTenant(tenant)
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	// A connection that is still in a transaction is closed, not pooled.
	defer conn.Release()
	tx, err := beginTenant(ctx, conn.Conn(), begin, tenant)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.end(ctx))
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	db.notifier.note(tx.topics)
	return nil
}

func checkTenant(tenant string) error {
	if export.ValidTenant(tenant) {
		return nil
	}
	return export.Errorf(export.CodeTenantRequired,
		"tenant %.80q is not a tenant name: 1 to 63 lower-case letters, digits and inner hyphens", tenant)
}

// conflict reports whether the transaction lost against another and may be
// run again: 40001 serialization_failure, 40P01 deadlock_detected.
func conflict(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40001" || pg.Code == "40P01")
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
