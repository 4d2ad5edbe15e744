package trivydb

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"deps.dev/util/semver"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/testkit"
)

// This file is a second opinion: which ids a package has, by OSV's own rules
// (schema, "Evaluation"), from the documents as they were published. It shares
// no code with the adapter, with package advisory or with Trivy, and compares
// versions by a library that neither uses.

// osvDocument is what the matcher reads of a document.
type osvDocument struct {
	ID        string
	Aliases   []string
	Withdrawn string
	Affected  []struct {
		Package struct{ Ecosystem, Name string }
		Ranges  []struct {
			Type   string
			Events []map[string]string
		}
		Versions         []string
		DatabaseSpecific struct {
			LastKnownAffected string `json:"last_known_affected_version_range"`
		} `json:"database_specific"`
	}
}

// orders are the systems of the library, by ecosystem.
var orders = map[string]semver.System{
	"npm": semver.NPM, "PyPI": semver.PyPI, "Go": semver.Go, "Maven": semver.Maven, "crates.io": semver.Cargo,
	"RubyGems": semver.RubyGems, "NuGet": semver.NuGet, "Packagist": semver.Composer,
}

// matcher finds the documents of a package.
type matcher map[[2]string][]*osvDocument // by ecosystem and normal name

func newMatcher(t testing.TB, documents [][]byte) matcher {
	m := matcher{}
	for _, raw := range documents {
		var doc osvDocument
		require.NoError(t, json.Unmarshal(raw, &doc))
		if doc.Withdrawn != "" {
			continue
		}
		for _, a := range doc.Affected {
			key := [2]string{a.Package.Ecosystem, normalName(a.Package.Ecosystem, a.Package.Name)}
			if list := m[key]; len(list) == 0 || list[len(list)-1] != &doc {
				m[key] = append(list, &doc)
			}
		}
	}
	return m
}

// normalName makes one of the spellings of a name that mean the same package.
func normalName(ecosystem, name string) string {
	switch ecosystem {
	case "Go":
		return name
	case "PyPI":
		return strings.NewReplacer("_", "-", ".", "-").Replace(strings.ToLower(name))
	}
	return strings.ToLower(name)
}

// ids are those under which a package is vulnerable, sorted.
func (m matcher) ids(ecosystem, name, version string) (ids []string) {
	order := orders[ecosystem]
	for _, doc := range m[[2]string{ecosystem, normalName(ecosystem, name)}] {
		for _, a := range doc.Affected {
			if a.Package.Ecosystem != ecosystem || normalName(ecosystem, a.Package.Name) != normalName(ecosystem, name) {
				continue
			}
			vulnerable := slices.ContainsFunc(a.Versions, func(v string) bool { return compareVersions(order, version, v) == 0 })
			for _, r := range a.Ranges {
				vulnerable = vulnerable || r.Type != "GIT" && inRange(order, version, lastKnown(r.Events, a.DatabaseSpecific.LastKnownAffected))
			}
			if vulnerable {
				ids = append(ids, doc.shownAs()...)
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// shownAs are the ids a document goes under: CVEs before GHSAs before its own.
func (d *osvDocument) shownAs() []string {
	all := append([]string{d.ID}, d.Aliases...)
	for _, prefix := range []string{"CVE-", "GHSA-"} {
		var some []string
		for _, id := range all {
			if strings.HasPrefix(id, prefix) {
				some = append(some, id)
			}
		}
		if prefix == "GHSA-" && len(some) > 1 {
			some = some[:1]
		}
		if len(some) > 0 {
			return some
		}
	}
	return []string{d.ID}
}

// lastKnown ends a range that nothing ends where GitHub says of it, outside of
// OSV, which versions were last known to be affected.
func lastKnown(events []map[string]string, words string) []map[string]string {
	last := events[len(events)-1]
	if words == "" || last["introduced"] == "" {
		return events
	}
	if version, ok := strings.CutPrefix(words, "<="); ok {
		return append(slices.Clone(events), map[string]string{"last_affected": strings.TrimSpace(version)})
	}
	return append(slices.Clone(events), map[string]string{"fixed": strings.TrimSpace(strings.TrimPrefix(words, "<"))})
}

// inRange reads events pair by pair, as TestPairsAreWhatTheSchemaMeans says why.
func inRange(order semver.System, version string, events []map[string]string) bool {
	for pair := range slices.Chunk(events, 2) {
		if evaluate(order, version, pair) {
			return true
		}
	}
	return false
}

// evaluate is the algorithm of OSV's schema: each event that a version has
// reached decides, in the order of their versions.
func evaluate(order semver.System, version string, events []map[string]string) (vulnerable bool) {
	for _, event := range events {
		switch {
		case event["introduced"] == "0":
			vulnerable = true
		case event["introduced"] != "":
			vulnerable = vulnerable || compareVersions(order, version, event["introduced"]) >= 0
		case event["fixed"] != "":
			vulnerable = vulnerable && compareVersions(order, version, event["fixed"]) < 0
		case event["last_affected"] != "":
			vulnerable = vulnerable && compareVersions(order, version, event["last_affected"]) <= 0
		}
	}
	return vulnerable
}

func eventVersion(event map[string]string) string {
	return event["introduced"] + event["fixed"] + event["last_affected"] + event["limit"]
}

// compareVersions compares by the library; versions that it does not read are
// only equal to themselves, and otherwise greater than all.
func compareVersions(order semver.System, a, b string) int {
	if order == semver.Go {
		a, b = "v"+strings.TrimPrefix(a, "v"), "v"+strings.TrimPrefix(b, "v")
	}
	if a == b {
		return 0
	}
	x, err := order.Parse(a)
	if err != nil {
		return 1
	}
	y, err := order.Parse(b)
	if err != nil {
		return 1
	}
	return x.Compare(y)
}

func TestMatcherFollowsTheSchema(t *testing.T) {
	m := newMatcher(t, [][]byte{[]byte(`{"id":"GHSA-1","aliases":["CVE-1"],"affected":[{"package":{"ecosystem":"npm","name":"a"},"versions":["9.0.0"],
		"ranges":[{"type":"SEMVER","events":[{"introduced":"1.0.0"},{"fixed":"1.2.0"},{"introduced":"2.0.0"},{"last_affected":"2.1.0"}]}]}]}`),
		[]byte(`{"id":"GHSA-2","withdrawn":"2020-01-01T00:00:00Z","affected":[{"package":{"ecosystem":"npm","name":"a"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}]}]}`)})
	for version, want := range map[string]bool{
		"0.9.0": false, "1.0.0": true, "1.2.0-rc.1": true, "1.2.0": false, "1.9.0": false, "2.0.0": true, "2.1.0": true, "2.1.1": false, "9.0.0": true,
	} {
		require.Equal(t, want, fmt.Sprint(m.ids("npm", "A", version)) == "[CVE-1]", version)
	}
}

// TestPairsAreWhatTheSchemaMeans: evaluated in the order of their versions, as
// the schema says, the events of all real documents mean what their pairs mean,
// except for three, which have a branch fixed in the version that introduces the
// next. There the schema does not say which event goes first, and the pairs do.
func TestPairsAreWhatTheSchemaMeans(t *testing.T) {
	documents := testkit.RealAdvisories(t)
	different := map[string]bool{}
	for _, raw := range documents {
		var doc osvDocument
		require.NoError(t, json.Unmarshal(raw, &doc))
		for _, a := range doc.Affected {
			order, known := orders[a.Package.Ecosystem]
			for _, r := range a.Ranges {
				if !known || r.Type == "GIT" {
					continue
				}
				inOrder := slices.Clone(r.Events)
				slices.SortStableFunc(inOrder, func(a, b map[string]string) int {
					switch x, y := eventVersion(a), eventVersion(b); {
					case x == y:
						return 0
					case x == "0":
						return -1
					case y == "0":
						return 1
					default:
						return compareVersions(order, x, y)
					}
				})
				for _, event := range r.Events {
					if version := eventVersion(event); inRange(order, version, r.Events) != evaluate(order, version, inOrder) {
						different[doc.ID] = true
					}
				}
			}
		}
	}
	require.Equal(t, map[string]bool{"PYSEC-2021-114": true, "PYSEC-2022-42972": true, "PYSEC-2023-72": true}, different)
}
