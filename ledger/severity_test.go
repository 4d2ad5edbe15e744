package ledger_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/ledger"
)

// severitiesOf reads a document of a format whose reader does only this.
func severitiesOf(t *testing.T, rate func(*ledger.Found)) []string {
	t.Helper()
	format := ledger.Format{Name: "x", Title: "x", Kind: ledger.KindAdvisory,
		Read: func(_ ledger.Object, _ *ledger.Observation, found *ledger.Found) error { rate(found); return nil }}
	o, err := format.Understand(ledger.Entry{Bytes: []byte("{}")})
	require.NoError(t, err)
	return o.Severities
}

func TestVectorsOfEveryVersion(t *testing.T) {
	for vector, want := range map[string]string{
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H": "critical", // 9.8
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H": "high",     // 7.5
		"CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N": "medium",   // 6.1
		"CVSS:3.0/AV:L/AC:H/PR:L/UI:R/S:U/C:L/I:N/A:N": "low",      // 2.0
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N": "none",     // 0.0
		// The base score counts, whatever temporal metrics make of it.
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:U/RL:O/RC:U":      "critical",
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N": "critical", // 9.3
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:N/SC:N/SI:N/SA:N": "none",
		"AV:N/AC:L/Au:N/C:C/I:C/A:C":                                      "high",   // 10.0; version 2 knows nothing worse
		"(AV:N/AC:L/Au:N/C:P/I:N/A:N)":                                    "medium", // 5.0
		"AV:L/AC:H/Au:N/C:P/I:N/A:N":                                      "low",    // 1.2
		"CVSS:3.1/AV:N":                                                   "",
		"CVSS:9.9/AV:N/AC:L":                                              "",
		"high":                                                            "",
		"":                                                                "",
	} {
		got := severitiesOf(t, func(f *ledger.Found) { f.Vector(vector) })
		if want == "" {
			require.Empty(t, got, vector)
		} else {
			require.Equal(t, []string{want}, got, vector)
		}
	}
}

func TestScoresHaveTheScaleOfTheirVersion(t *testing.T) {
	for _, tt := range []struct{ version, score, want string }{
		{"CVSSv31", "9", "critical"}, {"CVSSv31", "8.9", "high"}, {"3.1", "6.9", "medium"}, {"cvss_v3", "3.9", "low"},
		{"CVSSv4", "0", "none"}, {"CVSS_V4", "0.1", "low"}, {"CVSSv2", "10", "high"}, {"cvss_v2", "0", "low"}, {"2", "4.0", "medium"},
		{"OWASP", "9", ""}, {"SSVC", "9", ""}, {"", "9", ""}, {"3", "11", ""}, {"3", "-1", ""}, {"3", `"9"`, ""}, {"3", "null", ""}, {"5", "9", ""},
	} {
		got := severitiesOf(t, func(f *ledger.Found) { f.Score(tt.version, []byte(tt.score)) })
		if tt.want == "" {
			require.Empty(t, got, "%+v", tt)
		} else {
			require.Equal(t, []string{tt.want}, got, "%+v", tt)
		}
	}
}

func TestWordsAreTakenInAnyCase(t *testing.T) {
	got := severitiesOf(t, func(f *ledger.Found) {
		for _, word := range []string{"MODERATE", "Important", "unknown", "info", "", "Low", "critical, or nearly so", "CRITICAL", "none"} {
			f.Severity(word)
		}
	})
	require.Equal(t, []string{"critical", "high", "low", "medium", "none"}, got)
}

func TestObservationsHoldKnownSeveritiesOnly(t *testing.T) {
	o, err := ledger.Format{Name: "x", Title: "x", Kind: ledger.KindAdvisory,
		Read: func(ledger.Object, *ledger.Observation, *ledger.Found) error { return nil }}.Understand(ledger.Entry{Bytes: []byte("{}")})
	require.NoError(t, err)
	for _, wrong := range [][]string{{"urgent"}, {"low", "high"}, {"low", "low"}, {""}} {
		o.Severities = wrong
		require.ErrorContains(t, o.Validate(), "severities", "%q", wrong)
	}
	o.Severities = []string{"high", "low"}
	require.NoError(t, o.Validate())
}
