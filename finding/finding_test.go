package finding_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/finding"
)

const one = `{"advisory":"CVE-2026-1","component":"pkg:npm/a@1","sbom":"pkg:oci/app@1","severity":"high","action":"block","reason":"r","rules":["x"]}`

func doc(findings string) string {
	return `{"format":"stellaops.findings/v1","id":"l","policy":{"name":"acme","version":"7"},"findings":[` + findings + `]}`
}

func TestRead(t *testing.T) {
	l, err := finding.Read([]byte(doc(one)))
	require.NoError(t, err)
	require.Equal(t, finding.Policy{Name: "acme", Version: "7"}, l.Policy)
	require.Equal(t, "CVE-2026-1", l.Findings[0].Advisory)
	_, err = finding.Read([]byte(doc("")))
	require.NoError(t, err)
}

func TestRefused(t *testing.T) {
	change := func(old, by string) string { return doc(strings.Replace(one, old, by, 1)) }
	for text, want := range map[string]string{
		`{}`: "format",
		strings.Replace(doc(""), "/v1", "/v2", 1):            `"stellaops.findings/v2"`,
		strings.Replace(doc(""), `"7"`, `""`, 1):             "policy.version",
		strings.Replace(doc(""), `,"findings":[]`, "", 1):    "findings is missing",
		strings.Replace(doc(""), `"id"`, `"identity"`, 1):    "identity",
		change("pkg:npm/a@1", "a"):                           "findings[0].component",
		change(`"block"`, `"deny"`):                          `findings[0].action is "deny"`,
		change(`"high"`, `"worse"`):                          "findings[0].severity",
		change(`["x"]`, `[]`):                                "findings[0].rules",
		change(`["x"]`, `[""]`):                              "findings[0].rules",
		change(`"r"`, `""`):                                  "findings[0].reason",
		change(`"r"`, `"\u0007"`):                            "control characters",
		change(`"CVE-2026-1"`, `""`):                         "findings[0].advisory",
		change(`"pkg:oci/app@1"`, `""`):                      "findings[0].sbom",
		change(`"rules"`, `"sbomDigest":"sha256:x","rules"`): "findings[0].sbomDigest",
		change(`"rules"`, `"action":"allow","rules"`):        "action",
		change(`"r"`, `"`+strings.Repeat("r", 5000)+`"`):     "5000 bytes",
	} {
		_, err := finding.Read([]byte(text))
		require.ErrorContains(t, err, want, "%.300s", text)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(doc(one)))
	f.Add([]byte(doc("")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := finding.Read(raw)
		if err != nil {
			return
		}
		for _, one := range l.Findings {
			require.NotEmpty(t, one.Rules)
			require.Contains(t, finding.Actions, one.Action)
		}
	})
}
