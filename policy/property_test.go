package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stella-ops/exportcenter/advisory"
	"github.com/stella-ops/exportcenter/sbom"
	"github.com/stella-ops/exportcenter/vex"
)

// tiny is a world small enough to think through: versions are whole numbers.
type tiny struct {
	advisories []tinyAdvisory
	sboms      [][]tinyComponent
	statements []tinyStatement
}

type tinyAdvisory struct {
	id, alias string
	packages  []tinyRange
	severity  string
	withdrawn bool
}

type tinyRange struct {
	name     string
	from, to int // to is the first that is not affected; 0 is none
}

type tinyComponent struct {
	name    string
	version int
}

type tinyStatement struct {
	vulnerability, name string
	version             int // 0 is all
	subject             int // -1: not about a subject
	status              vex.Status
	day                 int
}

var tinyNames = []string{"a", "b", "@s/c"}

func drawTiny(t *rapid.T) *tiny {
	name, version := rapid.SampledFrom(tinyNames), rapid.IntRange(1, 6)
	w := &tiny{}
	for n := range rapid.IntRange(1, 6).Draw(t, "advisories") {
		w.advisories = append(w.advisories, drawAdvisory(t, n))
	}
	for range rapid.IntRange(1, 3).Draw(t, "sboms") {
		w.sboms = append(w.sboms, rapid.SliceOfN(rapid.Custom(func(t *rapid.T) tinyComponent {
			return tinyComponent{name.Draw(t, "name"), version.Draw(t, "version")}
		}), 0, 5).Draw(t, "components"))
	}
	w.statements = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) tinyStatement {
		return tinyStatement{
			rapid.SampledFrom([]string{"A-0", "A-1", "cve-0", "CVE-1", "CVE-2", "OTHER"}).Draw(t, "vulnerability"),
			name.Draw(t, "name"), rapid.IntRange(0, 6).Draw(t, "version"), rapid.IntRange(-1, 2).Draw(t, "subject"),
			rapid.SampledFrom(vex.Statuses).Draw(t, "status"), rapid.IntRange(1, 3).Draw(t, "day"),
		}
	}), 0, 5).Draw(t, "statements")
	return w
}

func drawAdvisory(t *rapid.T, n int) tinyAdvisory {
	return tinyAdvisory{
		id: fmt.Sprintf("A-%d", n), alias: rapid.SampledFrom([]string{"CVE-0", "CVE-1", "CVE-2"}).Draw(t, "alias"),
		severity: rapid.SampledFrom([]string{"critical", "high", "medium", "none"}).Draw(t, "severity"), withdrawn: rapid.IntRange(0, 5).Draw(t, "withdrawn") == 0,
		packages: rapid.SliceOfN(rapid.Custom(func(t *rapid.T) tinyRange {
			from := rapid.IntRange(0, 5).Draw(t, "from")
			return tinyRange{rapid.SampledFrom(tinyNames).Draw(t, "name"), from, rapid.SampledFrom([]int{0, from + 1, from + 2}).Draw(t, "to")}
		}), 1, 3).Draw(t, "packages"),
	}
}

func text(version int) string   { return fmt.Sprintf("%d.0.0", version) }
func purlOf(name string) string { return "pkg:npm/" + strings.Replace(name, "@", "%40", 1) }

// world says the same in the words of the readers.
func (w *tiny) world(perFile int) *world {
	out := &world{perFile: perFile}
	for _, a := range w.advisories {
		doc := advisory.Advisory{ID: a.id, Aliases: []string{a.alias}, Severities: []advisory.Severity{{Word: a.severity}}}
		if a.withdrawn {
			doc.Withdrawn = "2026-01-01T00:00:00Z"
		}
		for _, p := range a.packages {
			from := text(p.from)
			if p.from == 0 {
				from = "0"
			}
			list := []advisory.Event{{Introduced: from}}
			if p.to > 0 {
				list = append(list, advisory.Event{Fixed: text(p.to)})
			}
			doc.Affected = append(doc.Affected, advisory.Affected{Ecosystem: "npm", Name: p.name, Ranges: []advisory.Range{{Type: "SEMVER", Events: list}}})
		}
		out.advisories = append(out.advisories, doc)
	}
	for n, components := range w.sboms {
		doc := sbom.Inventory{ID: fmt.Sprintf("urn:uuid:%d", n), Subject: fmt.Sprintf("pkg:oci/s%d@1", n)}
		for i, c := range components {
			doc.Components = append(doc.Components, sbom.Component{Ref: fmt.Sprint(i), Purl: purlOf(c.name) + "@" + text(c.version), Version: text(c.version)})
		}
		out.sboms = append(out.sboms, doc)
	}
	for _, s := range w.statements {
		product := purlOf(s.name)
		if s.version > 0 {
			product += "@" + text(s.version)
		}
		doc := vex.Statement{Vulnerability: s.vulnerability, Products: []string{product}, Status: s.status, Impact: "x", At: fmt.Sprintf("2026-01-0%dT00:00:00Z", s.day)}
		if s.subject >= 0 {
			doc.Products, doc.Subcomponents = []string{fmt.Sprintf("pkg:oci/s%d", s.subject)}, []string{product}
		}
		out.vex = append(out.vex, []vex.Statement{doc})
	}
	return out
}

// naive thinks the tiny world through: what is found where, and what the
// built-in pack must say. Nothing of the package's own is used.
func (w *tiny) naive() map[string]string {
	found := map[string]string{}
	for n, components := range w.sboms {
		for i, c := range components {
			for _, a := range w.advisories {
				if a.withdrawn || !slices.ContainsFunc(a.packages, func(p tinyRange) bool {
					return p.name == c.name && c.version >= p.from && (p.to == 0 || c.version < p.to)
				}) {
					continue
				}
				found[fmt.Sprintf("s%d/%d/%s", n, i, a.id)] = w.action(n, c, a)
			}
		}
	}
	return found
}

func (w *tiny) action(sbom int, c tinyComponent, a tinyAdvisory) string {
	grave := []vex.Status{vex.Affected, vex.UnderInvestigation, vex.Fixed, vex.NotAffected}
	var standing *tinyStatement
	for _, s := range w.statements {
		if !strings.EqualFold(s.vulnerability, a.id) && !strings.EqualFold(s.vulnerability, a.alias) ||
			s.name != c.name || s.version != 0 && s.version != c.version || s.subject >= 0 && s.subject != sbom {
			continue
		}
		if standing == nil || s.day > standing.day || s.day == standing.day && slices.Index(grave, s.status) < slices.Index(grave, standing.status) {
			standing = &s
		}
	}
	if standing != nil {
		switch standing.status {
		case vex.NotAffected, vex.Fixed:
			return "suppress " + a.severity
		case vex.UnderInvestigation:
			return "warn " + a.severity
		}
	}
	return map[string]string{"critical": "block", "high": "block", "medium": "warn", "none": "allow"}[a.severity] + " " + a.severity
}

// decided is what the package says, in the words of naive; with each finding's
// whole line.
func decided(t testing.TB, out *shelf) (actions, lines map[string]string) {
	actions, lines = map[string]string{}, map[string]string{}
	for _, f := range out.findings(t) {
		subject := strings.TrimSuffix(strings.TrimPrefix(f.SBOM.Subject, "pkg:oci/"), "@1")
		key := subject + "/" + f.Component.Ref + "/" + f.Advisory.ID
		require.NotContains(t, actions, key, "twice")
		actions[key] = string(f.Action) + " " + f.Severity
		lines[f.ID] = key + " " + actions[key]
	}
	return actions, lines
}

// Over random small worlds the joins, the ranges, the statements and the pack say
// what thinking it through says; and of one changed advisory exactly the
// decisions change that should.
func TestDecisionsFollow(t *testing.T) {
	pack, err := ReadPack(baselinePack(t))
	require.NoError(t, err)
	asked, err := newEngine(t.Context(), pack)
	require.NoError(t, err)
	evaluated := func(rt *rapid.T, w *tiny) (actions, lines map[string]string) {
		in := Input{Files: w.world(rapid.IntRange(1, 4).Draw(rt, "per file")).files(t), Scratch: t.TempDir(), Memory: rapid.SampledFrom([]int{1 << 10, 8 << 10, 1 << 20}).Draw(rt, "memory")}
		out := newShelf()
		_, err := newEvaluation(in, worldReaders(), pack, asked).run(t.Context(), out)
		require.NoError(t, err)
		return decided(t, out)
	}
	rapid.Check(t, func(rt *rapid.T) {
		w := drawTiny(rt)
		actions, before := evaluated(rt, w)
		require.Equal(rt, w.naive(), actions)

		n := rapid.IntRange(0, len(w.advisories)-1).Draw(rt, "changed")
		old := w.naive()
		w.advisories[n] = drawAdvisory(rt, n)
		actions, after := evaluated(rt, w)
		require.Equal(rt, w.naive(), actions)
		require.Equal(rt, changed(old, w.naive()), len(differing(before, after)), "other decisions changed too")
		for id := range differing(before, after) {
			require.Contains(rt, before[id]+after[id], "/"+w.advisories[n].id+" ")
		}
	})
}

func changed(a, b map[string]string) int { return len(differing(a, b)) }

func differing(a, b map[string]string) map[string]bool {
	out := map[string]bool{}
	for key, value := range a {
		if b[key] != value {
			out[key] = true
		}
	}
	for key := range b {
		if _, there := a[key]; !there {
			out[key] = true
		}
	}
	return out
}
