package trivydb

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aquasecurity/trivy-db/pkg/db"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters/adaptertest"
	"github.com/stella-ops/exportcenter/advisory"
	"github.com/stella-ops/exportcenter/internal/testkit"
)

// systemBill is a bill of materials of one operating system, as Trivy writes
// them: packages are "name version", each of a source package of that name.
func systemBill(family, release, purl string, packages ...string) []byte {
	type property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	type entry struct {
		Type       string     `json:"type"`
		Ref        string     `json:"bom-ref"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		PkgURL     string     `json:"purl,omitempty"`
		Properties []property `json:"properties"`
	}
	const own = "aquasecurity:trivy:"
	entries := []entry{{Type: "operating-system", Ref: "os", Name: family, Version: release,
		Properties: []property{{own + "Class", "os-pkgs"}, {own + "Type", family}}}}
	refs := []string{}
	for i, p := range packages {
		name, version, _ := strings.Cut(p, " ")
		ref := fmt.Sprintf("c%d", i)
		version, release, _ := strings.Cut(version, "-")
		entries = append(entries, entry{"library", ref, name, version + "-" + release, fmt.Sprintf("pkg:%s/%s@%s-%s?arch=x86_64&distro=%s", purl, name, version, release, family),
			[]property{{own + "SrcName", name}, {own + "SrcVersion", version}, {own + "SrcRelease", release}, {own + "PkgType", family}}})
		refs = append(refs, ref)
	}
	return encode(map[string]any{"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": entries,
		"dependencies": []map[string]any{{"ref": "os", "dependsOn": refs}}})
}

// TestTrivyScansOperatingSystems: of each family, an older version than the fix
// is found, the fixed one is not, and the finding names the fix.
func TestTrivyScansOperatingSystems(t *testing.T) {
	testkit.Tool(t, "trivy")
	fix := func(id, ecosystem, fixed string) advisory.Advisory {
		return advisory.Advisory{ID: id, Upstream: []string{"CVE-2026-1234"}, Severities: []advisory.Severity{{Word: "high"}},
			Affected: []advisory.Affected{affects(ecosystem, "zlib", "introduced 0", "fixed "+fixed)}}
	}
	modular := affects("Red Hat:enterprise_linux:9::appstream", "ruby", "introduced 0", "fixed 0:3.1.4-142.el9")
	modular.Arches, modular.Severities = []string{"src", "x86_64"}, []advisory.Severity{{Word: "critical"}}
	unfixed := affects("Red Hat:enterprise_linux:9", "pam", "introduced 0")
	unfixed.Status = "will_not_fix"
	d := buildOf(t,
		fix("DEBIAN-CVE-2026-1234", "Debian:12", "1:1.2.13.dfsg-1"), fix("ALPINE-CVE-2026-1234", "Alpine:v3.18", "1.2.13-r1"),
		fix("UBUNTU-CVE-2026-1234", "Ubuntu:22.04:LTS", "1:1.2.11.dfsg-2"), fix("ALSA-2026:1", "AlmaLinux:9", "0:1.2.11-40.el9"),
		fix("RLSA-2026:1", "Rocky Linux:9", "0:1.2.11-40.el9"), fix("CGA-1", "Wolfi", "1.3.1-r1"), fix("PHSA-1", "Photon OS:5.0", "1.2.13-4.ph5"),
		advisory.Advisory{ID: "RHSA-2026:0001", Affected: []advisory.Affected{modular}, Upstream: []string{"CVE-2026-1234"}},
		advisory.Advisory{ID: "CVE-2026-5678", Affected: []advisory.Affected{unfixed}, Severities: []advisory.Severity{{Word: "low"}}},
	)
	for _, c := range []struct {
		family, release, purl string
		packages              []string
		want                  string
	}{
		{"debian", "12.5", "deb/debian", []string{"zlib 1:1.2.12.dfsg-9", "zlib 1:1.2.13.dfsg-1"}, "c0 CVE-2026-1234 HIGH 1:1.2.13.dfsg-1"},
		{"alpine", "3.18.2", "apk/alpine", []string{"zlib 1.2.13-r0", "zlib 1.2.13-r1"}, "c0 CVE-2026-1234 HIGH 1.2.13-r1"},
		{"ubuntu", "22.04", "deb/ubuntu", []string{"zlib 1:1.2.11.dfsg-1", "zlib 1:1.2.11.dfsg-2"}, "c0 CVE-2026-1234 HIGH 1:1.2.11.dfsg-2"},
		{"alma", "9.3", "rpm/alma", []string{"zlib 1.2.11-39.el9", "zlib 1.2.11-40.el9"}, "c0 CVE-2026-1234 HIGH 1.2.11-40.el9"},
		{"rocky", "9.3", "rpm/rocky", []string{"zlib 1.2.11-39.el9", "zlib 1.2.11-40.el9"}, "c0 CVE-2026-1234 HIGH 1.2.11-40.el9"},
		{"wolfi", "20230201", "apk/wolfi", []string{"zlib 1.3.1-r0", "zlib 1.3.1-r1"}, "c0 CVE-2026-1234 HIGH 1.3.1-r1"},
		{"photon", "5.0", "rpm/photon", []string{"zlib 1.2.13-3.ph5", "zlib 1.2.13-4.ph5"}, "c0 CVE-2026-1234 HIGH 1.2.13-4.ph5"},
		{"redhat", "9.3", "rpm/redhat", []string{"ruby 3.1.2-1.el9", "ruby 3.1.4-142.el9", "pam 1.5.1-1.el9"},
			"c0 CVE-2026-1234 CRITICAL 3.1.4-142.el9; c2 CVE-2026-5678 LOW "},
	} {
		t.Run(c.family, func(t *testing.T) {
			var got []string
			for _, f := range scan(t, d.cache, systemBill(c.family, c.release, c.purl, c.packages...), "--skip-db-update") {
				got = append(got, fmt.Sprintf("%s %s %s %s", f.PkgIdentifier.BOMRef, f.VulnerabilityID, f.Severity, f.FixedVersion))
			}
			slices.Sort(got)
			require.Equal(t, c.want, strings.Join(got, "; "))
		})
	}
}

// TestSystemRecords: what a record of an operating system cannot say is said in
// the summary.
func TestSystemRecords(t *testing.T) {
	of := func(id, ecosystem string, events ...string) advisory.Advisory {
		return advisory.Advisory{ID: id, Affected: []advisory.Affected{affects(ecosystem, "zlib", events...)}}
	}
	d := buildOf(t,
		of("A-1", "Alpine:v3.18", "introduced 1.0-r0", "fixed 1.1-r0"), of("D-1", "Debian:12", "introduced 1", "fixed 2"),
		of("D-2", "Debian:12", "introduced 0", "last 2"), of("R-1", "Rocky Linux:9", "introduced 0"), of("D-3", "Debian:sid", "introduced 0"),
		of("D-4", "Debian:12", "introduced 0", "fixed 1", "introduced 2", "fixed 3"))
	r := reader(t, d)
	alpine := advisoriesOf(t, r, "alpine 3.18", "zlib")
	require.Equal(t, []string{"1.0-r0", "1.1-r0"}, []string{alpine[0].AffectedVersion, alpine[0].FixedVersion})
	debian := advisoriesOf(t, r, "debian 12", "zlib")
	require.Equal(t, []string{"2", "", "3"}, []string{debian[0].FixedVersion, debian[1].FixedVersion, debian[2].FixedVersion})
	require.Equal(t, []Left{
		{"here", "test", "D-1", `Debian:12 zlib: versions before "1" are told as affected too`},
		{"here", "test", "D-2", `Debian:12 zlib: versions after "2" are told as affected too`},
		{"here", "test", "D-3", `Debian zlib: Trivy knows no release "sid" of it`},
		{"here", "test", "D-4", `Debian:12 zlib: versions between the ranges are told as affected too`},
		{"here", "test", "R-1", `Rocky Linux:9 zlib: no fixed version, and Trivy reports none without`},
	}, d.summary.Left)
}

// TestLaterErratumCounts: an update of an erratum counts, also where the feed
// touches the first one again, and who else said otherwise is named.
func TestLaterErratumCounts(t *testing.T) {
	first := advisory.Advisory{ID: "DSA-1-1", Aliases: []string{"CVE-2026-1111"}, Published: "2026-01-01T00:00:00Z", Modified: "2026-03-01T00:00:00Z",
		Affected: []advisory.Affected{affects("Debian:11", "zlib", "introduced 0", "fixed 2-1")}}
	update := advisory.Advisory{ID: "DSA-1-2", Aliases: []string{"CVE-2026-1111"}, Published: "2026-01-02T00:00:00Z", Modified: "2026-01-02T00:00:00Z",
		Affected: []advisory.Affected{affects("Debian:11", "zlib", "introduced 0", "fixed 2-2")}}
	for _, published := range []string{first.Published, update.Published} { // then the number tells
		first.Published = published
		d := buildOf(t, update, first)
		require.Equal(t, "2-2", advisoriesOf(t, reader(t, d), "debian 11", "zlib")[0].FixedVersion)
		require.Equal(t, []Left{{"here", "test", "DSA-1-1", "debian 11 zlib CVE-2026-1111: DSA-1-2 counts, which was published later and says fixed in 2-2 instead of fixed in 2-1"}}, d.summary.Left)
		require.NoError(t, db.Close())
	}
	first.Affected = update.Affected
	require.Empty(t, buildOf(t, update, first).summary.Left, "they say the same")
}

// TestRangesInAnyOrder: a record of an operating system has one begin and one
// end; where they stand among the document's does not matter.
func TestRangesInAnyOrder(t *testing.T) {
	const between, guess = "versions between the ranges are told as affected too", "which of its ranges ends last is not told by numbers"
	for _, c := range []struct {
		ecosystem string
		events    [2][]string // of two entries of one package
		from, to  string
		left      string
	}{
		{"Debian:12", [2][]string{{"introduced 2", "fixed 3", "introduced 0", "fixed 1"}}, "", "3", between},
		{"Debian:12", [2][]string{{"introduced 2", "fixed 3"}, {"introduced 0", "fixed 1"}}, "", "3", between},
		{"Alpine:v3.18", [2][]string{{"introduced 2", "fixed 3", "introduced 1", "fixed 1.1"}}, "1", "3", between},
		{"Alpine:v3.18", [2][]string{{"introduced 2"}, {"introduced 0", "fixed 1"}}, "", "", between},
		{"Debian:12", [2][]string{{"introduced 0", "fixed 1"}, {"introduced 0", "fixed 1.0"}}, "", "1.0", between},
		{"Debian:12", [2][]string{{"introduced 0", "fixed 3"}, {"introduced 0", "last 3"}}, "", "", "versions after"},
		{"Debian:12", [2][]string{{"introduced 0", "limit 3"}, {"introduced 0", "fixed 3"}}, "", "3", between},
		{"Debian:12", [2][]string{{"introduced 0", "fixed 2-1"}, {"introduced 0", "fixed 1-1"}}, "", "", guess},
		{"Rocky Linux:9", [2][]string{{"introduced 0", "fixed 2-1"}, {"introduced 0", "fixed 1-1"}}, "", "none", guess},
		{"Rocky Linux:9", [2][]string{{"introduced 0", "fixed 2-1"}, {"introduced 0", "fixed 2-1"}}, "", "2-1", ""},
		{"AlmaLinux:9.2", [2][]string{{"introduced 0", "fixed 3"}, {"introduced 0", "fixed 1:18.18.2-1.module_el9.2.0+1"}}, "", "3", "is the fix of a module's stream"},
		{"AlmaLinux:9", [2][]string{{"introduced 0", "fixed 1:18.18.2-1.module_el9.2.0+1"}}, "", "none", "is the fix of a module's stream"},
	} {
		a := advisory.Advisory{ID: "X-1"}
		for _, events := range c.events {
			if events != nil {
				a.Affected = append(a.Affected, affects(c.ecosystem, "zlib", events...))
			}
		}
		d := buildOf(t, a)
		family, release, _ := strings.Cut(strings.ToLower(strings.NewReplacer(" Linux", "", "Linux", "", "v", "", ".2", "").Replace(c.ecosystem)), ":")
		found := advisoriesOf(t, reader(t, d), family+" "+release, "zlib")
		if c.to == "none" {
			require.Empty(t, found, c)
		} else {
			require.Equal(t, []string{c.from, c.to}, []string{found[0].AffectedVersion, found[0].FixedVersion}, c)
		}
		if c.left == "" {
			require.Empty(t, d.summary.Left, c)
		} else {
			require.Contains(t, fmt.Sprint(d.summary.Left), c.left, c)
		}
		require.NoError(t, db.Close())
	}
}

// TestReleasesOfOneBucket: two releases that Trivy does not tell apart make one record.
func TestReleasesOfOneBucket(t *testing.T) {
	d := buildOf(t, advisory.Advisory{ID: "X-1", Affected: []advisory.Affected{
		affects("AlmaLinux:9.1", "zlib", "introduced 0", "fixed 3"), affects("AlmaLinux:9.2", "zlib", "introduced 0", "fixed 2")}})
	require.Equal(t, "3", advisoriesOf(t, reader(t, d), "alma 9", "zlib")[0].FixedVersion)
}

// TestRedHatPlatforms: a repository serves the platforms that its name says.
func TestRedHatPlatforms(t *testing.T) {
	for cpe, want := range map[string]string{
		"enterprise_linux:9::appstream":   "rhel-9-for-x86_64-appstream-rpms",
		"enterprise_linux:8::baseos":      "rhel-8-for-aarch64-baseos-rpms",
		"enterprise_linux:9":              "rhel-9-for-x86_64-baseos-rpms",
		"enterprise_linux:9::crb":         "codeready-builder-for-rhel-9-x86_64-rpms",
		"rhel_eus:9.2::appstream":         "rhel-9-for-x86_64-appstream-eus-rpms__9_DOT_2",
		"enterprise_linux:7::server":      "rhel-7-server-rpms",
		"enterprise_linux:6":              "rhel-6-server-rpms",
		"enterprise_linux:7::workstation": "rhel-7-workstation-rpms",
	} {
		require.Contains(t, repositories(cpe), want, cpe)
	}
	for _, cpe := range []string{"", "openshift:4.12::el8", "rhel_els:6", "enterprise_linux"} {
		require.Empty(t, repositories(cpe), cpe)
	}
}

// TestRealRedHatAdvisories: Trivy's own reader finds what CSAF documents of Red
// Hat say, modules and all.
func TestRealRedHatAdvisories(t *testing.T) {
	archive := filepath.Join(testkit.Root(t), "..", "shared", "data", "vex", "csaf-redhat.tar.zst")
	if _, err := os.Stat(archive); err != nil {
		t.Skip("missing: real CSAF documents, ../shared/data/vex/csaf-redhat.tar.zst")
	}
	var entries []adaptertest.Entry
	for _, text := range unpackedTar(t, archive) {
		entries = append(entries, adaptertest.Entry{Source: "redhat", Stream: "csaf", Text: text})
	}
	var lines text
	for _, doc := range adaptertest.Lines(t, entries...) {
		_, err := packer{}.Write(&lines, doc)
		require.NoError(t, err)
	}
	d := build(t, shard(lines.Bytes()))
	require.Equal(t, map[string]int64{reasonNothing: 2}, d.summary.Reasons, "two documents are about source packages alone")
	r := reader(t, d)
	content := func(name, key string) string {
		found, err := r.ForEachAdvisory([]string{"Red Hat"}, name)
		require.NoError(t, err)
		require.Contains(t, found, key)
		require.Equal(t, "redhat", string(found[key].Source.ID))
		return string(found[key].Content)
	}
	require.Contains(t, content("tigervnc", "RHSA-2024:0010"), `{"FixedVersion":"0:1.13.1-3.el9_3.3","Cves":[{"ID":"CVE-2023-5367","Severity":3}],"Arches":["aarch64","ppc64le","s390x","x86_64"],"Affected":[`)
	require.Contains(t, content("ruby:3.1::ruby", "RHSA-2024:1431"), `"FixedVersion":"0:3.1.4-142.module+el8.9.0`)
	require.Contains(t, content("pam", "RHSA-2024:9941"), `"Cves":[{"ID":"CVE-2024-10041","Severity":2}]`, "a VEX document tells of the erratum too")
	platforms, err := db.Config{}.RedHatRepoToCPEs("rhel-9-for-x86_64-appstream-rpms")
	require.NoError(t, err)
	require.NotEmpty(t, platforms)
}
