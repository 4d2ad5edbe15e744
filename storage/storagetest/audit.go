package storagetest

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/storage"
)

// Audit runs the suite of audit records over an empty one.
func Audit(t *testing.T, record storage.Audit, notary storage.Notary) {
	t.Helper()
	at := time.Date(2026, 11, 21, 8, 0, 0, 123456000, time.UTC)
	entry := func(i int) audit.Entry {
		return audit.Entry{At: at.Add(time.Duration(i) * time.Second), Event: audit.CallRefused, RequestID: fmt.Sprint(i),
			Subject: fmt.Sprint("subject-", i%2), Project: []string{"", "web"}[i%2], Operation: "CreateRun", Method: "POST", Path: "/a\u2028\"<ü>"}
	}
	all := storage.AuditFilter{Limit: 500}

	rows, scanned, err := record.Entries(t.Context(), "acme", all)
	require.NoError(t, err)
	require.Empty(t, rows)
	require.Zero(t, scanned)
	_, err = record.Checkpoint(t.Context(), "acme")
	require.ErrorIs(t, err, storage.ErrNotFound)

	// Many write at once; nobody's number is anybody else's.
	var group sync.WaitGroup
	for i := range 20 {
		group.Go(func() {
			if err := record.Append(t.Context(), "acme", []audit.Entry{entry(2 * i), entry(2*i + 1)}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	require.NoError(t, record.Append(t.Context(), "globex", []audit.Entry{entry(0)}))
	require.NoError(t, record.Append(t.Context(), audit.Installation, []audit.Entry{entry(0)}))

	chain := audit.NewChain("acme")
	rows, _, err = record.Entries(t.Context(), "acme", all)
	require.NoError(t, err)
	require.Len(t, rows, 40)
	for i, row := range rows {
		_, err := chain.Follow(row.Line)
		require.NoError(t, err)
		require.Equal(t, chain.At(), row.Link)
		require.Equal(t, int64(i+1), row.Seq)
	}

	auditFilters(t, record, at)
	auditCheckpoints(t, record, notary, chain.At())
}

func auditFilters(t *testing.T, record storage.Audit, at time.Time) {
	t.Helper()
	for name, c := range map[string]struct {
		filter storage.AuditFilter
		want   int
	}{
		"a page":            {storage.AuditFilter{Limit: 7}, 7},
		"behind an entry":   {storage.AuditFilter{After: 38, Limit: 500}, 2},
		"behind the end":    {storage.AuditFilter{After: 40, Limit: 500}, 0},
		"behind everything": {storage.AuditFilter{After: math.MaxInt64, Limit: 500}, 0},
		"a project":         {storage.AuditFilter{Project: "web", Limit: 500}, 20},
		"a subject":         {storage.AuditFilter{Subject: "subject-1", Limit: 500}, 20},
		"nobody":            {storage.AuditFilter{Subject: "'; drop table audit_entries; --", Limit: 500}, 0},
		"an operation":      {storage.AuditFilter{Operation: "CreateRun", Limit: 500}, 40},
		"another operation": {storage.AuditFilter{Operation: "CancelRun", Limit: 500}, 0},
		"an event":          {storage.AuditFilter{Event: audit.CallBegun, Limit: 500}, 0},
		"from a time":       {storage.AuditFilter{From: at.Add(30 * time.Second), Limit: 500}, 10},
		"until a time":      {storage.AuditFilter{To: at.Add(30 * time.Second), Limit: 500}, 30},
	} {
		rows, scanned, err := record.Entries(t.Context(), "acme", c.filter)
		require.NoError(t, err, name)
		require.Len(t, rows, c.want, name)
		require.Zero(t, scanned, name)
	}
}

func auditCheckpoints(t *testing.T, record storage.Audit, notary storage.Notary, end audit.Link) {
	t.Helper()
	unsigned, err := notary.Unsigned(t.Context(), "", 10)
	require.NoError(t, err)
	require.Equal(t, []string{audit.Installation, "acme", "globex"}, unsigned)
	unsigned, err = notary.Unsigned(t.Context(), "acme", 1)
	require.NoError(t, err)
	require.Equal(t, []string{"globex"}, unsigned)

	at, err := notary.End(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, end, at)
	for _, envelope := range []string{"first", "second"} { // two notaries
		require.NoError(t, notary.KeepCheckpoint(t.Context(), "acme", storage.SignedCheckpoint{Link: end, Envelope: []byte(envelope)}))
	}
	checkpoint, err := record.Checkpoint(t.Context(), "acme")
	require.NoError(t, err)
	require.Equal(t, storage.SignedCheckpoint{Link: end, Envelope: []byte("first")}, checkpoint, "the first one stays")
	unsigned, err = notary.Unsigned(t.Context(), "", 10)
	require.NoError(t, err)
	require.Equal(t, []string{audit.Installation, "globex"}, unsigned)
	_, err = record.Checkpoint(t.Context(), "globex")
	require.ErrorIs(t, err, storage.ErrNotFound)
}
