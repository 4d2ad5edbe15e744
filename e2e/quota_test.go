package e2e

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// hasQuotas walks what a tenant and its profiles may use: a run that is too large fails
// and says why, a profile's runs wait for each other, and a day that is used up is
// refused until somebody allows more.
func (h *house) hasQuotas(t *testing.T) {
	root := h.login(t, "quotas-root", "--tenant", "_", "--scope", "tenant:manage")
	keeper := h.login(t, "keeper", "--tenant", "bounded", "--role", "Export.Admin", "--scope", "ledger:import")
	run := func(args ...string) string {
		out, err := keeper.stella(t, args...)
		require.NoError(t, err, "%v: %s", args, out)
		return out
	}
	run("ledger", "import", smallEvidence(t))
	for name, quotas := range map[string]string{"tiny": "{maxBytes: 10}", "single": "{maxConcurrentRuns: 1}"} {
		run("export", "profile", "create", "--file", keeper.file(t, name+".yaml", []byte("apiVersion: stellaops.io/export.v1\nkind: ExportProfile\n"+
			"metadata: {name: "+name+"}\nspec: {kind: json, variant: raw, quotas: "+quotas+"}\n")))
	}
	out, err := keeper.stella(t, "export", "run", "tiny", "--wait")
	require.Error(t, err)
	require.Contains(t, out, "ERR_EXPORT_QUOTA")
	require.Contains(t, out, "a run of profile tiny may take 10")

	for range 3 {
		run("export", "run", "single")
	}
	run("export", "run", "single", "--wait") // the last of four, one after the other
	var page struct {
		Runs []struct{ Status string }
	}
	require.NoError(t, json.Unmarshal([]byte(run("export", "list", "--profile", "single", "--format", "json")), &page))
	require.Len(t, page.Runs, 4)
	for _, r := range page.Runs {
		require.Equal(t, "succeeded", r.Status)
	}

	quotas := func(args ...string) string {
		out, err := root.stella(t, append([]string{"tenant", "quotas", "bounded"}, args...)...)
		require.NoError(t, err, out)
		return out
	}
	require.Contains(t, quotas("--runs-per-day", "5"), "5 runs today")
	out, err = keeper.stella(t, "export", "run", "json:raw")
	require.Error(t, err)
	require.Contains(t, out, "has asked for its 5 runs of today")
	quotas("--runs-per-day", "default")
	run("export", "run", "json:raw", "--wait")
	quotas("--bytes", "1")
	out, err = keeper.stella(t, "export", "run", "json:raw")
	require.Error(t, err)
	require.Contains(t, out, "and may have 1")
}
