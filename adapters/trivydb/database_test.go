package trivydb

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aquasecurity/trivy-db/pkg/db"
	"github.com/aquasecurity/trivy-db/pkg/types"
	"github.com/stretchr/testify/require"
	bolt "go.etcd.io/bbolt"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/advisory"
)

// reader reads a database as Trivy does, by its own reader. There is one at a
// time: that reader is a global of its package.
func reader(t testing.TB, d *database) db.Config {
	t.Helper()
	require.NoError(t, db.Init(filepath.Dir(d.path)))
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Config{}.Connection().View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			require.NoError(t, err)
		}
		return nil
	}))
	return db.Config{}
}

// advisoriesOf gives what Trivy's reader finds of a package, sorted by id.
func advisoriesOf(t testing.TB, r db.Config, prefix, name string) []types.Advisory {
	t.Helper()
	list, err := r.GetAdvisories(prefix, name)
	require.NoError(t, err)
	slices.SortFunc(list, func(a, b types.Advisory) int { return compareText(a.VulnerabilityID, b.VulnerabilityID) })
	return list
}

func compareText(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

var lodash = advisory.Advisory{
	ID: "GHSA-35jh-r3h4-6jhm", Aliases: []string{"CVE-2021-23337"},
	Published: "2021-05-06T16:05:51Z", Modified: "2023-02-28T00:00:00Z",
	Title: "Command Injection in lodash", Description: "Versions before 4.17.21 are vulnerable.\n\n<b>&</b>",
	References: []string{"https://b.example/", "https://a.example/"}, CWEs: []string{"CWE-77", "CWE-94"},
	Severities: []advisory.Severity{
		{Version: "3.1", Vector: "CVSS:3.1/AV:N/AC:L/PR:H/UI:N/S:U/C:H/I:H/A:H", Score: 7.2, Word: "high"},
		{Word: "critical"},
	},
	Affected: []advisory.Affected{affects("npm", "Lodash", "introduced 0", "fixed 4.17.21")},
}

// TestTrivysReaderFindsWhatWasWritten reads a database through Trivy's own reader.
func TestTrivysReaderFindsWhatWasWritten(t *testing.T) {
	d := buildOf(t, lodash)
	r := reader(t, d)
	require.Equal(t, []types.Advisory{{
		VulnerabilityID: "CVE-2021-23337", VendorIDs: []string{"GHSA-35jh-r3h4-6jhm"}, VulnerableVersions: []string{"<4.17.21"},
		DataSource: &types.DataSource{ID: "ghsa", Name: "here/test", URL: "https://github.com/advisories"},
	}}, advisoriesOf(t, r, "npm::", "lodash"))
	about, err := r.GetVulnerability("CVE-2021-23337")
	require.NoError(t, err)
	published, modified := time.Date(2021, 5, 6, 16, 5, 51, 0, time.UTC), time.Date(2023, 2, 28, 0, 0, 0, 0, time.UTC)
	require.Equal(t, types.Vulnerability{
		Title: lodash.Title, Description: lodash.Description, Severity: "CRITICAL", CweIDs: lodash.CWEs,
		VendorSeverity: types.VendorSeverity{"ghsa": types.SeverityCritical},
		CVSS:           types.VendorCVSS{"ghsa": {V3Vector: lodash.Severities[0].Vector, V3Score: 7.2}},
		References:     lodash.References, PublishedDate: &published, LastModifiedDate: &modified,
	}, about)
	require.JSONEq(t, `{"Version":2,"NextUpdate":"2026-03-05T05:06:07Z","UpdatedAt":"2026-03-04T05:06:07Z","DownloadedAt":"0001-01-01T00:00:00Z"}`, string(d.about))
	require.EqualValues(t, 1, d.records)
	require.Equal(t, []adapters.SourceCount{{Source: "here", Stream: "test", Kind: "advisory", Documents: 1, Records: 1, Newest: "2023-02-28T00:00:00.000000000Z"}}, d.built.Sources)
}

// TestOneIDInTwoSources: Trivy keeps what the last bucket says of an id, so the
// last one says what both do. The first keeps its own word.
func TestOneIDInTwoSources(t *testing.T) {
	a, b := lodash, lodash
	b.ID, b.Affected = "SNYK-1", []advisory.Affected{affects("npm", "lodash", "introduced 5.0.0", "fixed 5.1.0")}
	for _, order := range [][2]string{{"a", "b"}, {"b", "a"}} {
		lines := append(packAdvisory(t, order[0], "s", a), packAdvisory(t, order[1], "s", b)...)
		d := build(t, shard(lines))
		require.NoError(t, db.Init(filepath.Dir(d.path)))
		found := advisoriesOf(t, db.Config{}, "npm::", "lodash")
		require.Len(t, found, 1)
		require.ElementsMatch(t, []string{"<4.17.21", ">=5.0.0, <5.1.0"}, found[0].VulnerableVersions)
		require.Equal(t, []string{"GHSA-35jh-r3h4-6jhm", "SNYK-1"}, found[0].VendorIDs)
		require.Equal(t, "b/s", found[0].DataSource.Name)
		first := advisoriesOf(t, db.Config{}, "npm::a/s", "lodash")
		require.Len(t, first, 1)
		require.Len(t, first[0].VulnerableVersions, 1, "the first bucket has its own source's word")
		require.NoError(t, db.Close())
		require.EqualValues(t, 1, d.summary.Joined)
		require.EqualValues(t, 2, d.summary.Records)
		require.Equal(t, []Ecosystem{{Name: "npm", Packages: 1, Records: 2}}, d.summary.Ecosystems)
	}
}

// TestTwoDocumentsOfOneSource speak of one id: one record, one detail. The
// document of higher precedence gives the texts, whatever comes first.
func TestTwoDocumentsOfOneSource(t *testing.T) {
	golang := advisory.Advisory{
		ID: "GO-2026-1", Aliases: []string{"CVE-2026-1000"}, Title: "of Go", Description: "from Go", Modified: "2026-02-02T00:00:00Z", Published: "2026-01-02T00:00:00Z",
		References: []string{"https://go.example"}, CWEs: []string{"CWE-2"},
		Affected: []advisory.Affected{affects("Go", "example.com/A", "introduced 0", "fixed 1.2.3")},
	}
	github := advisory.Advisory{
		ID: "GHSA-1", Aliases: []string{"CVE-2026-1000"}, Title: "of GitHub", Modified: "2026-01-03T00:00:00Z", Published: "2026-01-01T00:00:00Z",
		References: []string{"https://github.example", "https://go.example"}, CWEs: []string{"CWE-1", "CWE-2"}, Severities: []advisory.Severity{{Word: "low"}},
		Affected: []advisory.Affected{affects("Go", "example.com/A", "introduced 0", "fixed 1.2.4")},
	}
	other := golang
	other.ID, other.Aliases = "GO-2026-2", []string{"CVE-2026-2000"}
	d := buildOf(t, golang, github, other)
	require.Equal(t, []Ecosystem{{Name: "go", Packages: 1, Records: 2}}, d.summary.Ecosystems)
	r := reader(t, d)
	found := advisoriesOf(t, r, "go::", "example.com/A")
	require.Len(t, found, 2)
	require.Equal(t, []string{"GHSA-1", "GO-2026-1"}, found[0].VendorIDs)
	require.Equal(t, []string{"<1.2.4", "<1.2.3"}, found[0].VulnerableVersions)
	require.Equal(t, types.SourceID("osv"), found[0].DataSource.ID, "of a stream with two publishers")
	about, err := r.GetVulnerability("CVE-2026-1000")
	require.NoError(t, err)
	require.Equal(t, "of GitHub", about.Title)
	require.Equal(t, "from Go", about.Description)
	require.Equal(t, []string{"CWE-1", "CWE-2"}, about.CweIDs)
	require.Equal(t, []string{"https://github.example", "https://go.example"}, about.References)
	require.Equal(t, "LOW", about.Severity)
	require.Equal(t, "2026-01-01", about.PublishedDate.Format(time.DateOnly))
	require.Equal(t, "2026-02-02", about.LastModifiedDate.Format(time.DateOnly))
	require.Equal(t, map[string]int64{"LOW": 1, "UNKNOWN": 1}, d.summary.Severities)
}

func TestWhatGivesNoRecordIsCounted(t *testing.T) {
	withdrawn := lodash
	withdrawn.ID, withdrawn.Withdrawn = "GHSA-gone", "2024-01-01T00:00:00Z"
	nowhere := advisory.Advisory{ID: "HSEC-1", Affected: []advisory.Affected{affects("Hackage", "aeson", "introduced 0")}}
	unreadable := advisory.Advisory{ID: "X-1", Affected: []advisory.Affected{affects("npm", "x", "introduced 0", "fixed one.two")}}
	half := advisory.Advisory{ID: "X-2", Affected: []advisory.Affected{affects("npm", "x", "introduced 0", "fixed one.two", "introduced 2.0.0", "fixed 2.1.0")}}
	d := buildOf(t, withdrawn, nowhere, unreadable, half)
	require.Equal(t, map[string]int64{reasonWithdrawn: 1, reasonNothing: 1, reasonVersions: 1}, d.summary.Reasons)
	require.Equal(t, []Without{
		{"here", "test", "GHSA-gone", reasonWithdrawn}, {"here", "test", "HSEC-1", reasonNothing}, {"here", "test", "X-1", reasonVersions},
	}, d.summary.Without)
	require.Equal(t, []Left{
		{"here", "test", "HSEC-1", "Hackage aeson: Trivy scans no such ecosystem in this form"},
		{"here", "test", "X-1", `npm x: "one.two" is no npm version to end a range with`},
		{"here", "test", "X-2", `npm x: "one.two" is no npm version to end a range with`},
	}, d.summary.Left)
	require.Equal(t, []string{">=2.0.0, <2.1.0"}, advisoriesOf(t, reader(t, d), "npm::", "x")[0].VulnerableVersions)
	require.Equal(t, int64(3), d.summary.Sources[0].Without)
}

// TestNamesAsTrivyLooksThemUp: Trivy spells a name its way before it looks.
func TestNamesAsTrivyLooksThemUp(t *testing.T) {
	for _, c := range []struct{ ecosystem, name, prefix, lookUp string }{
		{"PyPI", "Zope.Interface_X", "pip::", "zope.interface-x"},
		{"PyPI", "Zope.Interface_X", "pip::", "zope-interface-x"},
		{"Go", "github.com/Masterminds/Semver", "go::", "github.com/Masterminds/Semver"},
		{"NuGet", "System.Text.Json", "nuget::", "system.text.json"},
		{"SwiftURL", "https://github.com/Apple/swift-nio.git", "swift::", "github.com/Apple/swift-nio"},
		{"Maven:https://repo.example", "Org.X:Y", "maven::", "org.x:y"},
		{"crates.io", "Serde", "cargo::", "serde"},
		{"Packagist", "A/B", "composer::", "a/b"},
		{"Hex", "Plug", "erlang::", "plug"},
		{"Pub", "Dio", "pub::", "dio"},
		{"ConanCenter", "Zlib", "conan::", "zlib"},
		{"RubyGems", "Rails", "rubygems::", "rails"},
	} {
		d := buildOf(t, advisory.Advisory{ID: "X-1", Affected: []advisory.Affected{affects(c.ecosystem, c.name, "introduced 0", "fixed 1.0.0")}})
		require.NoError(t, db.Init(filepath.Dir(d.path)))
		require.Len(t, advisoriesOf(t, db.Config{}, c.prefix, c.lookUp), 1, "%s %s", c.ecosystem, c.name)
		require.NoError(t, db.Close())
	}
}

func TestIdentify(t *testing.T) {
	for _, c := range []struct{ all, ids, others []string }{
		{[]string{"GHSA-1", "CVE-2024-1234"}, []string{"CVE-2024-1234"}, []string{"GHSA-1"}},
		{[]string{"PYSEC-1", "GHSA-1"}, []string{"GHSA-1"}, []string{"PYSEC-1"}},
		{[]string{"PYSEC-1"}, []string{"PYSEC-1"}, []string{}},
		{[]string{"RUSTSEC-1", "CVE-2024-2222", "CVE-2024-1111"}, []string{"CVE-2024-1111", "CVE-2024-2222"}, []string{"RUSTSEC-1"}},
		{[]string{"DEBIAN-CVE-2024-1234"}, []string{"CVE-2024-1234"}, []string{"DEBIAN-CVE-2024-1234"}},
		{[]string{"CVE-2024-1234"}, []string{"CVE-2024-1234"}, []string{}},
	} {
		ids, others := identify(c.all[0], c.all[1:])
		require.Equal(t, c.ids, ids)
		require.ElementsMatch(t, c.others, others)
	}
}

func TestSourceNamesDoNotCollide(t *testing.T) {
	seen := map[string][2]string{}
	parts := []string{"a", "a/b", "b", "a%2Fb", "a%", "%2F", "/"}
	for _, source := range parts {
		for _, stream := range parts {
			name := sourceName(source, stream)
			require.NotContains(t, seen, name, "%s %s", source, stream)
			seen[name] = [2]string{source, stream}
		}
	}
}

// TestPackedLinesAreChecked: lines of another version, or none, do not become a database.
func TestPackedLinesAreChecked(t *testing.T) {
	good := packAdvisory(t, "s", "t", lodash)
	for name, lines := range map[string]string{
		"cut short":    string(good[:len(good)-5]),
		"of no kind":   string(good) + "Z\n",
		"few fields":   string(good) + "Lnpm\x00lodash\n",
		"empty":        string(good) + "\n",
		"not a note":   string(good) + "N{\n",
		"not a record": string(good) + "Lnpm\x00lodash\x00CVE-2021-23337\x00npm::s/t\x00z\x00{\n",
	} {
		_, err := Adapter{}.Build(t.Context(), adapters.Input{Shards: []adapters.Shard{shard([]byte(lines))}, Stamp: stamp, Scratch: t.TempDir()},
			output{d: &database{path: filepath.Join(t.TempDir(), "trivy.db")}})
		require.Error(t, err, name)
	}
	var about metadata
	require.NoError(t, json.Unmarshal(buildOf(t, lodash).about, &about))
	require.Equal(t, 2, about.Version)
}

// TestListedVersions: a version that no range surely holds is written by name.
func TestListedVersions(t *testing.T) {
	a := lodash
	a.Affected = []advisory.Affected{affects("npm", "lodash", "introduced 1.0.0", "fixed 2.0.0")}
	a.Affected[0].Versions = []string{"1.5.0", "2.0.0-rc.1", "0.9.0", "2.0.0", "not one"}
	d := buildOf(t, a)
	require.Equal(t, []string{">=1.0.0, <2.0.0", "=2.0.0-rc.1", "=0.9.0", "=2.0.0"}, advisoriesOf(t, reader(t, d), "npm::", "lodash")[0].VulnerableVersions)
	require.Equal(t, []Left{{"here", "test", a.ID, `npm lodash: "not one" is no npm version that Trivy reads`}}, d.summary.Left)
}

// TestWhatCannotBeAKey is left out and named: it would not sort, or not fit.
func TestWhatCannotBeAKey(t *testing.T) {
	odd := advisory.Advisory{ID: "X-1", Affected: []advisory.Affected{
		affects("npm", "a\x00b", "introduced 0"), affects("Debian:12", "a\nb", "introduced 0"), affects("PyPI", strings.Repeat("x", maxKey+1), "introduced 0"),
	}}
	d := buildOf(t, odd, lodash)
	require.Equal(t, map[string]int64{reasonNothing: 1}, d.summary.Reasons)
	require.EqualValues(t, 3, d.summary.LeftCount)
	require.Equal(t, `Debian "a\nb": the name cannot be a key`, d.summary.Left[0].What)
}

// TestManyDocumentsOfOneID: who imports many documents of one id and package
// gets one record of bounded work.
func TestManyDocumentsOfOneID(t *testing.T) {
	var lines []byte
	for i := range 20_000 {
		a := lodash
		a.ID = fmt.Sprintf("X-%d", i)
		a.References = []string{fmt.Sprintf("https://example.com/%d", i)}
		a.CWEs = []string{fmt.Sprintf("CWE-%d", i)}
		a.Affected = []advisory.Affected{affects("npm", "lodash", "introduced 0", fmt.Sprintf("fixed %d.0.0", i%7))}
		lines = append(lines, packAdvisory(t, "here", "test", a)...)
	}
	d := build(t, shard(lines))
	r := reader(t, d)
	found := advisoriesOf(t, r, "npm::", "lodash")
	require.Len(t, found, 1)
	require.Len(t, found[0].VulnerableVersions, 7)
	require.Len(t, found[0].VendorIDs, 20_000)
	about, err := r.GetVulnerability("CVE-2021-23337")
	require.NoError(t, err)
	require.Len(t, about.References, maxReferences)
	require.Len(t, about.CweIDs, maxCWEs)
}
