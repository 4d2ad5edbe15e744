package export

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAWorkflowIDNamesItsRun(t *testing.T) {
	const run = "0190c0de-0000-7000-8000-000000000001"
	ref := Ref{Tenant: "acme-1", RunID: run}
	got, ours := ParseRunWorkflowID(RunWorkflowID(ref))
	require.True(t, ours)
	require.Equal(t, ref, got)
	for _, id := range []string{"", "export-run", "export-run/acme", "export-run/acme/", "export-run//" + run,
		"export-run/ACME/" + run, "export-run/acme/x/" + run, "other/acme/" + run, "export-run/acme/" + run + "/"} {
		_, ours := ParseRunWorkflowID(id)
		require.False(t, ours, id)
	}
}
