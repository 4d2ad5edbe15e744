package comparison_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/comparison"
)

// one compares two revisions of one document.
func one(t *testing.T, kind, from, to string) comparison.Change {
	t.Helper()
	b := &book{}
	changes := all(t, compared(b.at(doc{kind, "", "X", from}), b.at(doc{kind, "", "X", to})), comparison.Filter{}, roomy)
	require.Len(t, changes, 1)
	require.Empty(t, changes[0].Note)
	return changes[0]
}

// osv is an advisory about the package p of npm.
func osv(severity, events, rest string) string {
	return fmt.Sprintf(`{"id":"X","modified":"2026-01-01T00:00:00Z","database_specific":{"severity":%q},
		"affected":[{"package":{"ecosystem":"npm","name":"p"},"ranges":[{"type":"SEMVER","events":[%s]}],"versions":["1.0.0"]}]%s}`, severity, events, rest)
}

const until1, until2 = `{"introduced":"0"},{"fixed":"1.1.0"}`, `{"introduced":"0"},{"fixed":"1.2.0"}`

func TestWhatChangesOfAnAdvisory(t *testing.T) {
	p := comparison.Subject{Ecosystem: "npm", Name: "p"}
	said := func(word string) comparison.Severity {
		return comparison.Severity{Word: word, Said: []string{word}}
	}
	base := osv("HIGH", until1, "")
	for name, test := range map[string]struct {
		to   string
		want comparison.Change
	}{
		"severity": {osv("LOW", until1, ""), comparison.Change{What: []string{"severity"},
			Severity: []comparison.SeverityChange{{From: said("high"), To: said("low")}}}},
		"severity that is not said any more": {strings.Replace(base, `"database_specific":{"severity":"HIGH"}`, `"details":""`, 1), comparison.Change{What: []string{"severity"},
			Severity: []comparison.SeverityChange{{From: said("high")}}}},
		"a vector beside the word": {strings.Replace(base, `"affected"`, `"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],"affected"`, 1),
			comparison.Change{What: []string{"severity"}, Severity: []comparison.SeverityChange{{From: said("high"),
				To: comparison.Severity{Word: "critical", Said: []string{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "high"}}}}}},
		"severity of a package": {strings.Replace(base, `"versions"`, `"database_specific":{"severity":"LOW"},"versions"`, 1),
			comparison.Change{What: []string{"severity"}, Severity: []comparison.SeverityChange{{Of: p, To: said("low")}}}},
		"fixed later": {osv("HIGH", until2, ""), comparison.Change{What: []string{"range", "fixed"}, Packages: []comparison.PackageChange{{Of: p, Change: "changed",
			RangesAdded: []string{"SEMVER: introduced 0, fixed 1.2.0"}, RangesRemoved: []string{"SEMVER: introduced 0, fixed 1.1.0"},
			FixedAdded: []string{"1.2.0"}, FixedRemoved: []string{"1.1.0"}}}}},
		"introduced later": {strings.Replace(base, `{"introduced":"0"}`, `{"introduced":"0.5.0"}`, 1), comparison.Change{What: []string{"range"},
			Packages: []comparison.PackageChange{{Of: p, Change: "changed", RangesAdded: []string{"SEMVER: introduced 0.5.0, fixed 1.1.0"},
				RangesRemoved: []string{"SEMVER: introduced 0, fixed 1.1.0"}}}}},
		"no fix any more": {osv("HIGH", `{"introduced":"0"},{"last_affected":"1.1.0"}`, ""), comparison.Change{What: []string{"range", "fixed"},
			Packages: []comparison.PackageChange{{Of: p, Change: "changed", RangesAdded: []string{"SEMVER: introduced 0, last affected 1.1.0"},
				RangesRemoved: []string{"SEMVER: introduced 0, fixed 1.1.0"}, FixedRemoved: []string{"1.1.0"}}}}},
		"versions": {strings.Replace(base, `["1.0.0"]`, `["1.0.1","1.0.2"]`, 1), comparison.Change{What: []string{"range"},
			Packages: []comparison.PackageChange{{Of: p, Change: "changed", VersionsAdded: 2, VersionsRemoved: 1}}}},
		"another package": {strings.Replace(base, `"name":"p"`, `"name":"q"`, 1), comparison.Change{What: []string{"range", "fixed"}, Packages: []comparison.PackageChange{
			{Of: p, Change: "removed", RangesRemoved: []string{"SEMVER: introduced 0, fixed 1.1.0"}, VersionsRemoved: 1, FixedRemoved: []string{"1.1.0"}},
			{Of: comparison.Subject{Ecosystem: "npm", Name: "q"}, Change: "added", RangesAdded: []string{"SEMVER: introduced 0, fixed 1.1.0"}, VersionsAdded: 1, FixedAdded: []string{"1.1.0"}}}}},
		"withdrawn": {osv("HIGH", until1, `,"withdrawn":"2026-02-01T00:00:00Z"`), comparison.Change{What: []string{"withdrawn"},
			Withdrawn: &comparison.Words{To: "2026-02-01T00:00:00Z"}}},
		"text":                            {osv("HIGH", until1, `,"summary":"new"`), comparison.Change{What: []string{"other"}}},
		"the same split into two entries": {osv("HIGH", until1, `,"references":[]`), comparison.Change{What: []string{"other"}}},
	} {
		t.Run(name, func(t *testing.T) {
			test.want.Change, test.want.Kind, test.want.Source, test.want.Stream, test.want.ID, test.want.Aliases = "changed", "advisory", "s", "t", "X", []string{"A-X"}
			require.Equal(t, test.want, one(t, "advisory", base, test.to))
		})
	}
}

// A CSAF document speaks of several vulnerabilities: what changed says of which.
func TestWhatChangesOfOneVulnerability(t *testing.T) {
	text := func(severity string) string {
		return `{"document":{"category":"csaf_security_advisory","csaf_version":"2.0","title":"t","publisher":{"name":"n","namespace":"https://example.org","category":"vendor"},
			"tracking":{"id":"X","status":"final","version":"1","initial_release_date":"2026-01-01T00:00:00Z","current_release_date":"2026-01-01T00:00:00Z","revision_history":[]}},
			"vulnerabilities":[{"cve":"CVE-2026-1","threats":[{"category":"impact","details":"` + severity + `"}],"product_status":{"known_affected":[]}},
				{"cve":"CVE-2026-2","threats":[{"category":"impact","details":"Low"}],"product_status":{"known_affected":[]}}]}`
	}
	b := &book{}
	from, to := b.at(doc{"advisory", "", "X", text("Low")}), b.at(doc{"advisory", "", "X", text("Critical")})
	for i := range b.lines {
		b.lines[i].Format = "csaf"
	}
	changes := all(t, compared(from, to), comparison.Filter{}, roomy)
	require.Len(t, changes, 1)
	require.Empty(t, changes[0].Note)
	require.Equal(t, []string{"severity"}, changes[0].What)
	require.Len(t, changes[0].Severity, 1)
	require.Equal(t, comparison.Subject{Vulnerability: "CVE-2026-1"}, changes[0].Severity[0].Of)
	require.Equal(t, "critical", changes[0].Severity[0].To.Word)
}

func TestWhatChangesOfAVEXDocument(t *testing.T) {
	text := func(statements ...string) string {
		return `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"X","timestamp":"2026-01-01T00:00:00Z","statements":[` + strings.Join(statements, ",") + `]}`
	}
	says := func(id, product, status, at string) string {
		return fmt.Sprintf(`{"vulnerability":{"name":%q},"products":[{"@id":%q}],"status":%q,"timestamp":%q}`, id, product, status, at)
	}
	early, late := "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
	c := one(t, "vex", text(says("CVE-1", "p", "affected", early), says("CVE-2", "p", "fixed", early), says("CVE-3", "p", "affected", early)),
		text(says("CVE-1", "p", "fixed", late), says("CVE-1", "p", "under_investigation", early), says("CVE-2", "q", "fixed", early), says("CVE-3", "p", "affected", late)))
	require.Equal(t, []string{"status"}, c.What)
	require.Equal(t, []comparison.StatementChange{
		{Vulnerability: "CVE-1", Product: "p", From: "affected", To: "fixed"},
		{Vulnerability: "CVE-2", Product: "p", From: "fixed"},
		{Vulnerability: "CVE-2", Product: "q", To: "fixed"},
	}, c.Statements)
}

func TestWhatChangesOfAnSBOM(t *testing.T) {
	text := func(components string) string {
		return `{"bomFormat":"CycloneDX","specVersion":"1.5","version":1,"components":[` + components + `]}`
	}
	a, b, other := `{"type":"library","name":"a","version":"1","purl":"pkg:npm/a@1"}`, `{"type":"library","name":"b","version":"1"}`, `{"type":"library","name":"b","version":"2"}`
	c := one(t, "sbom", text(a+","+b+","+b), text(a+","+a+","+b+","+other))
	require.Equal(t, []string{"components"}, c.What)
	require.Equal(t, &comparison.Counts{Added: 2, Removed: 1}, c.Components)
	require.Equal(t, []string{"other"}, one(t, "sbom", text(a), strings.Replace(text(a), `"version":1,`, `"version":2,`, 1)).What)
}

// What comes and goes says how bad it is.
func TestWhatAppearsAndGoes(t *testing.T) {
	b := &book{}
	changes := all(t, compared(b.at(doc{"advisory", "", "OLD", osv("LOW", until1, "")}), b.at(doc{"advisory", "", "NEW", osv("HIGH", until1, "")})), comparison.Filter{}, roomy)
	require.Len(t, changes, 2)
	require.Equal(t, "high", changes[0].Severity[0].To.Word)
	require.Equal(t, "low", changes[1].Severity[0].From.Word)
}

// A document may have a million parts; what is told of one is bounded, and counted.
func TestTheBoundOfADocument(t *testing.T) {
	var entries []string
	for n := range 400 {
		entries = append(entries, fmt.Sprintf(`{"package":{"ecosystem":"npm","name":"p%03d"},"ranges":[{"type":"SEMVER","events":[%s]}]}`, n, until1))
	}
	c := one(t, "advisory", `{"id":"X","modified":"2026-01-01T00:00:00Z"}`, `{"id":"X","modified":"2026-01-01T00:00:00Z","affected":[`+strings.Join(entries, ",")+`]}`)
	told := 0
	for _, p := range c.Packages {
		told += 1 + len(p.RangesAdded) + len(p.FixedAdded)
	}
	require.Equal(t, 500, told)
	require.Equal(t, 234, c.More, "the packages that are not named, and the rest of the last one")
	require.Equal(t, []string{"range", "fixed"}, c.What)
}

// What is not understood has changed all the same, and says so.
func TestWhatIsNotUnderstood(t *testing.T) {
	b := &book{}
	from, to := b.at(doc{"advisory", "", "X", osv("LOW", until1, "")}), b.at(doc{"advisory", "", "X", osv("HIGH", until1, `,"withdrawn":"yes"`)})
	changes := all(t, compared(from, to), comparison.Filter{}, roomy)
	require.Len(t, changes, 1)
	require.Contains(t, changes[0].Note, "X is not understood: withdrawn")
	require.Equal(t, []string{"other"}, changes[0].What, "nothing is said of what is not known")
	require.Empty(t, changes[0].Packages)
}
