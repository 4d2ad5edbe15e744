package vex_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/vex"
)

func read(t *testing.T, format, doc string) vex.Document {
	t.Helper()
	canonical, err := bundle.Canonical([]byte(doc))
	require.NoError(t, err)
	d, err := vex.Read(format, canonical)
	require.NoError(t, err)
	return d
}

const openvexDocument = `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://x.example/vex","timestamp":"2026-01-01T00:00:00Z","last_updated":"2026-02-01T00:00:00Z",
 "products":["pkg:npm/whole"],
 "statements":[
  {"vulnerability":{"@id":"https://nvd.example/CVE-1","name":"CVE-1","aliases":["GHSA-1","CVE-1"]},"status":"not_affected","justification":"component_not_present","impact_statement":"not here",
   "timestamp":"2026-01-05T01:00:00+01:00",
   "products":[{"@id":"https://x.example/p","identifiers":{"purl":"pkg:oci/a@1","cpe23":"cpe:2.3:a:x:a"},"subcomponents":[{"@id":"pkg:npm/b@1"}]},
    {"@id":"pkg:oci/c","subcomponents":["pkg:npm/b@1"]},{"@id":"pkg:oci/d"},{"@id":""}]},
  {"vulnerability":{"@id":"CVE-2","name":"X-2"},"status":"affected","justification":"component_not_present","action_statement":"update"},
  {"vulnerability":"CVE-3","status":"fixed","products":["pkg:npm/z","pkg:npm/y","pkg:npm/z"]},
  {"vulnerability":{"@id":"https://nvd.example/CVE-4"},"status":"under_investigation","products":[]}]}`

func TestOpenVEX(t *testing.T) {
	first := vex.Statement{Vulnerability: "CVE-1", Aliases: []string{"GHSA-1"}, Products: []string{"cpe:2.3:a:x:a", "pkg:oci/a@1", "pkg:oci/c"}, Subcomponents: []string{"pkg:npm/b@1"},
		Status: vex.NotAffected, Justification: "component_not_present", Impact: "not here", At: "2026-01-05T00:00:00.000000000Z"}
	second := first
	second.Products, second.Subcomponents = []string{"pkg:oci/d"}, nil
	require.Equal(t, vex.Document{ID: "https://x.example/vex", Statements: []vex.Statement{first, second,
		{Vulnerability: "X-2", Aliases: []string{"CVE-2"}, Products: []string{"pkg:npm/whole"}, Status: vex.Affected, Action: "update", At: "2026-01-01T00:00:00.000000000Z"},
		{Vulnerability: "CVE-3", Products: []string{"pkg:npm/y", "pkg:npm/z"}, Status: vex.Fixed, At: "2026-01-01T00:00:00.000000000Z"},
	}, Unread: []string{"statements[0].products[3] has no identifier", "statements[3]: a statement about no product"}}, read(t, "openvex", openvexDocument))
}

const csafDocument = `{"document":{"category":"csaf_vex","tracking":{"id":"VEX-1","current_release_date":"2026-01-02T00:00:00Z"}},
 "product_tree":{"branches":[
   {"category":"product_name","product":{"name":"P","product_id":"P","product_identification_helper":{"cpe":"cpe:/o:x:p"}}},
   {"category":"product_version","product":{"name":"a","product_id":"a","product_identification_helper":{"purl":"pkg:rpm/x/a@1"}}},
   {"category":"product_version","product":{"name":"b","product_id":"b","product_identification_helper":{"purl":"pkg:rpm/x/b@1"}}},
   {"category":"product_version","product":{"name":"named only","product_id":"n"}}],
  "product_groups":[{"group_id":"g","product_ids":["P:a","P:b"]}],
  "relationships":[
   {"product_reference":"a","relates_to_product_reference":"P","full_product_name":{"name":"n","product_id":"P:a"}},
   {"product_reference":"b","relates_to_product_reference":"P","full_product_name":{"name":"n","product_id":"P:b"}}]},
 "vulnerabilities":[{"cve":"CVE-1","ids":[{"text":"123"},{"text":"ZDI-1"}],
   "product_status":{"known_not_affected":["P:a","P:b","n"],"known_affected":["P:a","gone"],"fixed":["a"],"under_investigation":["b"],"recommended":["n"]},
   "flags":[{"label":"component_not_present","group_ids":["g"]}],
   "threats":[{"category":"impact","details":"Important","product_ids":["n"]},{"category":"impact","details":"harmless","product_ids":["n"]}],
   "remediations":[{"category":"vendor_fix","details":"update","product_ids":["P:a"]}]},
  {"title":"nameless"},{"ids":[{"text":"X-1"}]}]}`

func TestCSAF(t *testing.T) {
	one := func(s vex.Statement) vex.Statement {
		s.Vulnerability, s.Aliases, s.At = "CVE-1", []string{"ZDI-1"}, "2026-01-02T00:00:00.000000000Z"
		return s
	}
	require.Equal(t, vex.Document{ID: "VEX-1", Statements: []vex.Statement{
		one(vex.Statement{Products: []string{"cpe:/o:x:p"}, Subcomponents: []string{"pkg:rpm/x/a@1", "pkg:rpm/x/b@1"}, Status: vex.NotAffected, Justification: "component_not_present"}),
		one(vex.Statement{Products: []string{"named only"}, Status: vex.NotAffected, Impact: "harmless"}),
		one(vex.Statement{Products: []string{"cpe:/o:x:p"}, Subcomponents: []string{"pkg:rpm/x/a@1"}, Status: vex.Affected, Action: "update"}),
		one(vex.Statement{Products: []string{"pkg:rpm/x/a@1"}, Status: vex.Fixed}),
		one(vex.Statement{Products: []string{"pkg:rpm/x/b@1"}, Status: vex.UnderInvestigation}),
	}, Unread: []string{`vulnerabilities[0].product_status.known_affected: product "gone" is not in product_tree`,
		"vulnerabilities[1] has neither cve nor ids", "vulnerabilities[2] has no product_status"}}, read(t, "csaf", csafDocument))
}

// What is stated of some versions is never stated of all: a range is left out,
// and a package URL without a version gets that of its branch.
func TestCSAFVersions(t *testing.T) {
	const branch = `{"category":"%s","name":"%s","product":{"name":"p","product_id":"p","product_identification_helper":{"purl":"%s"}}}`
	for _, tt := range []struct{ category, name, purl, want string }{
		{"product_version_range", "vers:npm/>=4.17.21", "pkg:npm/lodash", ""},
		{"product_version_range", "vers:all/*", "pkg:npm/lodash", "pkg:npm/lodash"},
		{"product_version", "4.17.21", "pkg:npm/lodash?x=y", "pkg:npm/lodash@4.17.21?x=y"},
		{"product_version", "4.17.21", "pkg:npm/lodash@4.17.20", "pkg:npm/lodash@4.17.20"},
		{"product_version", "pam", "pkg:rpm/redhat/pam?arch=src", "pkg:rpm/redhat/pam?arch=src"},
		{"product_version", "389-ds:1.4/389-ds-base", "pkg:rpm/redhat/389-ds-base", "pkg:rpm/redhat/389-ds-base"},
		{"product_name", "lodash", "pkg:npm/lodash", "pkg:npm/lodash"},
	} {
		for _, status := range []string{"known_not_affected", "fixed", "known_affected", "under_investigation"} {
			for id, relationships := range map[string]string{"p": "", "P:p": `,"relationships":[{"product_reference":"p","relates_to_product_reference":"P","full_product_name":{"name":"n","product_id":"P:p"}}]`} {
				d := read(t, "csaf", `{"document":{"tracking":{"id":"X"}},"product_tree":{"full_product_names":[{"name":"P","product_id":"P"}],"branches":[`+
					fmt.Sprintf(branch, tt.category, tt.name, tt.purl)+`]`+relationships+`},"vulnerabilities":[{"cve":"CVE-1","product_status":{"`+status+`":["`+id+`"]}}]}`)
				if tt.want == "" {
					require.Equal(t, vex.Document{ID: "X", Unread: []string{`vulnerabilities[0].product_status.` + status + `: product "` + id + `" is the range of versions "` + tt.name + `"`}}, d)
					continue
				}
				require.Empty(t, d.Unread)
				require.Len(t, d.Statements, 1)
				require.Equal(t, tt.want, append(d.Statements[0].Subcomponents, d.Statements[0].Products...)[0])
			}
		}
	}
}

// A platform that is a range of versions is not all of them either.
func TestCSAFPlatformOfARange(t *testing.T) {
	d := read(t, "csaf", `{"document":{"tracking":{"id":"X"}},"product_tree":{"full_product_names":[{"name":"a","product_id":"a","product_identification_helper":{"purl":"pkg:npm/a@1"}}],
		"branches":[{"category":"product_version_range","name":"vers:oci/>=2","product":{"name":"P","product_id":"P","product_identification_helper":{"purl":"pkg:oci/p"}}}],
		"relationships":[{"product_reference":"a","relates_to_product_reference":"P","full_product_name":{"name":"n","product_id":"P:a"}}]},
		"vulnerabilities":[{"cve":"CVE-1","product_status":{"fixed":["P:a"]}}]}`)
	require.Equal(t, vex.Document{ID: "X", Unread: []string{`vulnerabilities[0].product_status.fixed: product "P:a" is the range of versions "vers:oci/>=2"`}}, d)
}

const cyclonedxDocument = `{"bomFormat":"CycloneDX","specVersion":"1.6","serialNumber":"urn:uuid:1","metadata":{"timestamp":"2026-01-01T00:00:00Z","component":{"bom-ref":"app","name":"app","purl":"pkg:oci/app@1"}},
 "components":[{"bom-ref":"c","name":"c","components":[{"bom-ref":"d","name":"d","purl":"pkg:npm/d@1?x=y"}]}],
 "vulnerabilities":[
  {"id":"CVE-1","references":[{"id":"GHSA-1"}],"analysis":{"state":"not_affected","justification":"code_not_reachable","detail":"why","response":["will_not_fix","update"],"lastUpdated":"2026-01-03T00:00:00Z"},
   "recommendation":"use e","affects":[{"ref":"d"},{"ref":"urn:cdx:s/1#pkg%3Anpm/f@1"},{"ref":"urn:cdx:s/1#pkg:npm/e@1"},{"ref":"c"}]},
  {"id":"CVE-2","updated":"2026-01-04T00:00:00Z","analysis":{"state":"exploitable"},"affects":[{"ref":"d","versions":[{"version":"1.1+a"},{"version":"2","status":"unaffected"},{"version":"3","status":"unknown"},{"range":"vers:npm/<1"},{"version":"4","status":"odd"}]},{"ref":"c","versions":[{"version":"1"}]}]},
  {"id":"CVE-3","analysis":{"state":"false_positive"},"affects":[{"ref":"app"}]},
  {"id":"CVE-4"},{"id":"CVE-5","analysis":{"detail":"x"}},{"analysis":{"state":"resolved"},"affects":[{"ref":"d"}]},{"id":"CVE-6","analysis":{"state":"resolved"}}]}`

func TestCycloneDX(t *testing.T) {
	require.Equal(t, vex.Document{ID: "urn:uuid:1", Statements: []vex.Statement{
		{Vulnerability: "CVE-1", Aliases: []string{"GHSA-1"}, Products: []string{"#c", "#d", "urn:cdx:s/1#pkg%3Anpm/f@1", "urn:cdx:s/1#pkg:npm/e@1"}, Status: vex.NotAffected,
			Justification: "vulnerable_code_not_in_execute_path", Impact: "why", Action: "will_not_fix, update\nuse e", At: "2026-01-03T00:00:00.000000000Z"},
		{Vulnerability: "CVE-2", Products: []string{"#pkg:npm/d@2?x=y"}, Status: vex.NotAffected, At: "2026-01-04T00:00:00.000000000Z"},
		{Vulnerability: "CVE-2", Products: []string{"#pkg:npm/d@1.1%2Ba?x=y"}, Status: vex.Affected, At: "2026-01-04T00:00:00.000000000Z"},
		{Vulnerability: "CVE-2", Products: []string{"#pkg:npm/d@3?x=y"}, Status: vex.UnderInvestigation, At: "2026-01-04T00:00:00.000000000Z"},
		{Vulnerability: "CVE-3", Products: []string{"#app", "pkg:oci/app@1"}, Status: vex.NotAffected, At: "2026-01-01T00:00:00.000000000Z"},
	}, Unread: []string{
		"vulnerabilities[1].affects[0].versions[3] is a range of versions", `vulnerabilities[1].affects[0].versions[4].status "odd" is no status of a version`,
		`vulnerabilities[1].affects[1].versions[0]: product "#c" has no package URL to give a version`,
		"vulnerabilities[3] has no analysis", `vulnerabilities[4].analysis.state "" says nothing of a status`, "vulnerabilities[5] has no id", "vulnerabilities[6]: a statement about no product",
	}}, read(t, "cyclonedx", cyclonedxDocument))
	require.Empty(t, read(t, "cyclonedx", `{"bomFormat":"CycloneDX"}`))

	// Versions of what a BOM-Link leads to stay in that document; without components a package URL stands for itself.
	const others = `{"bomFormat":"CycloneDX"%s,"vulnerabilities":[{"id":"CVE-1","analysis":{"state":"exploitable"},"affects":[
	 {"ref":"urn:cdx:s/1#pkg%%3Anpm/f@1","versions":[{"version":"2"}]},{"ref":"pkg:npm/g@1"},{"ref":"pkg:npm/g@1","versions":[{"version":"3"}]},{"ref":"h"}]}]}`
	require.Equal(t, []string{"#h", "pkg:npm/g@1", "pkg:npm/g@3", "urn:cdx:s/1#pkg:npm/f@2"}, read(t, "cyclonedx", fmt.Sprintf(others, "")).Statements[0].Products)
	require.Equal(t, []string{"#h", "#pkg:npm/g@1", "urn:cdx:s/1#pkg:npm/f@2"}, read(t, "cyclonedx", fmt.Sprintf(others, `,"components":[{"name":"x"}]`)).Statements[0].Products)
	require.Equal(t, []string{"#h", "#pkg:npm/g@1", "#pkg:npm/g@3", "urn:cdx:s/1#pkg:npm/f@2"},
		read(t, "cyclonedx", fmt.Sprintf(others, `,"components":[{"name":"g","purl":"pkg:npm/g@1"}]`)).Statements[0].Products)
}

// A version that a document calls affected is not fixed because the analysis of
// the vulnerability says "resolved"; one without a word is.
func TestCycloneDXVersionsHaveTheirOwnStatus(t *testing.T) {
	for state, inherited := range map[string]vex.Status{"resolved": vex.Fixed, "not_affected": vex.NotAffected, "in_triage": vex.UnderInvestigation} {
		d := read(t, "cyclonedx", `{"bomFormat":"CycloneDX","vulnerabilities":[{"id":"CVE-1","analysis":{"state":"`+state+`","detail":"why"},"affects":[{"ref":"pkg:npm/d",
			"versions":[{"version":"1.0","status":"affected"},{"version":"1.1"}]}]}]}`)
		require.ElementsMatch(t, []vex.Statement{{Vulnerability: "CVE-1", Products: []string{"pkg:npm/d@1.0"}, Status: vex.Affected},
			{Vulnerability: "CVE-1", Products: []string{"pkg:npm/d@1.1"}, Status: inherited, Impact: "why"}}, d.Statements, state)
	}
}

func TestWhatIsNoVEXIsRefused(t *testing.T) {
	many := strings.Repeat(`"a",`, 99_999) + `"a"`
	for _, tt := range []struct{ format, doc, want string }{
		{"osv", `{}`, "csaf, cyclonedx, openvex"},
		{"openvex", `[]`, "not an object"},
		{"openvex", `{}`, "statements is missing"},
		{"openvex", `{"statements":[{"status":"maybe"}]}`, "statements[0].status"},
		{"openvex", `{"statements":[{"status":"fixed"}]}`, "statements[0].vulnerability"},
		{"openvex", `{"statements":[{"status":"fixed","vulnerability":{"aliases":["a"]}}]}`, "neither name nor @id"},
		{"openvex", `{"statements":[{"status":"fixed","vulnerability":"a","products":[7]}]}`, "statements[0].products[0]"},
		{"openvex", `{"statements":[{"status":"fixed","vulnerability":"a","products":[{"@id":"a","subcomponents":[{}]}]}]}`, "statements[0].products[0].subcomponents[0] has no identifier"},
		{"openvex", `{"statements":[{"status":"fixed","vulnerability":"a","timestamp":"now"}]}`, "statements[0].timestamp"},
		{"openvex", `{"products":[` + many + `],"statements":[` + strings.Repeat(`{"status":"fixed","vulnerability":"a"},`, 10) + `{"status":"fixed","vulnerability":"a"}]}`, "at most 1000000"},
		{"csaf", `{"document":{}}`, "document.tracking"},
		{"csaf", `{"document":{"tracking":{"id":"a"}},"product_tree":` + strings.Repeat(`{"branches":[`, 40) + strings.Repeat(`]}`, 40) + `}`, "nested deeper"},
		{"cyclonedx", `{}`, "bomFormat"},
		{"cyclonedx", `{"bomFormat":"CycloneDX","vulnerabilities":[{"id":"a","analysis":{"state":"resolved"},"affects":[{}]}]}`, "vulnerabilities[0].affects[0].ref is missing"},
	} {
		_, err := vex.Read(tt.format, []byte(tt.doc))
		require.ErrorContains(t, err, tt.want, "%.100s", tt.doc)
		require.Less(t, len(err.Error()), 300)
	}
}
