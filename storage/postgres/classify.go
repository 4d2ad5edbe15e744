package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stella-ops/exportcenter/export"
)

// classify turns an error of the database into an export.Error and leaves
// every other error (a store's sentinel, the caller's own) as it is. The
// database's texts name values, so they go neither to the client nor to the
// log; errors.As still finds the *pgconn.PgError.
func classify(op string, err error) error {
	if err == nil {
		return nil
	}
	var coded *export.Error
	if errors.As(err, &coded) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && !lost(err) {
		code, class, message := verdict(pg.Code)
		return &export.Error{Code: code, Class: class, Message: message, Err: &stateError{op: op, pg: pg}}
	}
	if lost(err) {
		return &export.Error{
			Code: export.CodeUnavailable, Class: export.ClassTransient,
			Message: "the database cannot be reached; try again", Err: fmt.Errorf("%s: %w", op, err),
		}
	}
	return err
}

// lost reports whether err is about the connection, not about a statement: also
// a server that refuses us at the door (it is restored, its passwords change)
// or that was killed and leaves half an answer.
func lost(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connect) || errors.As(err, &network) || pgconn.SafeToRetry(err) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF)
}

// verdict maps an SQLSTATE (PostgreSQL Appendix A).
func verdict(state string) (export.Code, export.Class, string) {
	switch state {
	case "25006": // read_only_sql_transaction: a standby that is not yet the primary
		return export.CodeUnavailable, export.ClassTransient, "the database is not available for writing; try again"
	case "25P03", "25P04": // the transaction, or we, stood still for too long
		return export.CodeUnavailable, export.ClassTransient, "the database ended a transaction that stood still; try again"
	case "53100": // disk_full
		return export.CodeUnavailable, export.ClassTransient, "the database's disk is full; free some space and try again"
	case "40001", "40P01", "55P03":
		return export.CodeUnavailable, export.ClassTransient, "the database was busy with conflicting work; try again"
	case "23505", "23503", "23514", "23502":
		return export.CodeStateConflict, export.ClassPermanent, "the stored state does not allow this change"
	case "42501":
		return export.CodeCrossTenant, export.ClassPermanent, "the tenant does not own what this change names"
	}
	switch state[:min(2, len(state))] {
	case "08", "53", "57", "58":
		return export.CodeUnavailable, export.ClassTransient, "the database is not available; try again"
	case "22", "54":
		return export.CodeValidation, export.ClassPermanent, "a value cannot be stored: text with a zero byte, or a number or text out of range"
	}
	return export.CodeInternal, export.ClassPermanent, "the database refused a statement; the log has its SQLSTATE"
}

// stateError tells what happened without the database's texts.
type stateError struct {
	op string
	pg *pgconn.PgError
}

func (e *stateError) Error() string {
	text := e.op + ": SQLSTATE " + e.pg.Code
	if e.pg.TableName != "" {
		text += " table " + e.pg.TableName
	}
	if e.pg.ConstraintName != "" {
		text += " constraint " + e.pg.ConstraintName
	}
	return text
}

func (e *stateError) Unwrap() error { return e.pg }
