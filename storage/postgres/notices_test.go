package postgres_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// A notice is in the outbox once a day, for its tenant only.
func TestNotices(t *testing.T) {
	w := newWorld(t)
	notices := postgres.NewNotices(w.DB)
	day := time.Date(2026, 11, 21, 23, 59, 59, 5, time.UTC)
	for _, at := range []time.Time{day, day.Add(-time.Hour), day.Add(time.Second)} {
		n := export.NewNotice("acme", export.NoticeDeprecated, "ListRunsV1", at, map[string]string{"successor": "/api/export/runs"})
		require.NoError(t, notices.Notice(t.Context(), n))
	}
	require.Equal(t, 2, value[int](t, w, "acme", "select count(*) from export_outbox where event_type = 'export.api.deprecated' and run_id is null"))
	require.Equal(t, "/api/export/runs", value[string](t, w, "acme", "select min(payload::jsonb -> 'payload' ->> 'successor') from export_outbox"))
	require.Equal(t, 0, value[int](t, w, "globex", "select count(*) from export_outbox"))
}
