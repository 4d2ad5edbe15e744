//go:build record

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"

	"github.com/stella-ops/exportcenter/export"
)

// TestRecordGuardHistories records one history per outcome of outcomes-databases.txt, as
// TestRecordHistories does the others.
func TestRecordGuardHistories(t *testing.T) {
	release := os.Getenv("RELEASE")
	require.NotEmpty(t, release, "say which release is recorded: RELEASE=v0.1.0")
	dir := filepath.Join(repository, "workflows/testdata/histories", release)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	h := openHouse(t)
	engine := h.temporal(t)
	s := h.shrinks(t, "records", h.superuser(t))
	record := func(outcome, run, status string) {
		s.ends(run, status)
		var history historypb.History
		id := export.RunWorkflowID(export.Ref{Tenant: s.tenant, RunID: run})
		_ = engine.GetWorkflow(t.Context(), id, "").Get(t.Context(), nil) // until it is closed
		events := engine.GetWorkflowHistory(t.Context(), id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			event, err := events.Next()
			require.NoError(t, err)
			history.Events = append(history.Events, event)
		}
		raw, err := temporalproto.CustomJSONMarshalOptions{Indent: " "}.Marshal(&history)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "export-run-"+outcome+".json"), raw, 0o644))
		t.Logf("%s: %d events", outcome, len(history.Events))
	}
	record("succeeded-built", s.publishes(), "succeeded")
	s.loses("source = 'vendor'")
	run := s.parks("has vanished")
	s.decides("reject", run, canary)
	record("rejected-by-request", run, "failed")
	run = s.parks("has vanished")
	s.stella("export", "cancel", run, "--reason", canary)
	record("aborted-while-waiting", run, "aborted")
	run = s.parks("has vanished")
	s.decides("release", run, canary)
	record("approved-by-request", run, "succeeded")
	s.loses("source = 'ghsa' and upstream_id > 'GHSA-ghsa-0013'")
	run = s.parks("gives 14 documents")
	id := export.RunWorkflowID(export.Ref{Tenant: s.tenant, RunID: run})
	require.NoError(t, engine.SignalWorkflow(t.Context(), id, "", "decision", export.Decision{Verdict: export.VerdictApproved, By: "operator", Reason: "by hand"}))
	record("approved-by-signal", run, "succeeded")
}
