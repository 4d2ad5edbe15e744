package policy

import (
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/advisory"
	"github.com/stella-ops/exportcenter/sbom"
	"github.com/stella-ops/exportcenter/vex"
)

func npm(id, name, fixed, word string) advisory.Advisory {
	return advisory.Advisory{
		ID: id, Aliases: []string{"CVE-" + id}, Severities: []advisory.Severity{{Word: word}},
		Affected: []advisory.Affected{{Ecosystem: "npm", Name: name, Ranges: []advisory.Range{{Type: "SEMVER", Events: []advisory.Event{{Introduced: "0"}, {Fixed: fixed}}}}}},
	}
}

func smallWorld() *world {
	return &world{
		advisories: []advisory.Advisory{npm("A-1", "lodash", "4.17.21", "high"), npm("A-2", "@x/y", "2.0.0", "medium"), npm("A-3", "lodash", "1.0.0", "critical"),
			{ID: "A-4", Withdrawn: "2026-01-01T00:00:00Z", Affected: npm("", "lodash", "9.0.0", "").Affected}},
		sboms: []sbom.Inventory{{ID: "urn:uuid:1", Subject: "pkg:oci/app@1", Components: []sbom.Component{
			{Ref: "r1", Purl: "pkg:npm/lodash@4.17.20", Name: "lodash", Version: "4.17.20"},
			{Ref: "r2", Purl: "pkg:npm/%40x/y@1.9.9", Version: "1.9.9"},
			{Ref: "r3", Purl: "pkg:npm/lodash@latest", Version: "latest"},
			{Ref: "r4", Name: "no purl"},
		}}},
		vex: [][]vex.Statement{
			{{Vulnerability: "CVE-A-2", Products: []string{"pkg:npm/%40x/y"}, Status: vex.NotAffected, Justification: "component_not_present", At: "2026-02-01T00:00:00Z"}},
			{{Vulnerability: "cve-a-2", Products: []string{"pkg:oci/app@1"}, Subcomponents: []string{"pkg:npm/%40x/y@1.9.9"}, Status: vex.Affected, At: "2026-01-01T00:00:00Z"}},
		},
	}
}

func TestASmallWorld(t *testing.T) {
	out, result := smallWorld().run(t)
	var got []string
	for _, f := range out.findings(t) {
		got = append(got, f.Component.Purl+" "+f.Advisory.ID+" "+string(f.Action)+" "+string(f.Match)+" "+f.VEX)
	}
	require.Equal(t, []string{
		"pkg:npm/%40x/y@1.9.9 A-2 suppress range not_affected",
		"pkg:npm/lodash@4.17.20 A-1 block range ",
		"pkg:npm/lodash@latest A-1 warn undetermined ",
		"pkg:npm/lodash@latest A-3 warn undetermined ",
	}, got)
	require.EqualValues(t, 1, result.Snapshot.Evidence.Withdrawn)
	require.EqualValues(t, 1, result.Snapshot.Evidence.ComponentsWithoutPurl)
	require.EqualValues(t, 2, result.Snapshot.Counts.Undetermined)
	require.Equal(t, map[string]int64{"block": 1, "suppress": 1, "warn": 2}, result.Snapshot.Counts.ByAction)
	trace := out.traces(t)[0]
	require.EqualValues(t, 2, trace.StatementCount)
	require.Equal(t, "affected", trace.Input.Statements[1].Status)
	require.Equal(t, "2.0.0", trace.Input.Match.Fixed[0])
	require.Contains(t, out.findings(t)[2].Reason, `"latest"`)
}

// The same evidence gives the same bytes: with spilled sorts, other files of the
// same lines, and other numbers of processors.
func TestTheSameBytesAHundredTimes(t *testing.T) {
	w := smallWorld()
	for n := range 10 {
		w.advisories = append(w.advisories, npm("B-"+string(rune('0'+n%10))+string(rune('a'+n/10)), "lodash", "5.0.0", "low"))
	}
	first, want := w.run(t)
	lines := first.text()
	pack, err := ReadPack(baselinePack(t))
	require.NoError(t, err)
	asked, err := newEngine(t.Context(), pack)
	require.NoError(t, err)
	for n := range 100 {
		w.perFile = n%7 + 1
		memory := []int{1 << 10, 4 << 10, 1 << 20}[n%3]
		old := runtime.GOMAXPROCS(n%4 + 1)
		in := Input{Files: w.files(t), Pack: baselinePack(t), SnapshotID: BaselineID, Name: BaselineName, Scratch: t.TempDir(), Memory: memory}
		out := newShelf()
		got, err := newEvaluation(in, worldReaders(), pack, asked).run(t.Context(), out)
		require.NoError(t, err)
		runtime.GOMAXPROCS(old)
		require.Equal(t, want.Policy.DecisionTrace, got.Policy.DecisionTrace)
		delete(out.files, "data/policy/snapshot.json") // it names other files of evidence
		again := newShelf()
		for path, content := range first.files {
			if path != "data/policy/snapshot.json" {
				again.files[path] = content
			}
		}
		require.Equal(t, again.text(), out.text(), "run %d", n)
	}
	w.perFile = 0
	out, _ := w.run(t, func(in *Input) { in.Memory = 1 << 10 })
	require.Equal(t, lines, out.text())
}
