package policy

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/advisory"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/sbom"
	"github.com/stella-ops/exportcenter/vex"
)

// Keys sort as the lists of texts they are made of, whatever bytes these hold,
// and come apart again.
func TestKeys(t *testing.T) {
	texts := []string{"", "\x00", "\x00\x00", "\x00\x01", "\x00\xff", "\x01", "a", "a\x00", "a\x00b", "a\x01", "ab", "b", "\xff"}
	var lists [][]string
	for _, a := range texts {
		for _, b := range texts {
			lists = append(lists, []string{a, b})
		}
	}
	for _, x := range lists {
		left := appendKey(nil, x...)
		line, err := appendLine(left, "payload")
		require.NoError(t, err)
		key, payload, err := splitLine(line)
		require.NoError(t, err)
		require.Equal(t, left, key)
		require.Equal(t, `"payload"`, string(payload))
		head, tail, err := cutKey(key, 1)
		require.NoError(t, err)
		require.Equal(t, appendKey(nil, x[0]), head)
		require.Equal(t, appendKey(nil, x[1]), tail)
		for _, y := range lists {
			require.Equal(t, slices.Compare(x, y), bytes.Compare(left, appendKey(nil, y...)), "%q %q", x, y)
		}
	}
	for _, broken := range []string{"", "a", "a\x00", "\x00\x01"} {
		_, _, err := splitLine([]byte(broken))
		require.Error(t, err, "%q", broken)
	}
	_, _, err := cutKey(appendKey(nil, "a"), 2)
	require.Error(t, err)
}

// The two hashes of a snapshot are what docs/formats/json-policy.md says.
func TestHashes(t *testing.T) {
	w := smallWorld()
	w.perFile = 1
	out, result := w.run(t)
	h := sha256.New()
	for _, path := range out.paths("/decision-traces-") {
		h.Write(out.files[path])
	}
	require.NotEmpty(t, out.paths("/decision-traces-"))
	require.Equal(t, bundle.Digest(h.Sum(nil)), result.Policy.DecisionTrace)

	files := w.files(t)
	slices.Reverse(files)
	lines := []string{"data/policy/pack.tar.gz\n" + bundle.DigestOf(baselinePack(t)).Hex() + "\n"}
	for _, f := range files {
		lines = append(lines, f.Path+"\n"+f.ContentDigest.Hex()+"\n")
	}
	slices.Sort(lines)
	require.Equal(t, bundle.DigestOf([]byte(strings.Join(lines, ""))), result.Policy.InputsHash)
	require.Equal(t, result.Policy.InputsHash, InputsHash(files, result.Policy.PackDigest))
	require.NotEqual(t, result.Policy.InputsHash, InputsHash(files, bundle.Digest{}))
	require.NotEqual(t, result.Policy.InputsHash, InputsHash(files[1:], result.Policy.PackDigest))
}

// One advisory about one component in several ways is one finding.
func TestSeveralWaysAreOneFinding(t *testing.T) {
	r := func(pairs ...string) []advisory.Range {
		return []advisory.Range{{Type: "ECOSYSTEM", Events: events(pairs...)}}
	}
	w := &world{
		advisories: []advisory.Advisory{{ID: "A", Severities: []advisory.Severity{{Word: "low", Score: 2}}, Affected: []advisory.Affected{
			{Ecosystem: "npm", Name: "x", Ranges: r("i", "not a version")},
			{Ecosystem: "npm", Name: "x", Ranges: r("i", "0", "f", "3.0.0")},
			{Ecosystem: "npm", Name: "x", Ranges: r("i", "1.0.0", "f", "2.0.0"), Severities: []advisory.Severity{{Word: "critical", Score: 9}}},
			{Ecosystem: "npm", Name: "x", Ranges: r("i", "5.0.0")},
		}}},
		sboms: []sbom.Inventory{{ID: "s", Components: []sbom.Component{{Ref: "1", Purl: "pkg:npm/x@1.5.0"}, {Ref: "1", Purl: "pkg:npm/x@1.5.0"}, {Ref: "2", Purl: "pkg:npm/x@4.0.0"}}}},
	}
	out, _ := w.run(t)
	found := out.findings(t)
	require.Len(t, found, 2)
	require.Equal(t, byRange, found[0].Match)
	require.Equal(t, []string{"2.0.0", "3.0.0"}, found[0].Fixed)
	require.Equal(t, "critical", found[0].Severity)
	require.Empty(t, out.traces(t)[0].Input.Match.Why)
	require.Equal(t, undetermined, found[1].Match, "the range that cannot be read may hold 4.0.0")
	w.advisories[0].Affected[0], w.advisories[0].Affected[1] = w.advisories[0].Affected[1], w.advisories[0].Affected[0]
	again, _ := w.run(t)
	require.Equal(t, found[0].Fixed, again.findings(t)[0].Fixed)
}

// An advisory about several vulnerabilities is one of each; statements find them
// by their own ids.
func TestSeveralVulnerabilities(t *testing.T) {
	affected := func(id string) advisory.Affected {
		a := npm(id, "x", "2.0.0", "").Affected[0]
		a.Vulnerability = id
		return a
	}
	w := &world{
		advisories: []advisory.Advisory{{ID: "RHSA", Aliases: []string{"CVE-1", "CVE-2"}, Vulnerabilities: []advisory.Vulnerability{{ID: "CVE-1"}, {ID: "CVE-2"}}, Affected: []advisory.Affected{affected("CVE-1"), affected("CVE-2")}}},
		sboms:      []sbom.Inventory{{ID: "s", Components: []sbom.Component{{Ref: "1", Purl: "pkg:npm/x@1.0.0"}}}},
		vex:        [][]vex.Statement{{{Vulnerability: "CVE-2", Products: []string{"pkg:npm/x"}, Status: vex.Fixed}, {Vulnerability: "RHSA", Products: []string{"pkg:npm/x"}, Status: vex.Affected, At: "2026-01-01T00:00:00Z"}}},
	}
	out, _ := w.run(t)
	found := out.findings(t)
	require.Len(t, found, 2)
	require.Equal(t, []string{"CVE-1", "", "CVE-2", "fixed"}, []string{found[0].Advisory.ID, found[0].VEX, found[1].Advisory.ID, found[1].VEX})
}

// A statement about the one vulnerability upstream of an OSV advisory is about
// that advisory too; about one of several it is not.
func TestUpstream(t *testing.T) {
	for format, want := range map[string]string{"osv": "fixed", "csaf": ""} {
		for _, upstream := range [][]string{{"CVE-1"}, {"CVE-1", "CVE-2"}} {
			a := npm("UBUNTU-CVE-1", "x", "2.0.0", "low")
			a.Aliases, a.Upstream = nil, upstream
			w := &world{
				advisories: []advisory.Advisory{a},
				sboms:      []sbom.Inventory{{ID: "s", Components: []sbom.Component{{Ref: "1", Purl: "pkg:npm/x@1.0.0"}}}},
				vex:        [][]vex.Statement{{{Vulnerability: "CVE-1", Products: []string{"pkg:npm/x"}, Status: vex.Fixed}}},
			}
			out, _ := w.run(t, func(in *Input) { in.Files[0] = fileOf(renamed(t, in.Files[0], format)) })
			if len(upstream) > 1 {
				want = ""
			}
			require.Equal(t, want, out.findings(t)[0].VEX, "%s %v", format, upstream)
		}
	}
}

// renamed are a file's lines as of another format.
func renamed(t testing.TB, f File, format string) string {
	content, err := f.Open(t.Context())
	require.NoError(t, err)
	var all bytes.Buffer
	_, err = all.ReadFrom(content)
	require.NoError(t, err)
	require.Contains(t, all.String(), `"format":"test"`)
	return strings.ReplaceAll(all.String(), `"format":"test"`, `"format":"`+format+`"`)
}

// A CycloneDX document may be an SBOM and state something about it.
func TestAnSBOMThatStatesSomething(t *testing.T) {
	both := struct {
		ID, Version string
		Components  []sbom.Component
		Statements  []vex.Statement
	}{"urn:uuid:1", "1", []sbom.Component{{Ref: "c", Purl: "pkg:npm/lodash@1.0.0"}}, []vex.Statement{{Vulnerability: "A-1", Products: []string{"urn:cdx:1/1#c"}, Status: vex.Fixed}}}
	for format, want := range map[string]string{"cyclonedx": "fixed", "spdx": ""} {
		w := &world{advisories: []advisory.Advisory{npm("A-1", "lodash", "2.0.0", "low")}}
		out, result := w.run(t, func(in *Input) {
			text := string(line(t, ledger.KindSBOM, "1", both)) + "\n"
			in.Files = append(in.Files, fileOf(strings.ReplaceAll(text, `"format":"test"`, `"format":"`+format+`"`)))
		})
		require.Equal(t, want, out.findings(t)[0].VEX, format)
		require.Equal(t, want == "fixed", result.Snapshot.Evidence.VEXDocuments == 1)
	}
}

// What came of each source: documents, the newest of them, and findings.
func TestSources(t *testing.T) {
	w := smallWorld()
	_, result := w.run(t, func(in *Input) {
		in.Files[0] = fileOf(strings.Replace(renamed(t, in.Files[0], "test"), "2026-01-01T00:00:00.000000000Z", "2026-05-01T00:00:00.000000000Z", 1))
	})
	require.Len(t, result.Sources, 3)
	first := result.Sources[0]
	require.Equal(t, []any{"advisory", "test", "s", int64(4), int64(4), "2026-05-01T00:00:00.000000000Z"},
		[]any{first.Kind, first.Source, first.Stream, first.Documents, first.Records, first.Newest})
	require.Equal(t, "sbom", result.Sources[1].Kind)
	require.EqualValues(t, 2, result.Sources[2].Documents)
}
