package main

import (
	"context"
	"os"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/testkit"
)

func TestMain(m *testing.M) { os.Exit(testkit.Main(m)) }

// scratch gives a connection whose tables nobody else sees.
func scratch(t *testing.T, statements ...string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), testkit.Postgres(t).AdminDSN())
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) }) //nolint:errcheck // its tables go with it
	for _, s := range statements {
		_, err := conn.Exec(t.Context(), s)
		require.NoError(t, err, s)
	}
	return conn
}

func TestForgetLeavesOtherTenantsAndBearsAbsentTables(t *testing.T) {
	conn := scratch(t)
	require.NoError(t, forget(t.Context(), conn, tenant), "a release without memories")
	for _, s := range []string{
		"create temporary table export_packed (tenant text)", "insert into export_packed values ('demo'), ('other'), ('demo')",
		"create temporary table export_plans (tenant text)", "insert into export_plans values ('demo')",
	} {
		_, err := conn.Exec(t.Context(), s)
		require.NoError(t, err)
	}
	require.NoError(t, forget(t.Context(), conn, tenant))
	var packed, plans []string
	err := conn.QueryRow(t.Context(), "select array(select tenant from export_packed), array(select tenant from export_plans)").Scan(&packed, &plans)
	require.NoError(t, err)
	require.Equal(t, []string{"other"}, packed)
	require.Empty(t, plans)
}

func TestAFloorThatSortsIsRefused(t *testing.T) {
	const fill = "insert into bench_floor select n, repeat('x', 2000) from generate_series(1, 5000) n"
	require.NoError(t, sortsNothing(t.Context(), scratch(t,
		"create temporary table bench_floor (n bigint primary key, line text)", fill, "vacuum analyze bench_floor")))
	require.ErrorContains(t, sortsNothing(t.Context(), scratch(t,
		"create temporary table bench_floor (n bigint, line text)", fill, "vacuum analyze bench_floor")), "would sort")
}
