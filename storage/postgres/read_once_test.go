package postgres_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// oneConnection is a database reached over a single connection: what one read
// leaves behind the next one meets.
func oneConnection(t testing.TB) *postgres.DB {
	cfg := pgtest.New(t).Config
	cfg.MaxConns = 1
	db, err := postgres.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(db.Close)
	return db
}

// one reads the one text that sql gives.
func one(ctx context.Context, db *postgres.DB, tenant, sql string, args ...any) (text string, err error) {
	err = db.ReadOnce(ctx, tenant, func(rows pgx.Rows) (err error) {
		text, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
		return err
	}, sql, args...)
	return text, err
}

func TestReadOnceIsBehindTheWall(t *testing.T) {
	db := oneConnection(t)
	store := postgres.NewLedger(db)
	for _, tenant := range []string{"acme", "other", "acme"} {
		o := document("s", tenant+someTime, someTime, tenant)
		_, err := store.Import(t.Context(), tenant, []ledger.Observation{o})
		require.NoError(t, err)
		_, err = store.Remove(t.Context(), tenant, []ledger.Removal{{Identity: o.Identity()}})
		require.NoError(t, err)
	}
	for _, tenant := range []string{"acme", "other", "acme", "third"} {
		for _, table := range ledgerTables {
			// The query asks for the rows of all others: only the wall stands between.
			foreign, err := one(t.Context(), db, tenant, "select count(*)::text from "+table+" where tenant <> $1", tenant)
			require.NoError(t, err)
			require.Equal(t, "0", foreign, "%s sees rows of others in %s", tenant, table)
		}
		heads, err := one(t.Context(), db, tenant, "select count(*)::text from ledger_heads")
		require.NoError(t, err)
		require.Equal(t, map[bool]string{true: "1", false: "0"}[tenant != "third"], heads, tenant)
		how, err := one(t.Context(), db, tenant, "select app_current_tenant() || ', ' || current_setting('transaction_isolation') || ', ' || current_setting('transaction_read_only')")
		require.NoError(t, err)
		require.Equal(t, tenant+", read committed, on", how)
	}
	for _, bad := range []string{"", "A", "a/b", "../b", "a'b", "-a"} {
		_, err := one(t.Context(), db, bad, "select 'x'")
		require.Equal(t, export.CodeTenantRequired, export.CodeOf(err), bad)
	}
	_, err := one(t.Context(), db, "acme", "with gone as (delete from ledger_heads returning 1) select count(*)::text from gone")
	require.Equal(t, export.CodeUnavailable, export.CodeOf(err), "a read that writes: SQLSTATE 25006")
}

// Whatever goes wrong, the next read on the same connection sees its own tenant and
// no transaction of another.
func TestReadOnceLeavesNothingBehind(t *testing.T) {
	db := oneConnection(t)
	ctx := t.Context()
	backend := func() string {
		pid, err := one(ctx, db, "acme", "select pg_backend_pid()::text")
		require.NoError(t, err)
		return pid
	}
	pid, mine := backend(), errors.New("mine")
	for _, wrong := range []struct{ name, sql string }{
		{"not SQL", "selekt"},
		{"no such column", "select canary_column from ledger_heads"},
		{"fails at its first row", "select (1 / (n - 1))::text from generate_series(1, 3) n"},
		{"fails at its third row", "select (1 / (n - 3))::text from generate_series(1, 3) n"},
		{"two rows for one", "select 'a' union all select 'b'"},
		{"no row for one", "select 'a' where false"},
		{"nothing where a text must be", "select null::text"},
		{"two columns for one", "select 'a', 'b'"},
	} {
		for range 2 { // the first prepares the statement, the second has it
			_, err := one(ctx, db, "other", wrong.sql)
			require.Error(t, err, wrong.name)
			require.NotContains(t, err.Error(), "canary")
			require.Equal(t, pid, backend(), "%s: the connection is as good as new", wrong.name)
		}
	}
	_, err := one(ctx, db, "acme", "select $1::text", struct{}{})
	require.Error(t, err, "a parameter that is none")
	pid = backend() // pgx may have given the connection up in the middle of the batch
	err = db.ReadOnce(ctx, "acme", func(pgx.Rows) error { return mine }, "select n from generate_series(1, 100000) n")
	require.ErrorIs(t, err, mine)
	err = db.ReadOnce(ctx, "acme", func(pgx.Rows) error { return nil }, "select 1 / (n - 2) from generate_series(1, 2) n")
	require.Error(t, err, "an error nobody looked for")
	require.Equal(t, pid, backend())

	short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	_, err = one(short, db, "other", "select pg_sleep(60)::text")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotEqual(t, pid, backend(), "the connection of a read that was given up is not used again")
}

func TestReadOnceByMany(t *testing.T) {
	db := pgtest.New(t)
	runs := postgres.NewRuns(db.DB)
	for _, tenant := range []string{"acme", "other"} {
		_, _, err := runs.CreateRun(t.Context(), request(tenant, 1), storage.Idempotency{})
		require.NoError(t, err)
	}
	var all sync.WaitGroup
	for n := range 40 {
		all.Go(func() {
			tenant := []string{"acme", "other", "third"}[n%3]
			for range 20 {
				run, err := runs.GetRun(t.Context(), export.Ref{Tenant: tenant, RunID: runID(1)})
				if tenant == "third" {
					if !errors.Is(err, storage.ErrNotFound) {
						t.Errorf("third: %v", err)
					}
				} else if err != nil || run.Tenant != tenant {
					t.Errorf("%s: got %q, %v", tenant, run.Tenant, err)
				}
			}
		})
	}
	all.Wait()
}

// BenchmarkGetRun reads one run over and over.
func BenchmarkGetRun(b *testing.B) {
	runs := postgres.NewRuns(pgtest.New(b).DB)
	run, _, err := runs.CreateRun(b.Context(), request("acme", 1), storage.Idempotency{})
	require.NoError(b, err)
	for b.Loop() {
		if _, err := runs.GetRun(b.Context(), run.Ref()); err != nil {
			b.Fatal(err)
		}
	}
}
