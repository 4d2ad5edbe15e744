package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/storage"
)

// leaves has the visitor's tenant removed from a running house: after a run, with the
// command killed again and again. What is left is the record, which verifies offline.
func (v *visitor) leaves(t *testing.T) {
	advisory := v.file(t, "EX-1.json", []byte(`{"id":"EX-1","modified":"2026-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"npm","name":"p"}}]}`))
	var imported counts
	v.must(t, &imported, "ledger", "import", advisory)
	require.Equal(t, 1, imported.Accepted)
	var run exported
	v.must(t, &run, "export", "run", "json:raw", "--wait")
	require.Equal(t, "succeeded", run.Status)
	namespace := filepath.Join(v.house.dir, "blobs", storage.Namespace("demo"))
	require.DirExists(t, namespace)

	root := v.login(t, "remover", "--tenant", "_", "--scope", "tenant:manage tenant:offboard")
	tenant := func(args ...string) string {
		out, err := root.stella(t, append([]string{"tenant"}, args...)...)
		require.NoError(t, err, out)
		return out
	}
	tenant("suspend", "demo")
	out, err := root.stella(t, "tenant", "offboard", "demo", "--confirm", "demo", "--reason", "test")
	require.Error(t, err)
	require.Contains(t, out, "it can be offboarded from")
	code, out := v.remove(t, 0)
	require.Equal(t, 2, code, out)
	_, err = v.superuser(t).Exec(t.Context(), "update tenants set changed_at = changed_at - interval '8 days' where tenant = 'demo'")
	require.NoError(t, err)
	require.Contains(t, tenant("offboard", "demo", "--confirm", "demo", "--reason", "test"), "offboarding")

	for _, after := range []time.Duration{40, 80, 120, 160, 200} {
		v.remove(t, after*time.Millisecond)
	}
	code, out = v.remove(t, 0)
	require.Zero(t, code, out)
	var told struct {
		Status string
		Runs   int
	}
	require.NoError(t, json.Unmarshal([]byte(out), &told), out)
	require.Equal(t, "offboarded", told.Status)
	require.Positive(t, told.Runs)
	require.NoDirExists(t, namespace)
	require.Contains(t, tenant("show", "demo"), "offboarded")
	out, err = v.stella(t, "export", "list")
	require.Error(t, err)
	require.Contains(t, out, "TENANT_SUSPENDED")
	record := filepath.Join(t.TempDir(), "demo.jsonl")
	tenant("record", "demo", "--output", record)
	verified, err := exec.Command(program(t, "stella"), "tenant", "verify", record, "--trust", v.env["STELLA_TRUST"]).CombinedOutput()
	require.NoError(t, err, string(verified))
	content, err := os.ReadFile(record)
	require.NoError(t, err)
	require.Contains(t, string(content), run.RunID)
	require.Contains(t, string(content), run.ArchiveDigest)
	v.fsck(t, time.Minute)
}

// remove runs the command that removes the tenant, and kills it after a time; 0 lets
// it end.
func (v *visitor) remove(t *testing.T, after time.Duration) (code int, out string) {
	t.Helper()
	cmd := exec.Command(program(t, "exportcenter"), "offboard", "--data", v.house.dir, "--tenant", "demo", "--format", "json")
	if after > 0 {
		require.NoError(t, cmd.Start())
		killed := time.AfterFunc(after, func() { cmd.Process.Signal(syscall.SIGKILL) }) //nolint:errcheck // it may have ended
		defer killed.Stop()
		cmd.Wait() //nolint:errcheck // it was killed, or not
		return cmd.ProcessState.ExitCode(), ""
	}
	text, err := cmd.Output()
	if err != nil {
		t.Logf("offboard: %v", err)
	}
	return cmd.ProcessState.ExitCode(), string(text)
}
