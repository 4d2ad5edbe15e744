package trivydb

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/testkit"
)

// trivyReport is what is read of Trivy's report.
type trivyReport struct {
	Results []struct {
		Type            string
		Vulnerabilities []trivyFinding
	}
}

type trivyFinding struct {
	VulnerabilityID  string
	PkgName          string
	InstalledVersion string
	FixedVersion     string
	Severity         string
	Title            string
	DataSource       struct{ ID, Name string }
	PkgIdentifier    struct{ PURL, BOMRef string }
}

// scan has Trivy scan a bill of materials, offline but for the options.
func scan(t testing.TB, cache string, sbom []byte, options ...string) (findings []trivyFinding) {
	t.Helper()
	target := filepath.Join(t.TempDir(), "bom.json")
	require.NoError(t, os.WriteFile(target, sbom, 0o600))
	args := append([]string{"sbom", "--quiet", "--cache-dir", cache, "--offline-scan", "--skip-version-check",
		"--skip-java-db-update", "--scanners", "vuln", "--format", "json"}, options...)
	cmd := exec.CommandContext(t.Context(), testkit.Tool(t, "trivy"), append(args, target)...)
	cmd.Env = append(os.Environ(), "HOME="+cache)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var report trivyReport
	require.NoError(t, json.Unmarshal(out, &report))
	for _, r := range report.Results {
		findings = append(findings, r.Vulnerabilities...)
	}
	return findings
}

// TestTrivyFindsWhatTheMatcherExpects: real Trivy, with a database of the real
// advisories, finds in all packages of all real bills of materials - put into
// one bill, because each start of Trivy costs a second - what the second
// opinion in this package expects: nothing is missed, nothing invented. Where
// the two disagree, disagreements says why.
func TestTrivyFindsWhatTheMatcherExpects(t *testing.T) {
	testkit.Tool(t, "trivy")
	compareWithTrivy(t, testkit.RealAdvisories(t), components(boms(t)), disagreements)
}

// compareWithTrivy has Trivy and the matcher look at the same packages.
func compareWithTrivy(t *testing.T, documents [][]byte, list []component, disagreements map[string]string) {
	t.Helper()
	d := build(t, realShards(t, documents)...)
	found := map[string]bool{}
	for _, f := range scan(t, d.cache, bill(list), "--skip-db-update") {
		i, err := strconv.Atoi(strings.TrimPrefix(f.PkgIdentifier.BOMRef, "c"))
		require.NoError(t, err, f.PkgIdentifier)
		found[list[i].purl+" "+f.VulnerabilityID] = true
	}
	expected, m := map[string]bool{}, newMatcher(t, documents)
	byEcosystem := map[string]int{}
	for _, c := range list {
		for _, id := range m.ids(c.ecosystem, c.name, c.version) {
			expected[c.purl+" "+id] = true
			byEcosystem[c.ecosystem]++
		}
	}
	t.Logf("%d packages, %d findings expected %v, %d found", len(list), len(expected), byEcosystem, len(found))
	var other []string
	for finding := range expected {
		if !found[finding] {
			other = append(other, "missed "+finding)
		}
	}
	for finding := range found {
		if !expected[finding] {
			other = append(other, "invented "+finding)
		}
	}
	slices.Sort(other)
	explained := map[string]int{}
	for _, line := range other {
		line, _, _ = strings.Cut(line, " CVE-")
		if explained[line]++; disagreements[line] == "" {
			t.Errorf("%s: in %d findings", line, explained[line])
		}
	}
	for line, why := range disagreements {
		require.NotZero(t, explained[line], "no such disagreement any more: %s", line)
		t.Logf("%s, in %d findings: %s", line, explained[line], why)
	}
	require.Greater(t, len(expected), 500, fmt.Sprint(byEcosystem))
}

// disagreements are the packages on which Trivy and the matcher differ, and why.
var disagreements = map[string]string{
	"missed pkg:golang/k8s.io/kubernetes@(devel)": "a Go build without a version: Trivy compares no version that it cannot read; the matcher puts it behind all others",
}

// TestTrivyPullsFromARegistry: Trivy takes the database from a registry, as the
// layer of an artifact, and finds in a bill of materials as it was published
// what it finds with the database in its cache.
func TestTrivyPullsFromARegistry(t *testing.T) {
	testkit.Tool(t, "trivy")
	sbom := boms(t)["cyclonedx-bom-examples.tar.zst/SBOM/keycloak-10.0.2/bom.json"]
	require.NotEmpty(t, sbom)
	d := build(t, realShards(t, testkit.RealAdvisories(t))...)
	fromCache := scan(t, d.cache, sbom, "--skip-db-update")
	require.NotEmpty(t, fromCache)
	for _, f := range fromCache {
		require.NotEqual(t, "UNKNOWN", f.Severity, f)
		require.NotEmpty(t, f.Title, f)
		require.Equal(t, "osv/ghsa", f.DataSource.Name, f)
	}
	repository := pushed(t, layerOf(t, d))
	pulled := scan(t, t.TempDir(), sbom, "--db-repository", repository)
	require.Equal(t, fromCache, pulled)
}

// layerOf is the database in the form of a bundle's file.
func layerOf(t testing.TB, d *database) []byte {
	t.Helper()
	file, err := os.Open(d.path)
	require.NoError(t, err)
	defer file.Close() //nolint:errcheck // only read
	info, err := file.Stat()
	require.NoError(t, err)
	var layer bytes.Buffer
	_, err = bundle.WriteLayer(&layer, d.about, "trivy.db", file, info.Size())
	require.NoError(t, err)
	return layer.Bytes()
}

// pushed serves a layer as docs/formats says, and gives its reference.
func pushed(t testing.TB, layer []byte) (reference string) {
	t.Helper()
	return testkit.Registry(t, testkit.TrivyLayer{MediaType: "application/vnd.aquasec.trivy.db.layer.v1.tar+gzip",
		Title: "db.tar.gz", Repository: "export/trivy-db", Tag: "2", Bytes: layer})
}
