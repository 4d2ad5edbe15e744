package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/client"
)

// What faults of the surroundings (network, disk) have in common: documents, runs
// that have a twin, and what must hold once a fault is over.

// healthyWithin is how soon after a fault the service must be healthy.
const healthyWithin = 30 * time.Second

// sampleDocuments writes n documents into a file: our own samples under new names.
func sampleDocuments(t testing.TB, n int) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(repository, "ledger/sample/osv/*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	var lines bytes.Buffer
	for i := range n {
		path := paths[i%len(paths)]
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		id := strings.TrimSuffix(filepath.Base(path), ".json")
		raw = bytes.ReplaceAll(raw, []byte(id), fmt.Appendf(nil, "%s-%d", id, i/len(paths)))
		require.NoError(t, json.Compact(&lines, raw))
		lines.WriteByte('\n')
	}
	path := filepath.Join(t.TempDir(), "samples.jsonl")
	require.NoError(t, os.WriteFile(path, lines.Bytes(), 0o644))
	return path
}

// promise is a run that was asked for under a key, as often as it took to hear
// of it.
type promise struct {
	key string
	of  selection
	run client.Run // without id until it is acknowledged
}

// selection is what a run selects. Runs of the same one have the same twin.
type selection string // an ecosystem, "" = everything

func (s selection) request() client.RunRequest {
	request := client.RunRequest{ProfileID: "json:raw"}
	if s != "" {
		request.Selectors.Ecosystems = []string{string(s)}
	}
	return request
}

// ask asks once for the run of a promise; it is safe to ask again.
func (h *house) askFor(t testing.TB, p *promise, patience time.Duration) error {
	t.Helper()
	c, err := client.New(h.env["STELLA_SERVER"], h.env["STELLA_TOKEN"], client.HTTP(&http.Client{Timeout: patience}))
	require.NoError(t, err)
	run, err := c.CreateRun(t.Context(), p.of.request(), p.key)
	if err == nil {
		p.run = run
	}
	return err
}

// waitServing waits until the service is ready.
func (h *house) waitServing(t testing.TB, patience time.Duration) {
	t.Helper()
	serving := http.Client{Timeout: 5 * time.Second}
	last := "nothing"
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		answer, err := serving.Get(h.env["STELLA_SERVER"] + "/health/ready")
		if err != nil {
			last = err.Error()
			continue
		}
		answer.Body.Close()
		if last = answer.Status; answer.StatusCode == http.StatusOK {
			return
		}
	}
	t.Fatalf("not ready %s after the fault: %s\n%s", patience, last, h.tail())
}

// fsck looks at an installation at rest. What a late attempt still cleans up
// behind itself is given until the deadline.
func (h *house) fsck(t testing.TB, patience time.Duration, more ...string) {
	t.Helper()
	args := append([]string{"fsck", "--data", h.dir, "--patience", "0s"}, more...)
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		out, err := exec.CommandContext(t.Context(), program(t, "exportcenter"), args...).CombinedOutput()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("fsck after the fault: %v\n%s", err, out)
		}
	}
}

// endOf waits for the end of a run, past a service that comes back meanwhile.
func (h *house) endOf(t testing.TB, p promise, patience time.Duration) client.Run {
	t.Helper()
	c, err := client.New(h.env["STELLA_SERVER"], h.env["STELLA_TOKEN"])
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	run, err := c.WaitRun(ctx, p.run.RunID, nil)
	require.NoError(t, err, "run %s (%q) is stuck: %s\n%s", p.run.RunID, p.of, run.Status, h.tail())
	return run
}
