package export_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
)

// Which runs can be as of the past: the worker asks this again, whatever the API let in.
func TestWhatCanBeAsOfThePast(t *testing.T) {
	past := func(asOf int64) export.Run {
		return export.Run{Tenant: "acme", Kind: "trivy", Variant: "db", Options: export.Options{AsOf: asOf}}
	}
	require.NoError(t, past(0).CheckAsOf(0))
	require.NoError(t, past(1).CheckAsOf(1))
	require.NoError(t, past(7).CheckAsOf(9))
	mirror, reaching, asking := past(7), past(7), past(7)
	mirror.Kind, mirror.Variant = "mirror", "full"
	reaching.Reach = &export.Reach{}
	asking.Selectors.Tenants = []string{"acme", "globex"}
	for name, test := range map[string]struct {
		run  export.Run
		says string
	}{
		"beyond the head":            {past(10), "no sequence 10 yet; its last is 9"},
		"below 1":                    {past(-1), "-1 is no sequence"},
		"a mirror":                   {mirror, "rollback"},
		"other tenants' evidence":    {reaching, "one tenant's ledger"},
		"others that were asked for": {asking, "one tenant's ledger"},
	} {
		err := test.run.CheckAsOf(9)
		require.ErrorContains(t, err, test.says, name)
		require.Equal(t, export.CodeValidation, export.CodeOf(err), name)
		require.Equal(t, export.ClassPermanent, export.ClassOf(err), name)
	}
	alone := past(7)
	alone.Selectors.Tenants = []string{"acme"}
	require.NoError(t, alone.CheckAsOf(9))
}

// The platform is told of a run as of the past that it is, and of others nothing.
func TestThePastIsTold(t *testing.T) {
	require.Nil(t, export.Run{AsOf: 7}.Attributes())
	require.Equal(t, map[string]string{"asOf": "7"}, export.Run{Options: export.Options{AsOf: 7}}.Attributes())
	require.Equal(t, map[string]string{"mirrorRunId": "R"}, export.Run{AsOf: 7, Options: export.Options{MirrorRunID: "R"}}.Attributes())
}

// A run as of the past is old on purpose.
func TestThePastIsNotStale(t *testing.T) {
	config := &export.GuardConfig{MaxAgeHours: 1, Canaries: []string{"CVE-1"}}
	require.Same(t, config, config.Of(export.Run{}))
	about := config.Of(export.Run{Options: export.Options{AsOf: 1}})
	require.Equal(t, &export.GuardConfig{Canaries: []string{"CVE-1"}}, about)
	require.Equal(t, 1, config.MaxAgeHours)
	require.Nil(t, (*export.GuardConfig)(nil).Of(export.Run{Options: export.Options{AsOf: 1}}))
}
