package postgres_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/orchestrator"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

func aRecord(tenant string, n int, status orchestrator.Status) orchestrator.Record {
	r := orchestrator.Record{RunID: runID(n), ArtifactHash: digest(fmt.Sprint("artifact ", n)).String(),
		StartedAt: at(n).Format("2006-01-02T15:04:05Z07:00"), Status: status}
	if status.Ended() {
		r.CompletedAt = at(1000).Format("2006-01-02T15:04:05Z07:00")
	}
	return r.Normal(tenant)
}

func (w world) records() *postgres.OrchestratorExports { return postgres.NewOrchestratorExports(w.DB) }

// told lists the outbox's events that are about no run of ours.
func (w world) toldOfRecords(t testing.TB, tenant string) (types []string) {
	t.Helper()
	require.NoError(t, w.WithTenant(t.Context(), tenant, func(tx pgx.Tx) error {
		rows, err := tx.Query(t.Context(), `select event_type || ' ' || (payload::jsonb -> 'payload' ->> 'status') from export_outbox
			where tenant = $1 and run_id is null order by created_at, event_type desc`, tenant)
		if err != nil {
			return err
		}
		types, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	}))
	return types
}

func TestRecordsOfExports(t *testing.T) {
	w := newWorld(t)
	record := func(tenant, project string, r orchestrator.Record, n int) (orchestrator.Record, orchestrator.Verdict) {
		t.Helper()
		stored, verdict, err := w.records().Record(t.Context(), tenant, project, r, "robot", at(n))
		require.NoError(t, err)
		return stored, verdict
	}
	pending, running, done := aRecord("acme", 1, "pending"), aRecord("acme", 1, "running"), aRecord("acme", 1, "succeeded")
	stored, verdict := record("acme", "", pending, 1)
	require.Equal(t, orchestrator.Created, verdict)
	require.Equal(t, pending, stored)
	stored, verdict = record("acme", "", done, 2)
	require.Equal(t, orchestrator.Mismatch, verdict)
	require.Equal(t, pending, stored)
	_, verdict = record("acme", "", running, 3)
	require.Equal(t, orchestrator.Advanced, verdict)
	_, verdict = record("acme", "", running, 4)
	require.Equal(t, orchestrator.Duplicate, verdict)
	_, verdict = record("acme", "", done, 5)
	require.Equal(t, orchestrator.Advanced, verdict)
	stored, verdict = record("acme", "", pending, 6)
	require.Equal(t, orchestrator.Mismatch, verdict)
	require.Equal(t, done, stored)
	require.Equal(t, []string{"orchestrator.export.created pending", "ledger_export pending", "ledger_export running", "ledger_export succeeded"}, w.toldOfRecords(t, "acme"))

	// Another project and another tenant see nothing of it.
	_, verdict = record("acme", "core", pending, 7)
	require.Equal(t, orchestrator.Created, verdict)
	_, verdict = record("globex", "", aRecord("globex", 1, "running"), 8)
	require.Equal(t, orchestrator.Created, verdict)
	list, _, err := w.records().Exports(t.Context(), "globex", "", storage.OrchestratorFilter{Limit: 10})
	require.NoError(t, err)
	require.Equal(t, []orchestrator.Record{aRecord("globex", 1, "running")}, list)
	list, _, err = w.records().Exports(t.Context(), "acme", "core", storage.OrchestratorFilter{Limit: 10})
	require.NoError(t, err)
	require.Equal(t, []orchestrator.Record{pending}, list)

	// What was said cannot be changed behind the store's back either.
	err = w.WithTenant(t.Context(), "acme", func(tx pgx.Tx) error {
		_, err := tx.Exec(t.Context(), "update orchestrator_exports set status = 'failed'")
		return err
	})
	require.Error(t, err)
}

// Many come with one key at once: one creates, the others are told what is stored.
func TestOneOfManyRecordsIsStored(t *testing.T) {
	w := newWorld(t)
	var created, duplicates atomic.Int64
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			_, verdict, err := w.records().Record(t.Context(), "acme", "", aRecord("acme", 1, "running"), "robot", at(1))
			switch {
			case err != nil:
				t.Error(err)
			case verdict == orchestrator.Created:
				created.Add(1)
			case verdict == orchestrator.Duplicate:
				duplicates.Add(1)
			}
		})
	}
	all.Wait()
	require.Equal(t, []int64{1, 15}, []int64{created.Load(), duplicates.Load()})
	require.Len(t, w.toldOfRecords(t, "acme"), 2)
}

func TestPagesOfRecordsStayWhereTheyAre(t *testing.T) {
	w := newWorld(t)
	for _, n := range []int{9, 2, 7, 4, 5, 6, 3, 8, 1} {
		_, _, err := w.records().Record(t.Context(), "acme", "", aRecord("acme", n, "running"), "robot", at(n))
		require.NoError(t, err)
	}
	var ids []string
	cursor := ""
	for page := 0; ; page++ {
		list, next, err := w.records().Exports(t.Context(), "acme", "", storage.OrchestratorFilter{Limit: 2, Cursor: cursor})
		require.NoError(t, err)
		for _, r := range list {
			ids = append(ids, r.RunID)
		}
		// Meanwhile an export that was listed goes on, and one comes in front.
		_, _, err = w.records().Record(t.Context(), "acme", "", aRecord("acme", page+1, "failed"), "robot", at(100+page))
		require.NoError(t, err)
		if cursor = next; cursor == "" {
			break
		}
	}
	var want []string
	for n := 1; n <= 9; n++ {
		want = append(want, runID(n))
	}
	require.Equal(t, want, ids)
	list, _, err := w.records().Exports(t.Context(), "acme", "", storage.OrchestratorFilter{Limit: 10, ArtifactHash: digest("artifact 7").String()})
	require.NoError(t, err)
	require.Len(t, list, 1)
	list, _, err = w.records().Exports(t.Context(), "acme", "", storage.OrchestratorFilter{Limit: 10, Status: "failed"})
	require.NoError(t, err)
	require.Len(t, list, 5)
	for _, bad := range []string{"x", "_/sha256:00", "_/" + digest("x").String() + "x", "'/" + digest("x").String()} {
		_, _, err = w.records().Exports(t.Context(), "acme", "", storage.OrchestratorFilter{Limit: 10, Cursor: bad})
		require.Equal(t, export.CodeValidation, export.CodeOf(err), bad)
	}
}

// The end of a run of ours is reported with it, once, whoever ends it again.
func TestEndsOfRunsAreReported(t *testing.T) {
	w := newWorld(t)
	done := w.delivered(t, "acme", 1)
	w.finish(t, done.Ref(), succeeded(done))
	_, err := w.exec.Finish(t.Context(), storage.Claim{Ref: done.Ref(), Phase: export.PhaseEmitTimeline, Attempt: 1}, failed(done))
	require.NoError(t, err)
	bad := w.started(t, "acme", 2)
	w.finish(t, bad.Ref(), failed(bad))
	gone := w.create(t, "acme", 3)
	w.finish(t, gone.Ref(), aborted(gone))
	list, _, err := w.records().Exports(t.Context(), "acme", "core", storage.OrchestratorFilter{Limit: 10})
	require.NoError(t, err)
	require.Len(t, list, 3)
	require.Equal(t, orchestrator.Record{RunID: done.ID, JobType: "export.json.raw", ArtifactHash: digest("archive").String(),
		StartedAt: "2026-03-01T12:01:40Z", CompletedAt: "2026-03-01T12:03:20Z", Status: "succeeded", BundleID: done.ID}.Normal("acme"), list[0])
	require.Equal(t, orchestrator.Status("failed"), list[1].Status)
	require.Equal(t, orchestrator.NothingMade, list[1].ArtifactHash)
	require.Equal(t, orchestrator.Status("canceled"), list[2].Status)
	require.Equal(t, "2026-03-01T12:00:03Z", list[2].StartedAt, "it never began: when it was asked for")
	for _, r := range list {
		require.NoError(t, r.Check("acme"), "we keep to the contract ourselves")
	}
	require.Len(t, w.toldOfRecords(t, "acme"), 6)

	// Nobody else says of a run of ours how it ended, before it has or after.
	early := w.delivered(t, "acme", 4)
	other := orchestrator.Record{RunID: early.ID, ArtifactHash: digest("archive").String(), StartedAt: "2026-01-01T00:00:00Z", Status: "pending"}.Normal("acme")
	refused := func() {
		_, _, err := w.records().Record(t.Context(), "acme", "core", other, "somebody", at(1))
		var why *export.Error
		require.ErrorAs(t, err, &why)
		require.Equal(t, "runId", why.Field)
	}
	refused()
	require.Equal(t, export.StateSucceeded, w.finish(t, early.Ref(), succeeded(early)).State)
	refused()
	whole, _, err := w.records().Exports(t.Context(), "acme", "core", storage.OrchestratorFilter{Limit: 10})
	require.NoError(t, err)
	require.Len(t, whole, 4)
	raw, err := json.Marshal(list)
	require.NoError(t, err)
	require.False(t, strings.Contains(string(raw), "signatures"))
}
