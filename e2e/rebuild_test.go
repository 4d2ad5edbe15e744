package e2e

import (
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// rebuiltRun is what `stella export rebuild` answers.
type rebuiltRun struct {
	RunID, RebuildOf, Status string
	Rebuilt                  struct {
		Verdict string
		Files   int64
		First   *struct {
			Path, What, Document string
			Line                 int64
		}
		NotCompared []string
	}
}

// TestRunsAreBuiltAgain builds a run of each kind again in a real house, and once more
// after the ledger was changed behind its back.
func TestRunsAreBuiltAgain(t *testing.T) {
	t.Parallel() // a house of its own, which mostly waits
	h := openHouse(t)
	sample := filepath.Join(repository, "ledger", "sample")
	var imported counts
	h.must(t, &imported, "ledger", "import", filepath.Join(sample, "osv"), filepath.Join(sample, "sbom"), filepath.Join(sample, "vex"))
	require.Zero(t, imported.Rejected)

	runs := map[string]string{}
	for _, kind := range []string{"json:raw", "json:policy", "trivy:db", "mirror:full"} {
		var run exported
		h.must(t, &run, "export", "run", kind, "--wait")
		runs[kind] = run.RunID
	}
	// What came later does not matter: a run reads as of its own moment.
	h.must(t, &imported, "ledger", "import", "--stream", "later", filepath.Join(sample, "osv", "EXC-2026-0001.json"))
	require.Equal(t, 1, imported.Accepted)
	for kind, run := range runs {
		var again rebuiltRun
		h.must(t, &again, "export", "rebuild", run)
		require.Equal(t, "identical", again.Rebuilt.Verdict, kind)
		require.Equal(t, run, again.RebuildOf)
		require.Equal(t, "succeeded", again.Status)
		if kind != "mirror:full" { // has TUF metadata, which is not made again
			require.Empty(t, again.Rebuilt.NotCompared, "the house signs with a key in a file")
		}
		require.Greater(t, again.Rebuilt.Files, int64(10))
		var latest exported
		h.must(t, &latest, "export", "latest", kind)
		require.Equal(t, run, latest.RunID, "a rebuild publishes nothing")
		said, err := h.command(t, "export", "download", again.RunID, "--output", filepath.Join(t.TempDir(), "none.tar")).CombinedOutput()
		require.Error(t, err, "a rebuild has no bundle")
		require.Contains(t, string(said), "ERR_EXPORT_014")
		require.Contains(t, string(said), "HTTP 409")
		_, code := h.stella(t, "export", "rebuild", again.RunID)
		require.Equal(t, 2, code)
	}

	db := h.superuser(t)
	var told int
	require.NoError(t, db.QueryRow(t.Context(), "select count(*) from export_outbox o join export_runs r on r.tenant = o.tenant and r.id = o.run_id where r.rebuild_of is not null").Scan(&told))
	require.Zero(t, told, "nobody is told")
	require.NoError(t, db.QueryRow(t.Context(), "select count(*) from blob_pins o join export_runs r on r.tenant = o.tenant and r.id = o.run_id where r.rebuild_of is not null").Scan(&told))
	require.Zero(t, told, "nothing is kept")

	// Somebody takes a document out of the ledger, which its database forbids.
	_, err := db.Exec(t.Context(), "delete from ledger_observations where upstream_id = 'EXC-2026-0004'")
	require.NoError(t, err)
	out, code := h.stella(t, "export", "rebuild", runs["json:raw"], "--format", "json")
	require.Equal(t, 1, code, "%s\n%s", out, h.tail())
	var other rebuiltRun
	require.NoError(t, json.Unmarshal(out, &other))
	require.Equal(t, "failed", other.Status)
	require.Equal(t, "different", other.Rebuilt.Verdict)
	require.Equal(t, "bytes", other.Rebuilt.First.What)
	require.Contains(t, other.Rebuilt.First.Path, "data/raw/advisories-")
	require.Contains(t, other.Rebuilt.First.Document, "EXC-2026-0004")
	require.Positive(t, other.Rebuilt.First.Line)
}
