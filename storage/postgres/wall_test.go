package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// document makes an observation without reading any format.
func document(stream, id, modified, text string) ledger.Observation {
	raw := fmt.Appendf(nil, `{"id": %q, "text": %q}`, id, text)
	return ledger.Observation{
		Kind: ledger.KindAdvisory, Format: "osv", Source: "osv", Stream: stream, UpstreamID: id, Modified: modified,
		Digest: bundle.DigestOf(raw), Raw: raw, Canonical: fmt.Appendf(nil, `{"id":%q,"text":%q}`, id, text),
		Subject: "pkg:npm/" + id, Products: []string{"pkg:npm/" + id}, Ecosystems: []string{"npm"}, Aliases: []string{"CVE-" + id},
	}
}

const someTime = "2026-01-02T03:04:05.000000000Z"

var ledgerTables = []string{"ledger_heads", "ledger_blocks", "ledger_moments", "ledger_observations", "ledger_removals", "ledger_terms"}

// countRows counts a table's rows without naming a tenant in the query: only
// the wall stands between.
func countRows(t *testing.T, conn *pgx.Conn, tenant *string, table string) int {
	t.Helper()
	tx, err := conn.Begin(t.Context())
	require.NoError(t, err)
	defer tx.Rollback(t.Context()) //nolint:errcheck // read only
	if tenant != nil {
		_, err = tx.Exec(t.Context(), "select set_config('app.current_tenant', $1, true)", *tenant)
		require.NoError(t, err)
	}
	var n int
	require.NoError(t, tx.QueryRow(t.Context(), "select count(*) from "+table).Scan(&n))
	return n
}

func TestRowsAreSeenByTheirTenantOnly(t *testing.T) {
	db := pgtest.New(t)
	store, mine := postgres.NewLedger(db.DB), document("s", "a", someTime, "x")
	_, err := store.Import(t.Context(), "acme", []ledger.Observation{mine})
	require.NoError(t, err)
	_, err = store.Remove(t.Context(), "acme", []ledger.Removal{{Identity: mine.Identity()}})
	require.NoError(t, err)
	counts, err := store.Remove(t.Context(), "other", []ledger.Removal{{Identity: mine.Identity()}})
	require.NoError(t, err)
	require.EqualValues(t, 1, counts.Absent, "another tenant's document")
	acme, other, empty := "acme", "other", ""
	for _, role := range []struct{ name, dsn string }{{"service", db.App}, {"owner", db.Owner}} {
		conn := connect(t, role.dsn)
		for _, table := range ledgerTables {
			require.Positive(t, countRows(t, conn, &acme, table), "%s %s", role.name, table)
			require.Zero(t, countRows(t, conn, &other, table), "%s %s", role.name, table)
			require.Zero(t, countRows(t, conn, &empty, table), "%s %s", role.name, table)
			require.Zero(t, countRows(t, conn, nil, table), "%s %s: nobody, after a tenant's transaction", role.name, table)
		}
	}
}

func TestForeignDocumentsAreAbsent(t *testing.T) {
	db := pgtest.New(t)
	store := postgres.NewLedger(db.DB)
	ctx := t.Context()
	mine := document("s", "a", someTime, "secret")
	_, err := store.Import(ctx, "acme", []ledger.Observation{mine})
	require.NoError(t, err)

	head, err := store.Head(ctx, "other")
	require.NoError(t, err)
	require.Zero(t, head)
	require.Empty(t, current(t, store, "other", 1, export.Selectors{}))
	foreign := func() error { _, err := store.Original(ctx, "other", mine.Digest); return err }()
	absent := func() error { _, err := store.Original(ctx, "other", bundle.DigestOf([]byte("no such"))); return err }()
	require.ErrorIs(t, foreign, storage.ErrNotFound)
	require.ErrorIs(t, absent, storage.ErrNotFound)
	err = store.Lines(ctx, "other", placesOf(t, store, 1), func(ledger.Line) error { t.Error("a foreign line"); return nil })
	require.ErrorIs(t, err, storage.ErrNotFound)

	// The other tenant's own copy is its own: counted as new, numbered from 1.
	counts, err := store.Import(ctx, "other", []ledger.Observation{mine})
	require.NoError(t, err)
	require.Equal(t, ledger.Counts{Read: 1, Accepted: 1}, counts)
}

func TestTheServiceCannotReachOverTheWall(t *testing.T) {
	db := pgtest.New(t)
	store := postgres.NewLedger(db.DB)
	ctx := t.Context()
	_, err := store.Import(ctx, "acme", []ledger.Observation{document("s", "a", someTime, "x")})
	require.NoError(t, err)
	tests := []struct{ name, sql string }{
		{"insert for another tenant", "insert into ledger_heads (tenant, seq) values ('acme', 9)"},
		{"insert a block for another tenant", "insert into ledger_blocks values ('acme', 1, 'x')"},
		{"copy into", "copy ledger_heads from stdin"},
		{"truncate", "truncate ledger_terms"},
		{"delete", "delete from ledger_observations"},
		{"update", "update ledger_observations set modified = ''"},
		{"take a removal back", "delete from ledger_removals"},
		{"change a removal", "update ledger_removals set reason = ''"},
		{"give a head away", "update ledger_heads set tenant = 'acme'"},
		{"switch the wall off", "alter table ledger_heads disable row level security"},
		{"become the owner", "set role exportcenter_owner"},
		{"make a table", "create table mine (id int)"},
		{"read goose's table", "select from goose_db_version"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := db.WithTenant(ctx, "other", func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, tt.sql)
				return err
			})
			require.Error(t, err)
			var pg *pgconn.PgError
			require.ErrorAs(t, err, &pg)
			require.Contains(t, []string{"42501", "0A000"}, pg.Code)
		})
	}
	t.Run("update touches nothing of another tenant", func(t *testing.T) {
		require.NoError(t, db.WithTenant(ctx, "other", func(tx pgx.Tx) error {
			tag, err := tx.Exec(ctx, "update ledger_heads set seq = 99")
			require.Zero(t, tag.RowsAffected())
			return err
		}))
	})
}

func TestErrorsDoNotCarryTheDatabasesWords(t *testing.T) {
	db := pgtest.New(t)
	ctx := t.Context()
	tests := []struct {
		name, sql string
		code      export.Code
		class     export.Class
	}{
		{"unique", "insert into ledger_heads values ('acme', 1), ('acme', 2)", export.CodeStateConflict, export.ClassPermanent},
		{"foreign tenant", "insert into ledger_heads values ('canary-tenant', 1)", export.CodeCrossTenant, export.ClassPermanent},
		{"value", "select 'canary-value'::int", export.CodeValidation, export.ClassPermanent},
		{"program error", "select canary_column from ledger_heads", export.CodeInternal, export.ClassPermanent},
		{"shutdown", "do $$ begin raise exception 'canary' using errcode = '57P01'; end $$", export.CodeUnavailable, export.ClassTransient},
		{"serialisation", "do $$ begin raise exception 'canary' using errcode = '40001'; end $$", export.CodeUnavailable, export.ClassTransient},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := db.WithTenant(ctx, "acme", func(tx pgx.Tx) error {
				_, err := tx.Exec(ctx, tt.sql)
				return err
			})
			require.Equal(t, tt.code, export.CodeOf(err))
			require.Equal(t, tt.class, export.ClassOf(err))
			require.NotContains(t, err.Error(), "canary")
			require.NotContains(t, err.Error(), "already exists")
		})
	}
}

func TestWithTenantTriesAgainAndEndsWell(t *testing.T) {
	db := pgtest.New(t)
	ctx := t.Context()
	tries := 0
	require.NoError(t, db.WithTenant(ctx, "acme", func(tx pgx.Tx) error {
		if tries++; tries < 3 {
			_, err := tx.Exec(ctx, "do $$ begin raise exception 'x' using errcode = '40P01'; end $$")
			return err
		}
		return nil
	}))
	require.Equal(t, 3, tries)

	mine := errors.New("mine")
	err := db.WithTenant(ctx, "acme", func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "insert into ledger_heads values ('acme', 7)")
		require.NoError(t, err)
		return mine
	})
	require.ErrorIs(t, err, mine)

	err = db.WithTenant(ctx, "acme", func(tx pgx.Tx) error {
		tx.Exec(ctx, "select no_such_column") //nolint:errcheck // dropped on purpose
		return nil
	})
	require.Error(t, err, "a failed statement must not look like a commit")

	cancelled, cancel := context.WithCancel(ctx)
	err = db.WithTenant(cancelled, "acme", func(pgx.Tx) error { cancel(); return cancelled.Err() })
	require.ErrorIs(t, err, context.Canceled)

	head, err := postgres.NewLedger(db.DB).Head(ctx, "acme")
	require.NoError(t, err)
	require.Zero(t, head, "what was rolled back is there")
}

// What a transaction said about its tenant ends with it: the next user of the
// connection who says nothing is nobody.
func TestATenantEndsWithItsTransaction(t *testing.T) {
	db := oneConnection(t)
	require.NoError(t, db.WithTenant(t.Context(), "acme", func(pgx.Tx) error { return nil }))
	said, err := db.SaidTenant(t.Context())
	require.NoError(t, err)
	require.Empty(t, said, "after a commit")
	require.Error(t, db.WithTenant(t.Context(), "acme", func(pgx.Tx) error { return errors.New("mine") }))
	said, err = db.SaidTenant(t.Context())
	require.NoError(t, err)
	require.Empty(t, said, "after a rollback")
	_, err = one(t.Context(), db, "acme", "select 'x'")
	require.NoError(t, err)
	said, err = db.SaidTenant(t.Context())
	require.NoError(t, err)
	require.Empty(t, said, "after a read in one trip")
}
