package advisory_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/advisory"
	"github.com/stella-ops/exportcenter/bundle"
)

func read(t *testing.T, format, doc string) advisory.Advisory {
	t.Helper()
	canonical, err := bundle.Canonical([]byte(doc))
	require.NoError(t, err)
	a, err := advisory.Read(format, canonical)
	require.NoError(t, err)
	return a
}

const osvDocument = `{"schema_version":"1.7.0","id":"GHSA-1","aliases":["CVE-2","CVE-1","CVE-2","GHSA-1"],"related":["CVE-8"],"upstream":["CVE-9"],
 "modified":"2026-03-01T01:30:00.5+02:00","published":"0001-01-01T00:00:00Z","withdrawn":"2026-03-02T00:00:00Z",
 "summary":"title","details":"text","references":[{"type":"WEB","url":"https://b.example"},{"type":"FIX","url":"https://a.example"},{"type":"FIX","url":"https://b.example"}],
 "severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"},{"type":"CVSS_V4","score":"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"},{"type":"X","score":"bad"}],
 "database_specific":{"severity":"MODERATE","cwe_ids":["CWE-79","CWE-20","CWE-79","79"]},
 "affected":[
  {"package":{"ecosystem":"npm","name":"@scope/zebra"},"versions":["0.1","0.0.9"],
   "ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.0.0"},{"introduced":"2.0.0","fixed":"2.0.1"},{"limit":"3.0.0"}]},{"type":"GIT","repo":"https://x.example","events":[{"introduced":"0"}]}]},
  {"package":{"ecosystem":"Maven","name":"g:a","purl":"pkg:maven/g/a"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"1"}]}],
   "database_specific":{"last_known_affected_version_range":"<= 1.9"},"ecosystem_specific":{"severity":"low"},"severity":[{"type":"CVSS_V2","score":"AV:N/AC:L/Au:N/C:P/I:N/A:N"}]},
  {"package":{"ecosystem":"Debian:12","name":"g++"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"last_affected":"1-1"}]}],"database_specific":{"last_known_affected_version_range":"< 9"}},
  {"package":{"ecosystem":"PyPI","name":"Odd.Name"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}],"database_specific":{"last_known_affected_version_range":"< 2"}},
  {"ranges":[{"type":"GIT","repo":"https://x.example","events":[{"introduced":"0"}]}]},
  {"package":{"ecosystem":"Go","name":"a"}},
  {"versions":["1"]}]}`

func TestOSV(t *testing.T) {
	a := read(t, "osv", osvDocument)
	require.Equal(t, advisory.Advisory{
		ID: "GHSA-1", Aliases: []string{"CVE-1", "CVE-2"}, Upstream: []string{"CVE-9"},
		Withdrawn: "2026-03-02T00:00:00Z", Modified: "2026-02-28T23:30:00.5Z",
		Title: "title", Description: "text", References: []string{"https://b.example", "https://a.example"},
		CWEs: []string{"CWE-20", "CWE-79"},
		Severities: []advisory.Severity{
			{Version: "3.1", Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Score: 9.8, Word: "critical"},
			{Version: "4.0", Vector: "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", Score: 9.3, Word: "critical"},
			{Word: "medium"},
		},
		Affected: []advisory.Affected{
			{Ecosystem: "npm", Name: "@scope/zebra", Purl: "pkg:npm/%40scope/zebra", Versions: []string{"0.1", "0.0.9"}, Ranges: []advisory.Range{
				{Type: "SEMVER", Events: []advisory.Event{{Introduced: "0"}, {Fixed: "1.0.0"}, {Introduced: "2.0.0"}, {Fixed: "2.0.1"}, {Limit: "3.0.0"}}}}},
			{Ecosystem: "Maven", Name: "g:a", Purl: "pkg:maven/g/a", Ranges: []advisory.Range{
				{Type: "ECOSYSTEM", Events: []advisory.Event{{Introduced: "1"}, {LastAffected: "1.9"}}}},
				Severities: []advisory.Severity{{Version: "2.0", Vector: "AV:N/AC:L/Au:N/C:P/I:N/A:N", Score: 5, Word: "medium"}, {Word: "low"}}},
			{Ecosystem: "Debian:12", Name: "g++", Purl: "pkg:deb/debian/g%2B%2B", Ranges: []advisory.Range{
				{Type: "ECOSYSTEM", Events: []advisory.Event{{Introduced: "0"}, {LastAffected: "1-1"}}}}},
			{Ecosystem: "PyPI", Name: "Odd.Name", Purl: "pkg:pypi/odd-name", Ranges: []advisory.Range{
				{Type: "ECOSYSTEM", Events: []advisory.Event{{Introduced: "0"}, {Limit: "2"}}}}},
		},
		Unread: []string{
			`severity[2].score "bad" is neither a CVSS vector nor a severity`,
			`database_specific.cwe_ids "79" is not a CWE id`,
			"affected[0]: 1 ranges of type GIT",
			"affected[4]: ranges of type GIT only",
			"affected[5]: neither ranges nor versions",
			"affected[6]: no package",
		},
	}, a)
	require.Equal(t, []advisory.Advisory{a}, a.Split())
}

func TestWhatIsNoAdvisoryIsRefused(t *testing.T) {
	const head = `{"id":"X","modified":"2026-01-01T00:00:00Z"`
	for doc, want := range map[string]string{
		`[]`:                     "not an object",
		`{}`:                     "id is missing",
		head + `,"aliases":[1]}`: "aliases[0]",
		head + `,"withdrawn":7}`: "withdrawn",
		head + `,"affected":[{"package":{"ecosystem":"Go"}}]}`:                                                                        "affected[0].package.name is missing",
		head + `,"affected":[{"ranges":[{"type":"SEMVER","events":[{}]}]}]}`:                                                          "affected[0].ranges[0].events[0]",
		head + `,"affected":[{"ranges":[{"type":"ODD","events":[{"fixed":"1"}]}]}]}`:                                                  "affected[0].ranges[0].type",
		head + `,"affected":[` + strings.Repeat("{},", 20_000) + `{}]}`:                                                               "at most 20000",
		head + `,"affected":[` + strings.Repeat(`{"versions":[`+strings.Repeat(`"1",`, 99_999)+`"1"]},`, 10) + `{"versions":["1"]}]}`: "at most 1000000",
	} {
		_, err := advisory.Read("osv", []byte(doc))
		require.ErrorContains(t, err, want, "%.100s", doc)
		require.Less(t, len(err.Error()), 300)
	}
	_, err := advisory.Read("openvex", []byte(`{}`))
	require.ErrorContains(t, err, "csaf, osv")
}

// What does not matter for being affected refuses nothing, and is named.
func TestOddPartsAreNamed(t *testing.T) {
	a := read(t, "osv", `{"id":"X","summary":7,"references":{},"severity":"high","database_specific":{"severity":"odd","cwe_ids":"CWE-1"},"published":"yesterday"}`)
	require.Len(t, a.Unread, 6)
	a = read(t, "osv", `{"id":"X","affected":[`+strings.Repeat("{},", 150)+`{}]}`)
	require.Len(t, a.Unread, 101)
	require.Equal(t, "and 51 more", a.Unread[100])
}
