package postgres_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

func TestPostgresIsAnAuditRecord(t *testing.T) {
	db := pgtest.New(t)
	storagetest.Audit(t, postgres.NewAudit(db.DB), postgres.NewNotary(db.DB))
}

// What is written stays: the service may not change it, and the owner's mistakes
// are stopped too.
func TestTheAuditRecordIsOnlyAddedTo(t *testing.T) {
	db := pgtest.New(t)
	record := postgres.NewAudit(db.DB)
	entry := audit.Entry{At: time.Now(), Event: audit.CallRefused, RequestID: "1", Method: "GET"}
	require.NoError(t, record.Append(t.Context(), "acme", []audit.Entry{entry}))
	admin, err := pgx.Connect(t.Context(), db.Admin)
	require.NoError(t, err)
	defer admin.Close(t.Context())
	for _, statement := range []string{"delete from audit_entries", "update audit_entries set line = ''", "delete from audit_checkpoints",
		"update audit_checkpoints set envelope = ''", "delete from audit_heads", "truncate audit_entries cascade"} {
		err := db.DB.WithTenant(t.Context(), "acme", func(tx pgx.Tx) error {
			_, err := tx.Exec(t.Context(), statement)
			return err
		})
		require.Error(t, err, "the service: %s", statement)
		if strings.Contains(statement, "heads") {
			continue
		}
		_, err = admin.Exec(t.Context(), statement)
		require.ErrorContains(t, err, "only added to", "the administrator: %s", statement)
	}
	rows, _, err := record.Entries(t.Context(), "acme", storage.AuditFilter{Limit: 1})
	require.NoError(t, err)
	require.Len(t, rows, 1)
}

// A filter that matches nothing costs a bounded look, and the reader is told how
// far it went.
func TestAuditPagesLookAtABoundedPart(t *testing.T) {
	db := pgtest.New(t)
	record := postgres.NewAudit(db.DB)
	var entries []audit.Entry
	for range 10_000 {
		entries = append(entries, audit.Entry{At: time.Now(), Event: audit.CallRefused, RequestID: "1", Subject: "many", Method: "GET"})
	}
	for range 2 {
		require.NoError(t, record.Append(t.Context(), "acme", entries))
	}
	require.NoError(t, record.Append(t.Context(), "acme", []audit.Entry{{At: time.Now(), Event: audit.CallRefused, RequestID: "2", Subject: "rare", Method: "GET"}}))
	rows, scanned, err := record.Entries(t.Context(), "acme", storage.AuditFilter{Subject: "rare", Limit: 10})
	require.NoError(t, err)
	require.Empty(t, rows)
	require.Equal(t, int64(20_000), scanned)
	rows, scanned, err = record.Entries(t.Context(), "acme", storage.AuditFilter{After: scanned, Subject: "rare", Limit: 10})
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.Zero(t, scanned)
}
