package workflows_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/stella-ops/exportcenter/workflows"
)

const histories = "testdata/histories"

// TestRecordedHistoriesReplay replays the history of every workflow, outcome
// and release on the current code. A failure means that runs in flight would
// break on an upgrade: name the change with workflow.GetVersion. Histories are
// recorded with the released program (make histories), never changed.
func TestRecordedHistoriesReplay(t *testing.T) {
	for _, path := range recorded(t) {
		t.Run(filepath.ToSlash(path), func(t *testing.T) {
			replayer := worker.NewWorkflowReplayer()
			replayer.RegisterWorkflow(workflows.ExportRun)
			require.NoError(t, replayer.ReplayWorkflowHistoryFromJSONFile(sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)), path))
		})
	}
}

// recorded are the histories of all releases.
func recorded(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(histories + "/*/*.json")
	require.NoError(t, err)
	return paths
}

// since says from which release on a list of outcomes counts, in the order of releases.
// Folder databases has those only that came with it; the next one has all.
var since = map[string]func(release string) bool{
	"outcomes.txt":           func(release string) bool { return release != "databases" },
	"outcomes-databases.txt": func(release string) bool { return release != "spine-3" },
}

// TestEveryOutcomeHasAHistory holds the folder of each release since there is a
// list of outcomes against the lists that count for it.
func TestEveryOutcomeHasAHistory(t *testing.T) {
	var missing, unknown []string
	complete := 0
	for _, release := range releases(t) {
		if release == "spine-1" || release == "spine-2" { // four outcomes each, older than the list
			continue
		}
		complete++
		listed := map[string]bool{}
		for _, outcome := range outcomes(t, release) {
			path := filepath.Join(histories, release, "export-run-"+outcome+".json")
			listed[path] = true
			if _, err := os.Stat(path); err != nil {
				missing = append(missing, path)
			}
		}
		paths, err := filepath.Glob(filepath.Join(histories, release, "*"))
		require.NoError(t, err)
		for _, path := range paths {
			if !listed[path] {
				unknown = append(unknown, path)
			}
		}
	}
	require.Positive(t, complete, "no release has a history of every outcome")
	require.Empty(t, missing, "outcomes without a history; record them: RELEASE=NAME go test -tags record ./e2e -run TestRecordHistories")
	require.Empty(t, unknown, "histories of outcomes that %s/outcomes.txt does not list", histories)
}

func releases(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(histories)
	require.NoError(t, err)
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names
}

func outcomes(t *testing.T, release string) (names []string) {
	t.Helper()
	for list, counts := range since {
		if !counts(release) {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(histories, list))
		require.NoError(t, err)
		for line := range strings.Lines(string(raw)) {
			if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
				names = append(names, line)
			}
		}
	}
	return names
}

// canary is in all that the recorder's tenant says: in documents, selectors,
// labels and reasons. None of it belongs into a history (ARCHITECTURE D5).
const canary = "canary7f3a"

func TestHistoriesHoldNoTenantData(t *testing.T) {
	for _, path := range recorded(t) {
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Empty(t, sings(t, raw), "%s", path)
	}
	planted := `{"data": "` + base64.StdEncoding.EncodeToString([]byte(`{"reason":"`+canary+`"}`)) + `"}`
	require.Len(t, sings(t, []byte(planted)), 1, "in a payload")
	require.Len(t, sings(t, []byte(`{"message": "`+canary+`"}`)), 1, "in the clear")
}

var payload = regexp.MustCompile(`"data":\s*"([A-Za-z0-9+/=]+)"`)

// sings gives the places of a history that hold the canary, in the clear or
// inside a payload.
func sings(t *testing.T, history []byte) (found []string) {
	t.Helper()
	if at := bytes.Index(history, []byte(canary)); at >= 0 {
		found = append(found, fmt.Sprintf("byte %d", at))
	}
	for _, match := range payload.FindAllSubmatch(history, -1) {
		plain, err := base64.StdEncoding.DecodeString(string(match[1]))
		require.NoError(t, err)
		if bytes.Contains(plain, []byte(canary)) {
			found = append(found, string(plain))
		}
	}
	return found
}
