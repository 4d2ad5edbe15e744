package advisory_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/advisory"
)

const csafDocument = `{"document":{"category":"csaf_vex","title":"title","publisher":{"namespace":"https://x.example"},"aggregate_severity":{"text":"Important"},
 "notes":[{"category":"summary","text":"s"},{"category":"general","text":"g"}],"references":[{"url":"https://x.example/1"}],
 "tracking":{"id":"RHSA-1","initial_release_date":"2026-01-01T00:00:00+01:00","current_release_date":"2026-01-02T00:00:00Z"}},
 "product_tree":{"branches":[{"branches":[
   {"category":"product_name","product":{"name":"P","product_id":"P","product_identification_helper":{"cpe":"cpe:/a:redhat:enterprise_linux:9::appstream"}}},
   {"category":"product_version","product":{"name":"a.x","product_id":"a.x","product_identification_helper":{"purl":"pkg:rpm/redhat/a@1.0-1.module%2Bel9?arch=x86_64&epoch=2&rpmmod=a:18:8090:c0ffee"}}},
   {"category":"product_version","product":{"name":"a.s","product_id":"a.s","product_identification_helper":{"purl":"pkg:rpm/redhat/a@1.0-1.module%2Bel9?arch=s390x&epoch=2&rpmmod=a:18:8090:c0ffee"}}},
   {"category":"product_version","product":{"name":"b","product_id":"b","product_identification_helper":{"purl":"pkg:rpm/redhat/b"}}},
   {"category":"product_version","product":{"name":"img","product_id":"img","product_identification_helper":{"purl":"pkg:oci/redhat/img@1"}}},
   {"category":"product_version","product":{"name":"go","product_id":"go","product_identification_helper":{"purl":"pkg:golang/x.example/m@v1.0.0"}}}]}],
  "relationships":[
   {"product_reference":"a.x","relates_to_product_reference":"P","full_product_name":{"name":"n","product_id":"P:a.x"}},
   {"product_reference":"a.s","relates_to_product_reference":"P","full_product_name":{"name":"n","product_id":"P:a.s"}},
   {"product_reference":"b","relates_to_product_reference":"P","full_product_name":{"name":"n","product_id":"P:b"}},
   {"product_reference":"img","relates_to_product_reference":"P","full_product_name":{"name":"n","product_id":"P:img"}}]},
 "vulnerabilities":[
  {"cve":"CVE-1","ids":[{"system_name":"Bugzilla","text":"123"},{"system_name":"Z","text":"ZDI-1"}],"cwe":{"id":"CWE-79"},"title":"first","release_date":"2026-01-03T00:00:00Z",
   "notes":[{"category":"description","text":"d"}],"references":[{"url":"https://x.example/2"}],
   "scores":[{"cvss_v3":{"vectorString":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H","baseSeverity":"HIGH"},"products":["P:a.x","P:b"]}],
   "threats":[{"category":"impact","details":"Low","product_ids":["P:b"]}],
   "product_status":{"fixed":["P:a.x","P:a.s","gone"],"known_affected":["P:b","P:img","go"],"known_not_affected":["P:x"],"under_investigation":["P:y","P:z"]},
   "remediations":[{"category":"vendor_fix","url":"https://access.redhat.com/errata/RHSA-1","product_ids":["P:a.x","P:a.s"]},{"category":"no_fix_planned","details":"Out of support scope","product_ids":["P:b"]}]},
  {"cve":"CVE-2","remediations":[{"category":"none_available","details":"Fix deferred","product_ids":["P:b"]},{"category":"workaround","product_ids":["P:a.x"]}]},
  {"title":"nameless"}]}`

func TestCSAF(t *testing.T) {
	a := read(t, "csaf", csafDocument)
	score := advisory.Severity{Version: "3.1", Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Score: 9.8, Word: "high"}
	before := []advisory.Range{{Type: "ECOSYSTEM", Events: []advisory.Event{{Introduced: "0"}, {Fixed: "2:1.0-1.module+el9"}}}}
	all := []advisory.Range{{Type: "ECOSYSTEM", Events: []advisory.Event{{Introduced: "0"}}}}
	const nine = "Red Hat:enterprise_linux:9::appstream"
	want := advisory.Advisory{
		ID: "RHSA-1", Upstream: []string{"CVE-1", "CVE-2"}, Published: "2025-12-31T23:00:00Z", Modified: "2026-01-02T00:00:00Z",
		Title: "title", Description: "s", References: []string{"https://x.example/1"}, CWEs: []string{"CWE-79"},
		Severities: []advisory.Severity{{Word: "high"}},
		Vulnerabilities: []advisory.Vulnerability{
			{ID: "CVE-1", Aliases: []string{"ZDI-1"}, Title: "first", Description: "d", References: []string{"https://x.example/2"}, CWEs: []string{"CWE-79"},
				Severities: []advisory.Severity{score, {Word: "low"}}, Published: "2026-01-03T00:00:00Z"},
			{ID: "CVE-2"},
		},
		Affected: []advisory.Affected{
			// The two architectures are rated apart: nobody rated s390x.
			{Vulnerability: "CVE-1", Ecosystem: nine, Name: "a", Purl: "pkg:rpm/redhat/a", Ranges: before, Severities: []advisory.Severity{score}, Module: "a:18", FixedBy: "https://access.redhat.com/errata/RHSA-1", Arches: []string{"x86_64"}},
			{Vulnerability: "CVE-1", Ecosystem: nine, Name: "a", Purl: "pkg:rpm/redhat/a", Ranges: before, Module: "a:18", FixedBy: "https://access.redhat.com/errata/RHSA-1", Arches: []string{"s390x"}},
			{Vulnerability: "CVE-1", Ecosystem: nine, Name: "b", Purl: "pkg:rpm/redhat/b", Ranges: all, Status: "end_of_life"},
			{Vulnerability: "CVE-1", Ecosystem: "Go", Name: "x.example/m", Purl: "pkg:golang/x.example/m", Versions: []string{"v1.0.0"}},
			{Vulnerability: "CVE-2", Ecosystem: nine, Name: "b", Purl: "pkg:rpm/redhat/b", Ranges: all, Status: "fix_deferred"},
		},
		Unread: []string{
			`vulnerabilities[0]: product "gone" is not in product_tree`,
			`vulnerabilities[0]: product "P:img" is of type oci, which has no ecosystem`,
			"vulnerabilities[0].product_status.under_investigation: 2 products",
			"vulnerabilities[2] has neither cve nor ids",
		},
	}
	require.Equal(t, want, a)

	split := a.Split()
	require.Len(t, split, 2)
	require.Equal(t, "CVE-1", split[0].ID)
	require.Equal(t, []string{"RHSA-1"}, split[0].Upstream)
	require.Len(t, split[0].Affected, 4)
	require.Empty(t, split[0].Affected[0].Vulnerability)
	require.Equal(t, "title", split[1].Title)
	require.Equal(t, []advisory.Severity{{Word: "high"}}, split[1].Severities)
	require.Len(t, split[1].Affected, 1)
}
