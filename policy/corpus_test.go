package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"

	"deps.dev/util/semver"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/advisory"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/csaf"
	"github.com/stella-ops/exportcenter/ledger/cyclonedx"
	"github.com/stella-ops/exportcenter/ledger/detect"
	"github.com/stella-ops/exportcenter/ledger/openvex"
	"github.com/stella-ops/exportcenter/ledger/osv"
	"github.com/stella-ops/exportcenter/ledger/spdx"
)

// corpusFiles are the real documents as an export has them, each once.
func corpusFiles(t testing.TB) []File {
	t.Helper()
	parse := detect.Reader(
		detect.Format{Name: osv.Format, Recognise: osv.Recognise, Parse: osv.Parse},
		detect.Format{Name: openvex.Format, Recognise: openvex.Recognise, Parse: openvex.Parse},
		detect.Format{Name: csaf.Format, Recognise: csaf.Recognise, Parse: csaf.Parse},
		detect.Format{Name: cyclonedx.Format, Recognise: cyclonedx.Recognise, Parse: cyclonedx.Parse},
		detect.Format{Name: spdx.Format, Recognise: spdx.Recognise, Parse: spdx.Parse},
	)
	var raw [][]byte
	raw = append(raw, testkit.RealAdvisories(t)...)
	for _, pattern := range []string{"sbom/*.tar.zst", "vex/*.tar.zst"} {
		for _, f := range testkit.RealFiles(t, pattern) {
			raw = append(raw, f.Content)
		}
	}
	lines, seen := map[ledger.Kind]*bytes.Buffer{}, map[bundle.Digest]bool{}
	for _, text := range raw {
		o, err := parse(ledger.Entry{Bytes: text})
		if err != nil || seen[o.Digest] {
			continue
		}
		seen[o.Digest] = true
		if lines[o.Kind] == nil {
			lines[o.Kind] = &bytes.Buffer{}
		}
		envelope := rawLine{Format: o.Format, Kind: o.Kind, Modified: o.Modified, Source: o.Source, Stream: o.Digest.Hex(), UpstreamID: o.UpstreamID}
		envelope.Content.Raw, envelope.Original.Digest = o.Canonical, o.Digest.String()
		head, err := json.Marshal(envelope)
		require.NoError(t, err)
		lines[o.Kind].Write(bytes.Replace(head, []byte(`"redaction":null,`), nil, 1))
		lines[o.Kind].WriteByte('\n')
	}
	var files []File
	for _, kind := range []ledger.Kind{ledger.KindAdvisory, ledger.KindSBOM, ledger.KindVEX} {
		content := lines[kind].Bytes()
		files = append(files, File{Path: bundle.ShardPath(kind.PayloadType(), "", true), Kind: kind, ContentDigest: bundle.DigestOf(content),
			Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }})
	}
	return files
}

// oracle decides what is affected with nothing of this package: its own reading
// of OSV and of whatever in an SBOM is a package URL, and deps.dev's versions.
type oracle struct {
	byPackage map[string][]oracleAdvisory // by ecosystem and name
}

type oracleAdvisory struct {
	id       string
	affected oracleAffected
}

type oracleAffected struct {
	Package  struct{ Ecosystem, Name string }
	Versions []string
	Ranges   []struct {
		Type   string
		Events []struct {
			Introduced, Fixed, Limit string
			LastAffected             string `json:"last_affected"`
		}
	}
}

var oracleSystems = map[string]semver.System{
	"npm": semver.NPM, "PyPI": semver.PyPI, "Maven": semver.Maven, "Go": semver.Go, "crates.io": semver.Cargo, "NuGet": semver.NuGet, "RubyGems": semver.RubyGems,
}

func oracleName(ecosystem, name string) string {
	switch ecosystem {
	case "PyPI":
		name = strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
	case "Go", "NuGet":
		name = strings.ToLower(name)
	case "crates.io":
		name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	}
	return ecosystem + " " + name
}

func newOracle(t testing.TB, advisories File) *oracle {
	o := &oracle{map[string][]oracleAdvisory{}}
	require.NoError(t, readFile(t.Context(), advisories, func(_ string, line *rawLine) error {
		var doc struct {
			ID        string
			Withdrawn string
			Affected  []oracleAffected
		}
		if line.Format != "osv" {
			return nil
		}
		if err := json.Unmarshal(line.Content.Raw, &doc); err != nil || doc.Withdrawn != "" {
			return err
		}
		for _, a := range doc.Affected {
			at := oracleName(a.Package.Ecosystem, a.Package.Name)
			o.byPackage[at] = append(o.byPackage[at], oracleAdvisory{doc.ID, a})
		}
		return nil
	}))
	return o
}

// oracleTypes are package URL types whose ecosystem has an order in deps.dev.
var oracleTypes = map[string]string{"npm": "npm", "pypi": "PyPI", "maven": "Maven", "golang": "Go", "cargo": "crates.io", "nuget": "NuGet", "gem": "RubyGems"}

// of gives the affected advisories of a package URL; comparable is false when
// deps.dev takes the version, or one of an advisory's, for none.
func (o *oracle) of(purl string) (ids []string, comparable bool) {
	rest := strings.TrimPrefix(strings.SplitN(strings.SplitN(purl, "#", 2)[0], "?", 2)[0], "pkg:")
	kind, rest, _ := strings.Cut(rest, "/")
	eco := oracleTypes[strings.ToLower(kind)]
	at := strings.LastIndex(rest, "@")
	if eco == "" || at <= 0 || rest[at-1] == '/' {
		return nil, eco == ""
	}
	name, _ := url.PathUnescape(rest[:at])
	version, _ := url.PathUnescape(rest[at+1:])
	if eco == "Maven" {
		cut := strings.LastIndex(name, "/")
		name = name[:max(cut, 0)] + ":" + name[cut+1:]
	}
	comparable = true
	for _, a := range o.byPackage[oracleName(eco, name)] {
		hit, ok := a.affected.holds(oracleSystems[eco], eco, version)
		comparable = comparable && (ok || hit)
		if hit {
			ids = append(ids, a.id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), comparable
}

func (a *oracleAffected) holds(system semver.System, eco, version string) (hit, ok bool) {
	if slices.Contains(a.Versions, version) {
		return true, true
	}
	ok = true
	for _, r := range a.Ranges {
		if r.Type == "GIT" {
			continue
		}
		clean := func(v string) string {
			if eco == "Go" && !strings.HasPrefix(v, "v") {
				return "v" + strings.TrimPrefix(v, "go")
			}
			return v
		}
		if _, err := system.Parse(clean(version)); err != nil {
			ok = false
			continue
		}
		type step struct {
			at   string
			ends bool
			last bool
		}
		var steps []step
		for _, e := range r.Events {
			for _, s := range []step{{e.Introduced, false, false}, {e.Fixed, true, false}, {e.LastAffected, true, true}} {
				if s.at == "" {
					continue
				}
				if _, err := system.Parse(clean(s.at)); err != nil && s.at != "0" {
					return hit, false
				}
				steps = append(steps, s)
			}
		}
		reached := func(s step) int {
			if s.at == "0" {
				return 1
			}
			return system.Compare(clean(version), clean(s.at))
		}
		in := false
		for pair := range slices.Chunk(steps, 2) { // every range of the real documents is pairs
			if len(pair) == 2 && (pair[0].ends || !pair[1].ends) {
				return hit, false
			}
			ended := false
			if len(pair) == 2 {
				n := reached(pair[1])
				ended = n > 0 || n == 0 && !pair[1].last
			}
			in = in || reached(pair[0]) >= 0 && !ended
		}
		hit = hit || in
	}
	return hit, ok
}

// Every range of the real advisories, at every version where something begins or
// ends, is what its pairs say to the oracle.
func TestRealCorpusRanges(t *testing.T) {
	compared, refused, held := 0, 0, 0
	for _, raw := range testkit.RealAdvisories(t) {
		var doc struct {
			ID       string
			Affected []oracleAffected
		}
		require.NoError(t, json.Unmarshal(raw, &doc))
		for _, a := range doc.Affected {
			eco := a.Package.Ecosystem
			system, known := oracleSystems[eco]
			if a.Versions = nil; !known {
				continue
			}
			for _, r := range a.Ranges {
				if r.Type == "GIT" {
					continue
				}
				var events []advisory.Event
				for _, e := range r.Events {
					events = append(events, advisory.Event{Introduced: e.Introduced, Fixed: e.Fixed, LastAffected: e.LastAffected, Limit: e.Limit})
				}
				one := a
				one.Ranges = append(one.Ranges[:0:0], r)
				for _, e := range r.Events {
					version := e.Introduced + e.Fixed + e.LastAffected
					if version == "0" {
						continue // before every version, and of most ecosystems none
					}
					want, ok := one.holds(system, eco, version)
					got, _, err := inRange(eco, version, advisory.Range{Type: r.Type, Events: events})
					if !ok || err != nil {
						refused++
						continue
					}
					compared++
					if got {
						held++
					}
					require.Equal(t, want, got, "%s: %s in %v", doc.ID, version, events)
				}
			}
		}
	}
	require.Equal(t, []int{20118, 2, 7888}, []int{compared, refused, held}) // 2019-09-12 and 0.2.0-n653 are no versions of PyPI
}

// purlsIn are all package URLs that an SBOM has as one of its components.
func purlsIn(t testing.TB, raw []byte) map[string]bool {
	found := map[string]bool{}
	var walk func(value any, key string)
	walk = func(value any, key string) {
		switch v := value.(type) {
		case map[string]any:
			for name, member := range v {
				if name != "dependencies" && name != "vulnerabilities" && name != "compositions" && name != "services" && name != "tools" && name != "pedigree" && name != "annotations" {
					walk(member, name)
				}
			}
		case []any:
			for _, member := range v {
				walk(member, key)
			}
		case string:
			if strings.HasPrefix(v, "pkg:") && (key == "purl" || key == "referenceLocator" || key == "software_packageUrl" || key == "packageUrl" || key == "identifier") {
				found[v] = true
			}
		}
	}
	var doc any
	require.NoError(t, json.Unmarshal(raw, &doc))
	walk(doc, "")
	return found
}

// Real SBOMs meet real advisories: what is found, by sorts of 1 MiB, is what
// the oracle finds. Thirteen package URLs have no version,
// or "(devel)", which the oracle cannot judge; here they are undetermined, or
// affected where all versions are.
func TestRealCorpus(t *testing.T) {
	files := corpusFiles(t)
	out := newShelf()
	result, err := Evaluate(t.Context(), Input{Files: files, Pack: baselinePack(t), Scratch: t.TempDir(), Memory: 1 << 20}, out)
	require.NoError(t, err)

	got, undecided := map[string][]string{}, 0
	for _, f := range out.findings(t) {
		key := f.SBOM.Digest + " " + f.Component.Purl
		if f.Match == undetermined {
			undecided++
			continue
		}
		if !slices.Contains(got[key], f.Advisory.ID) && strings.HasPrefix(f.Advisory.Digest, "sha256:") {
			got[key] = append(got[key], f.Advisory.ID)
		}
	}
	o := newOracle(t, files[0])
	components, compared, hits, refused := 0, 0, 0, 0
	require.NoError(t, readFile(t.Context(), files[1], func(_ string, line *rawLine) error {
		for purl := range purlsIn(t, line.Content.Raw) {
			components++
			want, comparable := o.of(purl)
			have := slices.Clone(got[line.Original.Digest+" "+purl])
			slices.Sort(have)
			if !comparable {
				refused++
				require.Regexp(t, `@\(devel\)$|^[^@]+$|^pkg:golang/@\?`, purl, "it has a version that only one of the two takes for one")
				continue
			}
			compared++
			hits += len(want)
			if fmt.Sprint(want) != fmt.Sprint(have) {
				t.Errorf("%s in %s: the oracle finds %v, here %v", purl, line.UpstreamID, want, have)
			}
		}
		return nil
	}))
	t.Logf("%d findings, %d of them undetermined; %d package URLs, %d refused by the oracle; %+v", result.Snapshot.Counts.Findings, undecided, components, refused, result.Snapshot.Evidence)
	require.Equal(t, []int{16330, 2591, 13}, []int{compared, hits, refused})
	require.EqualValues(t, undecided, result.Snapshot.Counts.Undetermined)
	// Both are in the SBOM that they are about. CycloneDX's example of a VEX document links to
	// serial number 3e671687-..., which its example of an SBOM beside it does not have.
	require.EqualValues(t, 2, result.Snapshot.Counts.Stated)
}
