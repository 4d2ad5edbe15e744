package postgres

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// ExplainCurrent gives the plan of a listing that is not of few documents.
func ExplainCurrent(t *testing.T, db *DB, tenant string, seq int64, sel export.Selectors) (plan []string) {
	t.Helper()
	require.NoError(t, db.readTenant(t.Context(), tenant, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), inOrder); err != nil {
			return err
		}
		q := newListing(tenant, "", seq)
		if err := q.chosen(t.Context(), tx, sel); err != nil {
			return err
		}
		rows, err := tx.Query(t.Context(), "explain "+q.sql(), q.args...)
		if err != nil {
			return err
		}
		plan, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	}))
	return plan
}

// ListCurrent lists in one of the two ways, whatever Current would choose.
func ListCurrent(t *testing.T, db *DB, tenant string, seq int64, sel export.Selectors, few bool) (rows []ledger.Row) {
	t.Helper()
	require.NoError(t, db.readTenant(t.Context(), tenant, func(tx pgx.Tx) error {
		q := newListing(tenant, "", seq)
		if err := q.chosen(t.Context(), tx, sel); err != nil {
			return err
		}
		if few && q.named {
			q.lookUp()
		}
		return readRows(t.Context(), tx, q, func(r ledger.Row) error { rows = append(rows, r); return nil })
	}))
	return rows
}

// ExplainLines gives the plan of Lines.
func ExplainLines(t *testing.T, db *DB, tenant string) (plan []string) {
	t.Helper()
	require.NoError(t, db.readTenant(t.Context(), tenant, func(tx pgx.Tx) error {
		rows, err := tx.Query(t.Context(), "explain "+blocksQuery, tenant, []int64{1, 2, 3})
		if err != nil {
			return err
		}
		plan, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	}))
	return plan
}

// ListingOf is the query of CurrentOf.
func ListingOf(tenant string, seq int64, rows []ledger.Row) (sql string, args []any) {
	q := listingOf(tenant, "", seq, rows)
	return q.sql(), q.args
}

// StandingQuery is standingQuery.
const StandingQuery = standingQuery

// Explain gives the plan of a query of a tenant's.
func Explain(t *testing.T, db *DB, tenant, sql string, args ...any) (plan []string) {
	t.Helper()
	require.NoError(t, db.readTenant(t.Context(), tenant, func(tx pgx.Tx) error {
		rows, err := tx.Query(t.Context(), "explain "+sql, args...)
		if err != nil {
			return err
		}
		plan, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	}))
	return plan
}
