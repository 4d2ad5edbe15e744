package postgres_test

import (
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

func TestMain(m *testing.M) { os.Exit(testkit.Main(m)) }

func TestWithTenantIsTransactionLocal(t *testing.T) {
	db := pgtest.New(t)
	ctx := t.Context()
	var tenant, isolation string
	require.NoError(t, db.WithTenant(ctx, "acme", func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, "select app_current_tenant(), current_setting('transaction_isolation')").Scan(&tenant, &isolation)
	}))
	require.Equal(t, "acme", tenant)
	require.Equal(t, "read committed", isolation)
	for _, bad := range []string{"", "A", "a/b", "../b", "a'b", "-a"} {
		err := db.WithTenant(ctx, bad, func(pgx.Tx) error { t.Fatal("ran"); return nil })
		require.Equal(t, export.CodeTenantRequired, export.CodeOf(err), bad)
	}
}
