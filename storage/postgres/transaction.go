package postgres

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// The two ways a tenant's transaction begins. READ COMMITTED is part of the
// import's design: a statement after the wait for a lock must see what the
// previous holder committed (ARCHITECTURE D1).
const (
	beginWrite = "begin isolation level read committed read write"
	beginRead  = "begin isolation level read committed read only"
)

// setTenant lets the transaction, and nothing after it, see the rows of tenant $1.
const setTenant = "select set_config('app.current_tenant', $1, true)"

// patientTenant also lets the transaction be silent for five minutes: what it
// reads goes to somebody who may be slow, and it holds nobody up.
const patientTenant = "select set_config('app.current_tenant', $1, true), set_config('idle_in_transaction_session_timeout', '5min', true)"

// transaction is a pgx.Tx that began together with its tenant in one round
// trip: BEGIN and set_config as one batch, measured at half the cost of two
// (RUNTIME section 6). It has no nested transactions.
type transaction struct {
	conn *pgx.Conn
	open bool
	// topics are those of the runs whose journals it has written to.
	topics []storage.Topic
}

// wrote notes, if tx is a tenant's transaction, that the journal of ref grows
// when it commits.
func wrote(tx pgx.Tx, ref export.Ref) {
	if t, ok := tx.(*transaction); ok {
		t.topics = append(t.topics, storage.TopicOf(ref))
	}
}

func beginTenant(ctx context.Context, conn *pgx.Conn, begin, tenant string) (*transaction, error) {
	batch := &pgx.Batch{}
	batch.Queue(begin)
	set := setTenant
	if begin == beginRead {
		set = patientTenant
	}
	batch.Queue(set, tenant)
	if err := conn.SendBatch(ctx, batch).Close(); err != nil {
		return nil, err
	}
	return &transaction{conn: conn, open: true}, nil
}

// end rolls back even when ctx has ended, so that the connection stays usable.
func (tx *transaction) end(ctx context.Context) error {
	if !tx.open || tx.conn.IsClosed() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return tx.Rollback(ctx)
}

func (tx *transaction) Commit(ctx context.Context) error {
	if !tx.open {
		return pgx.ErrTxClosed
	}
	tx.open = false
	tag, err := tx.conn.Exec(ctx, "commit")
	if err != nil {
		return err
	}
	if tag.String() == "ROLLBACK" { // a statement had failed and its error was dropped
		return pgx.ErrTxCommitRollback
	}
	return nil
}

func (tx *transaction) Rollback(ctx context.Context) error {
	if !tx.open {
		return pgx.ErrTxClosed
	}
	tx.open = false
	_, err := tx.conn.Exec(ctx, "rollback")
	return err
}

func (tx *transaction) Begin(context.Context) (pgx.Tx, error) {
	return nil, errors.New("a tenant's transaction has no nested transactions")
}

func (tx *transaction) LargeObjects() pgx.LargeObjects {
	panic("large objects have no row level security and are not used")
}

func (tx *transaction) Conn() *pgx.Conn { return tx.conn }

func (tx *transaction) CopyFrom(ctx context.Context, table pgx.Identifier, columns []string, rows pgx.CopyFromSource) (int64, error) {
	return tx.conn.CopyFrom(ctx, table, columns, rows)
}

func (tx *transaction) SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults {
	return tx.conn.SendBatch(ctx, b)
}

func (tx *transaction) Prepare(ctx context.Context, name, sql string) (*pgconn.StatementDescription, error) {
	return tx.conn.Prepare(ctx, name, sql)
}

func (tx *transaction) Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error) {
	return tx.conn.Exec(ctx, sql, args...)
}

func (tx *transaction) Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error) {
	return tx.conn.Query(ctx, sql, args...)
}

func (tx *transaction) QueryRow(ctx context.Context, sql string, args ...any) pgx.Row {
	return tx.conn.QueryRow(ctx, sql, args...)
}
