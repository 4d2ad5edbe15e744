package export

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestARedactionWithinAnother(t *testing.T) {
	outer := &Redaction{PolicyID: "profile", Allow: map[string][]string{
		"advisory": {"id", "affected[].package", "references", `database_specific."a.b"`}, "vex": {KeepAll},
	}, Linkset: []string{"aliases"}}
	for _, c := range []struct {
		kind, path string
		within     bool
	}{
		{"advisory", "id", true}, {"advisory", "affected[].package", true}, {"advisory", "affected[].package.name", true},
		{"advisory", "references[].url", true}, {"advisory", "references[][]", true}, {"advisory", `"id"`, true},
		{"advisory", `database_specific."a.b".c`, true}, {"vex", KeepAll, true}, {"vex", "statements[].status", true},
		{"advisory", KeepAll, false}, {"advisory", "affected", false}, {"advisory", "affected[]", false}, {"advisory", "affected.package", false},
		{"advisory", "ids", false}, {"advisory", "summary", false}, {"advisory", "database_specific.a.b", false},
		{"advisory", "affected[].packages", false}, {"sbom", "components", false},
	} {
		r := &Redaction{PolicyID: "request", Allow: map[string][]string{c.kind: {c.path}}}
		require.NoError(t, r.Validate())
		if err := r.Within(outer); c.within {
			require.NoError(t, err, c.path)
		} else {
			require.ErrorContains(t, err, "options.redaction.allow."+c.kind, c.path)
		}
		require.NoError(t, r.Within(nil))
	}
	require.ErrorContains(t, (&Redaction{Linkset: []string{"products"}}).Within(outer), "linkset")
	require.NoError(t, (&Redaction{Linkset: []string{"aliases"}}).Within(outer))
}
