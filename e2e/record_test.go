//go:build record

package e2e

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"
	"go.temporal.io/sdk/client"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/config"
)

// TestRecordHistories records one history per outcome of a run, with the built
// programs, into workflows/testdata/histories/$RELEASE.
func TestRecordHistories(t *testing.T) {
	release := os.Getenv("RELEASE")
	require.NotEmpty(t, release, "say which release is recorded: RELEASE=v0.1.0")
	dir := filepath.Join(repository, "workflows/testdata/histories", release)
	require.NoError(t, os.MkdirAll(dir, 0o755))

	h := openHouse(t)
	cfg, err := config.Load(filepath.Join(h.dir, "config.yaml"))
	require.NoError(t, err)
	temporal, err := client.Dial(client.Options{HostPort: cfg.Temporal.Address, Namespace: cfg.Temporal.Namespace})
	require.NoError(t, err)
	t.Cleanup(temporal.Close)
	var imported counts
	h.must(t, &imported, "ledger", "import", realCorpus(t))

	for outcome, c := range map[string]struct {
		args []string
		end  func(t *testing.T, id string)
		want string
	}{
		"succeeded": {nil, nil, "succeeded"},
		"failed":    {[]string{"--select", "ecosystem=nobody-has-this"}, nil, "failed"},
		"aborted-by-request": {nil, func(t *testing.T, id string) {
			_, code := h.stella(t, "export", "cancel", id)
			require.Zero(t, code)
		}, "aborted"},
		"aborted-in-temporal": {nil, func(t *testing.T, id string) {
			require.NoError(t, temporal.CancelWorkflow(t.Context(), workflowOf(id), ""))
		}, "aborted"},
	} {
		var run exported
		h.must(t, &run, append([]string{"export", "run", "json:raw"}, c.args...)...)
		h.waitStatus(t, run.RunID, "running")
		if c.end != nil {
			c.end(t, run.RunID)
		}
		require.Equal(t, c.want, h.waitEnd(t, run.RunID).Status, outcome)
		record(t, temporal, workflowOf(run.RunID), filepath.Join(dir, "export-run-"+outcome+".json"))
	}
}

func workflowOf(runID string) string {
	return export.RunWorkflowID(export.Ref{Tenant: "demo", RunID: runID})
}

func record(t *testing.T, c client.Client, workflowID, path string) {
	t.Helper()
	time.Sleep(time.Second) // the row ends before the workflow does
	var history historypb.History
	events := c.GetWorkflowHistory(t.Context(), workflowID, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(t, err)
		history.Events = append(history.Events, event)
	}
	raw, err := temporalproto.CustomJSONMarshalOptions{Indent: " "}.Marshal(&history)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, raw, 0o644))
}
