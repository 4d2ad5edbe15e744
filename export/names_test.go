package export_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/testkit"
)

const aRun = "0192f3c4-5d6e-7f80-9a1b-000000000001"

// What is a tenant's name is so in every writing system's eyes: it is one DNS label,
// and however case and composition are folded no two names become one.
func TestNamesOfTenants(t *testing.T) {
	folds := map[string]func(string) string{
		"lower": strings.ToLower, "upper": strings.ToUpper, "fold": cases.Fold().String,
		"NFC": norm.NFC.String, "NFD": norm.NFD.String, "NFKC": norm.NFKC.String, "NFKD": norm.NFKD.String,
		"file systems that fold": func(s string) string { return cases.Fold().String(norm.NFD.String(s)) },
		"trimmed":                strings.TrimSpace,
	}
	seen := map[string]map[string]string{}
	good := 0
	for _, name := range testkit.Names() {
		ref, ours := export.ParseRunWorkflowID(export.RunWorkflowID(export.Ref{Tenant: name, RunID: aRun}))
		if !export.ValidTenant(name) {
			require.False(t, ours && ref.Tenant == name, "%.80q", name)
			continue
		}
		good++
		require.Regexp(t, `\A[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\z`, name)
		require.True(t, ours)
		require.Equal(t, export.Ref{Tenant: name, RunID: aRun}, ref)
		require.Equal(t, 2, strings.Count(export.RunWorkflowID(ref), "/"), "a name brings no separator")
		for fold, to := range folds {
			if seen[fold] == nil {
				seen[fold] = map[string]string{}
			}
			require.Empty(t, seen[fold][to(name)], "%q is another tenant when names are folded (%s)", name, fold)
			seen[fold][to(name)] = name
		}
	}
	require.Greater(t, good, 10, "some are good")
}

// A workflow id that names a run of ours names it for one tenant and one run only.
func TestNamesInWorkflowIDs(t *testing.T) {
	for _, name := range testkit.Names() {
		for _, id := range []string{
			"export-run/" + name + "/" + aRun, "export-run/acme/" + name, "export-run/acme/" + aRun + name, "export-run/acme/" + aRun + "/" + name,
			name + "export-run/acme/" + aRun, "export-run/" + name, name,
		} {
			ref, ours := export.ParseRunWorkflowID(id)
			require.Equal(t, ours, id == export.RunWorkflowID(ref) && export.ValidTenant(ref.Tenant) && export.ValidRunID(ref.RunID), "%.80q", id)
		}
		require.False(t, export.ValidRunID(name), "%.80q", name)
		require.False(t, export.ValidRunID(aRun+name) && name != "")
	}
}
