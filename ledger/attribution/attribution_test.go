package attribution_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/attribution"
)

func line(t testing.TB, format, id, doc string) ledger.Line {
	canonical, err := bundle.Canonical([]byte(doc))
	require.NoError(t, err)
	return ledger.Line{Row: ledger.Row{UpstreamID: id, Source: "src", Stream: "str"}, Format: format, Canonical: canonical}
}

func TestTermsOfEveryFormat(t *testing.T) {
	const unknown = attribution.Unknown
	for _, tt := range []struct {
		format, id, doc         string
		origin, publisher, says string
	}{
		{"osv", "GHSA-x-y-z", `{}`, "src str GHSA -", "GitHub Advisory Database", "CC-BY-4.0"},
		{"osv", "PYSEC-2024-1", `{}`, "src str PYSEC -", "PyPI Advisory Database", "CC-BY-4.0"},
		{"osv", "RUSTSEC-2024-1", `{"database_specific":{"license":"CC-BY-4.0"}}`, "src str RUSTSEC CC-BY-4.0", "Rust Advisory Database", "CC-BY-4.0, as the documents state"},
		{"osv", "RUSTSEC-2024-1", `{"id":"x"}`, "src str RUSTSEC -", "Rust Advisory Database", "CC0-1.0"},
		{"osv", "HOUSE-1", `{}`, "src str - -", "", unknown},
		{"osv", "GHSAx", `{"license":"MIT"}`, "src str - -", "", unknown},
		{"csaf", "https://www.redhat.com#RHSA-1", `{"document":{"distribution":{"text":"x","tlp":{"label":"WHITE"}}}}`,
			"src str https://www.redhat.com TLP:WHITE", "Red Hat Product Security", "CC-BY-4.0, TLP:WHITE"},
		{"csaf", "https://p.example#1", `{"document":{"distribution":{"tlp":{"label":"AMBER"}}}}`,
			"src str https://p.example TLP:AMBER", "https://p.example", unknown + "; the documents are TLP:AMBER"},
		{"csaf", "a b|c#1", `{"document":{}}`, "src str - -", "", unknown},
		{"openvex", "https://v.example/1", `{}`, "src str - -", "", unknown},
		{"cyclonedx", "u", `{"metadata":{"licenses":[{"license":{"id":"CC0-1.0"}}]}}`, "src str - CC0-1.0", "", "CC0-1.0, as the documents state"},
		{"cyclonedx", "u", `{"metadata":{"licenses":[{"expression":"MIT"}]}}`, "src str - MIT", "", "MIT, as the documents state"},
		{"cyclonedx", "u", `{"metadata":{"licenses":[{"expression":"MIT OR Apache-2.0"}]}}`, "src str - other", "", "stated in the documents themselves"},
		{"cyclonedx", "u", `{"metadata":{"licenses":[{"license":{"name":"Ours"}}]}}`, "src str - other", "", "stated in the documents themselves"},
		{"cyclonedx", "u", `{"metadata":{"licenses":[]},"components":[{"licenses":[{"license":{"id":"MIT"}}]}]}`, "src str - -", "", unknown},
		{"spdx", "n", `{"dataLicense":"CC0-1.0"}`, "src str - CC0-1.0", "", "CC0-1.0, as the documents state"},
		{"spdx", "n", `{"dataLicense":"NOASSERTION"}`, "src str - -", "", unknown},
		{"spdx", "n", `{"@graph":[{"type":"Person"},{"type":"SpdxDocument","dataLicense":"https://spdx.org/licenses/CC0-1.0"}]}`, "src str - CC0-1.0", "", "CC0-1.0, as the documents state"},
		{"spdx", "n", `{"@graph":[{"type":"SpdxDocument","dataLicense":"https://s.example/doc#licence"}]}`, "src str - other", "", "stated in the documents themselves"},
	} {
		o := attribution.Of(line(t, tt.format, tt.id, tt.doc))
		require.Equal(t, tt.origin, o.String(), tt.doc)
		require.Equal(t, tt.publisher, o.Terms().Publisher, tt.doc)
		require.Equal(t, tt.says, o.Terms().Licence, tt.doc)
		again, err := attribution.Parse(o.String())
		require.NoError(t, err)
		require.Equal(t, o, again)
	}
}

func TestOriginsThatNobodyWrote(t *testing.T) {
	for _, text := range []string{"", "a b c", "a b c d e", "- b - -", "a - - -", "a b c|d -", "a b - a|b", "a b - |", "a b <x> -", "a\nb c - -", "a b - " + strings.Repeat("x", 65)} {
		_, err := attribution.Parse(text)
		require.Error(t, err, "%q", text)
	}
}

func FuzzOf(f *testing.F) {
	f.Add("csaf", "https://p.example#1", `{"document":{"distribution":{"tlp":{"label":"RED"}}}}`)
	f.Add("cyclonedx", "", `{"metadata":{"licenses":[{"license":{"id":"a|b"}}]}}`)
	f.Add("spdx", "x", `{"@graph":[{"type":"SpdxDocument","dataLicense":"\u0001"}]}`)
	f.Add("osv", "GHSA-1", `{"database_specific":{"license":"- -"}}`)
	f.Fuzz(func(t *testing.T, format, id, doc string) {
		canonical, err := bundle.Canonical([]byte(doc))
		if err != nil {
			return
		}
		o := attribution.Of(ledger.Line{Row: ledger.Row{UpstreamID: id, Source: "s", Stream: "t"}, Format: format, Canonical: canonical})
		again, err := attribution.Parse(o.String())
		require.NoError(t, err, "what is in a README holds nothing of its own")
		require.Equal(t, o, again)
		require.NotEmpty(t, o.Terms().Licence)
	})
}

func BenchmarkOf(b *testing.B) {
	doc := line(b, "osv", "RUSTSEC-2024-0001", `{"affected":[{"package":{"ecosystem":"crates.io","name":"x"}}],"database_specific":{"license":"CC0-1.0"},"details":"`+
		strings.Repeat("words of the usual length ", 50)+`","id":"RUSTSEC-2024-0001"}`)
	for b.Loop() {
		attribution.Of(doc)
	}
}
