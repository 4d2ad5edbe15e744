package frontend_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

func TestRunsThatBelongToAMirror(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	mirror, _ := w.Finish(t, w.Run("acme", export.StateRunning))
	mirror.Kind, mirror.Variant, mirror.Generation = "mirror", "full", 3
	mirror.Selectors = export.Selectors{Kinds: []string{"advisory", "vex"}, Ecosystems: []string{"npm"}}
	mirror.Options.PolicySnapshotID = export.BaselineSnapshot
	w.Runs.Put(mirror, nil)
	ask := func(profile, selectors, more string) answer {
		return c.send("POST", runsPath, fmt.Sprintf(`{"profileId":%q,"selectors":{%s},"options":{"mirrorRunId":%q%s}}`, profile, selectors, mirror.ID, more))
	}
	run := ask("json:raw", "", "").run(t)
	require.Equal(t, mirror.ID, run.Options.MirrorRunID)
	stored, err := w.Runs.GetRun(t.Context(), export.Ref{Tenant: "acme", RunID: run.RunID})
	require.NoError(t, err)
	require.Equal(t, mirror.Selectors, stored.Selectors, "what is left out is the mirror's")
	require.Equal(t, []string{"vex"}, ask("json:raw", `"kinds":["vex"],"severities":["high"]`, "").run(t).Selectors.Kinds)

	for words, a := range map[string]answer{
		"kinds of evidence":         ask("json:raw", `"kinds":["sbom"]`, ""),
		"selectors.ecosystems":      ask("json:raw", `"ecosystems":["PyPI"]`, ""),
		"leave options.asOf out":    ask("json:raw", "", `,"asOf":1`),
		"were recorded":             ask("json:raw", `"timeWindow":{"from":"2026-01-01T00:00:00Z","field":"observedAt"}`, ""),
		"a mirror stands for":       ask("mirror:full", "", ""),
		"reads as of then":          ask("json:raw", "", `,"dryRun":true`),
		"does not have: [advisory ": ask("json:policy", `"kinds":["advisory","sbom"]`, ""),
	} {
		require.Equal(t, 400, a.Status, "%s: %s", words, a.Body)
		require.Contains(t, a.problem(t).Message, words)
	}
	other := c.send("POST", runsPath, fmt.Sprintf(`{"profileId":"json:raw","options":{"mirrorRunId":%q}}`, run.RunID))
	require.Equal(t, 409, other.Status)
	require.Equal(t, "ERR_EXPORT_006", other.problem(t).Code)
	require.Contains(t, other.problem(t).Message, "name the run of a full mirror")
	mirror.State = export.StateExpired
	w.Runs.Put(mirror, nil)
	gone := ask("json:raw", "", "")
	require.Equal(t, 409, gone.Status)
	require.Contains(t, gone.problem(t).Message, "is expired; name a mirror that succeeded")
	for _, a := range []answer{other, gone} {
		require.NotContains(t, a.problem(t).Message, "delta", "nobody asked for one")
	}
}
