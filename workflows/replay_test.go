package workflows_test

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/stella-ops/exportcenter/workflows"
)

// TestRecordedHistoriesReplay replays the history of every workflow, outcome
// and release on the current code. A failure means that runs in flight would
// break on an upgrade: name the change with workflow.GetVersion. Histories are
// recorded with the released program (make histories), never changed.
func TestRecordedHistoriesReplay(t *testing.T) {
	paths, err := filepath.Glob("testdata/histories/*/*.json")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(paths), 4, "succeeded, failed, and aborted in two ways")
	for _, path := range paths {
		t.Run(filepath.ToSlash(path), func(t *testing.T) {
			replayer := worker.NewWorkflowReplayer()
			replayer.RegisterWorkflow(workflows.ExportRun)
			require.NoError(t, replayer.ReplayWorkflowHistoryFromJSONFile(sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)), path))
		})
	}
}
