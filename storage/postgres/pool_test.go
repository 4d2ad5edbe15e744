package postgres_test

import (
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/storage/postgres"
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

// A process that is stopped in the middle of a transaction does not keep others
// from its rows for longer than Silence, and may try again when it goes on. One
// that only reads may be slow.
func TestAStoppedProcessGivesItsLocksBack(t *testing.T) {
	db := pgtest.New(t)
	config := db.Config
	config.Silence = 300 * time.Millisecond
	stopped, err := postgres.Open(t.Context(), config)
	require.NoError(t, err)
	defer stopped.Close()
	ctx := t.Context()
	lock := func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "select pg_advisory_xact_lock(4)")
		return err
	}
	holds, others := make(chan struct{}), make(chan struct{})
	goOn := sync.OnceFunc(func() { close(others) })
	defer goOn()
	first := make(chan error, 1)
	go func() {
		first <- stopped.WithTenant(ctx, "acme", func(tx pgx.Tx) error {
			if err := lock(tx); err != nil {
				return err
			}
			close(holds)
			<-others
			return lock(tx)
		})
	}()
	<-holds
	begin := time.Now()
	require.NoError(t, db.WithTenant(ctx, "acme", lock))
	require.Less(t, time.Since(begin), 5*time.Second)
	goOn()
	err = <-first
	require.Error(t, err, "its locks are gone: what it did is not kept")
	require.Equal(t, export.ClassTransient, export.ClassOf(err), "%v", err)
	require.NoError(t, stopped.WithTenant(ctx, "acme", lock))

	require.NoError(t, stopped.ReadTenant(ctx, "acme", func(tx pgx.Tx) error {
		time.Sleep(3 * config.Silence)
		_, err := tx.Exec(ctx, "select 1")
		return err
	}))
}
