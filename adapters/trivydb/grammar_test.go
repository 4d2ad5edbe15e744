package trivydb

import (
	"strings"
	"testing"

	gem "github.com/aquasecurity/go-gem-version"
	npm "github.com/aquasecurity/go-npm-version/pkg"
	python "github.com/aquasecurity/go-pep440-version"
	"github.com/aquasecurity/go-version/pkg/version"
	"github.com/aquasecurity/trivy-db/pkg/db"
	maven "github.com/masahiro331/go-mvn-version"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stella-ops/exportcenter/advisory"
)

// comparers are the libraries behind Trivy's comparers, called as Trivy v0.69
// calls them (trivy pkg/detector/library/compare).
var comparers = map[*grammar]func(installed, constraint string) (bool, error){
	generic: func(installed, constraint string) (bool, error) {
		c, err := version.NewConstraints(constraint)
		if err != nil {
			return false, err
		}
		v, err := version.Parse(installed)
		return err == nil && c.Check(v), err
	},
	nodeSemver: func(installed, constraint string) (bool, error) {
		c, err := npm.NewConstraints(constraint, npm.WithPreRelease(true))
		if err != nil {
			return false, err
		}
		v, err := npm.NewVersion(installed)
		return err == nil && c.Check(v), err
	},
	pep440: func(installed, constraint string) (bool, error) {
		c, err := python.NewSpecifiers(constraint, python.WithPreRelease(true))
		if err != nil {
			return false, err
		}
		v, err := python.Parse(installed)
		return err == nil && c.Check(v), err
	},
	mavenVersion: func(installed, constraint string) (bool, error) {
		c, err := maven.NewComparer(constraint)
		if err != nil {
			return false, err
		}
		v, err := maven.NewVersion(installed)
		return err == nil && c.Check(v), err
	},
	gemVersion: func(installed, constraint string) (bool, error) {
		c, err := gem.NewConstraints(constraint)
		if err != nil {
			return false, err
		}
		v, err := gem.NewVersion(installed)
		return err == nil && c.Check(v), err
	},
}

// anyVersion draws versions as they are written, and nearly so.
func anyVersion() *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		if rapid.Bool().Draw(t, "usual") {
			return rapid.StringMatching(`(0|[1-9][0-9]?)\.(0|[1-9][0-9]?)\.(0|[1-9][0-9]?)(|-alpha|-beta\.2|-rc\.[1-9]|-rc[1-9])`).Draw(t, "usual version")
		}
		v := rapid.SampledFrom([]string{"", "", "", "v", "1!", "="}).Draw(t, "prefix")
		for i := range rapid.IntRange(1, 5).Draw(t, "parts") {
			if i > 0 {
				v += "."
			}
			v += rapid.StringMatching(`0|[1-9][0-9]{0,2}|20[0-9]{12}|[0-9]{17,20}`).Draw(t, "part")
		}
		v += rapid.SampledFrom([]string{"", "", "-", ".", "_", "+", "~", " "}).Draw(t, "separator")
		v += rapid.StringMatching(`|alpha|a1|b2|rc1|rc\.1|RC1|dev0|\.dev1|post1|pre|Final|RELEASE|jre|[a-z0-9.]{1,4}|0|0\.2026|x|\*`).Draw(t, "tag")
		return v + rapid.SampledFrom([]string{"", "", "", "+build", "+incompatible", "+1.2"}).Draw(t, "build")
	})
}

// TestWhatAGrammarReadsTriviesComparerDoes: no version gets into a record that
// would make Trivy pass over the record, and the record means what it should:
// the bound itself is in where it should be.
func TestWhatAGrammarReadsTriviesComparerDoes(t *testing.T) {
	for g, check := range comparers {
		t.Run(g.name, func(t *testing.T) {
			read := 0
			rapid.Check(t, func(t *rapid.T) {
				v, ok := g.read(anyVersion().Draw(t, "version"))
				if !ok {
					return
				}
				read++
				got, err := check(v, g.equal+v)
				require.NoError(t, err)
				require.True(t, got, "%s%s", g.equal, v)
				for _, c := range []struct {
					of   interval
					want bool
				}{
					{interval{to: v}, false}, {interval{to: v, closed: true}, true}, {interval{from: v}, true},
					{interval{from: v, to: v, closed: true}, true}, {interval{to: v, limit: true}, false},
				} {
					words, err := g.expressions(c.of)
					require.NoError(t, err)
					got, err := check(v, strings.Join(words, " || "))
					require.NoError(t, err, "%q", words)
					require.Equal(t, c.want, got, "%s in %q", v, words)
				}
			})
			require.Greater(t, read, 20)
		})
	}
}

// TestPlainVersionsHaveOneOrder: what numbers decide without a library, every
// comparer decides alike.
func TestPlainVersionsHaveOneOrder(t *testing.T) {
	plainVersion := rapid.StringMatching(`[0-2]\.(0|9|10)\.[01]`) // few, so that bounds are met
	rapid.Check(t, func(t *rapid.T) {
		of := interval{from: plainVersion.Draw(t, "from"), to: plainVersion.Draw(t, "to"), closed: rapid.Bool().Draw(t, "closed")}
		if rapid.Bool().Draw(t, "from the first") {
			of.from = ""
		}
		if rapid.Bool().Draw(t, "for ever") {
			of.to = ""
		}
		v := plainVersion.Draw(t, "version")
		for g, check := range comparers {
			words, err := g.expressions(of)
			require.NoError(t, err)
			if words[0] == "" {
				require.True(t, coverOf([]interval{of}).surelyHolds(v))
				continue
			}
			got, err := check(v, strings.Join(words, " || "))
			require.NoError(t, err)
			require.Equal(t, got, coverOf([]interval{of}).surelyHolds(v), "%s: %s in %q", g.name, v, words)
		}
	})
	require.False(t, coverOf([]interval{interval{to: "2.0"}}).surelyHolds("2.0.0"))
	require.True(t, coverOf([]interval{interval{to: "2.0", closed: true}}).surelyHolds("2.0.0"))
	require.True(t, coverOf([]interval{interval{from: "2.0", to: "3"}}).surelyHolds("2.0.0"))
	require.False(t, coverOf([]interval{interval{to: "2.0"}}).surelyHolds("1.0-rc1"), "letters decide nothing")
	require.False(t, coverOf([]interval{interval{to: "2.0-rc1"}}).surelyHolds("1.0"))
	require.False(t, coverOf([]interval{interval{from: "a", to: "2.0"}}).surelyHolds("1.0"))
	require.Zero(t, comparePlain("1.0.0", "1"))
}

func TestExpressions(t *testing.T) {
	for _, c := range []struct {
		g      *grammar
		events []string
		want   []string
	}{
		{nodeSemver, []string{"introduced 0", "fixed 1.2.4"}, []string{"<1.2.4"}},
		{nodeSemver, []string{"introduced 0", "fixed 2"}, []string{"<2.0.0"}},
		{nodeSemver, []string{"introduced 1.0.0", "last 1.2.4"}, []string{">=1.0.0, <=1.2.4"}},
		{nodeSemver, []string{"introduced 0"}, []string{""}},
		{nodeSemver, []string{"introduced 2.1.0"}, []string{">=2.1.0"}},
		{generic, []string{"introduced 0", "fixed 1.21.9", "introduced 1.22.0-0", "fixed 1.22.2"}, []string{"<1.21.9", ">=1.22.0-0, <1.22.2"}},
		{generic, []string{"introduced 1.0.0", "introduced 1.1.0", "fixed 1.2.0", "fixed 1.3.0"}, []string{">=1.0.0, <1.2.0", ">=1.1.0, <1.2.0"}},
		{generic, []string{"introduced 2.0.0", "introduced 1.0.0", "fixed 1.2.0", "fixed 2.3.0"}, []string{">=1.0.0, <1.2.0", ">=2.0.0, <2.3.0"}},
		{generic, []string{"introduced 3.0.0", "fixed 3.1.0-rc.1", "introduced 2.0.0", "fixed 3.0.0"}, []string{">=3.0.0, <3.1.0-rc.1", ">=2.0.0, <3.0.0"}},
		{generic, []string{"introduced 1.0.0", "fixed 1.0.0", "introduced 1.1.0", "fixed 1.2.0"}, []string{">=1.1.0, <1.2.0"}},
		{nodeSemver, []string{"introduced 2.1.0", "limit 2.2"}, []string{">=2.1.0 <2.2.0"}},
		{nodeSemver, []string{"introduced 0", "limit 2.2.0"}, []string{">=0.0.0-0 <2.2.0"}},
		{generic, []string{"introduced 0", "limit 2.0.0"}, []string{"<=2.0.0, !=2.0.0"}},
		{generic, []string{"introduced 0", "limit *"}, []string{""}},
		{pep440, []string{"introduced 1.0", "fixed 2.0"}, []string{">=1.0, <2.0", ">=1.0, <=2.0, !=2.0"}},
		{pep440, []string{"introduced 0", "fixed 2.0rc1"}, []string{"<2.0rc1"}},
		{pep440, []string{"introduced v1.0-beta.2", "last 2.0-1.Dev"}, []string{">=1.0b2, <=2.0.post1.dev0"}},
		{mavenVersion, []string{"introduced 0", "fixed 4.1.77.Final"}, []string{"<4.1.77.Final"}},
	} {
		of, err := intervals(affects("", "", c.events...).Ranges[0])
		require.NoError(t, err)
		var got []string
		for _, i := range of {
			words, err := c.g.expressions(i)
			require.NoError(t, err)
			got = append(got, words...)
		}
		require.Equal(t, c.want, got, "%s %v", c.g.name, c.events)
	}
	_, err := intervals(affects("", "", "fixed 1").Ranges[0])
	require.ErrorContains(t, err, "a range that no event begins")
	_, err = generic.expressions(interval{to: "dev-master"})
	require.ErrorContains(t, err, `"dev-master" is no version to end a range with`)
}

// TestEventsThatTellNoOrder: where neither pairs nor numbers say which end is
// whose, more is told as affected, never less, and that is said.
func TestEventsThatTellNoOrder(t *testing.T) {
	for _, c := range []struct{ events, want []string }{
		{[]string{"introduced 0", "introduced 2.0.0-beta.1", "fixed 1.5.0", "fixed 2.0.0"}, []string{"", ">=2.0.0-beta.1"}},
		{[]string{"introduced 1.0.0", "fixed 1.5.0", "introduced 2.0.0-beta.1", "fixed 2.0.0", "fixed 2.0.1"}, []string{">=1.0.0", ">=2.0.0-beta.1"}},
		{[]string{"introduced 0", "fixed 1.0.0-rc.1", "last 1.0.0"}, []string{"<1.0.0-rc.1", "<=1.0.0"}},
		{[]string{"fixed 1.0.0-rc.1", "introduced 0"}, []string{"<1.0.0-rc.1"}},
	} {
		a := lodash
		a.Affected = []advisory.Affected{affects("npm", "lodash", c.events...)}
		d := buildOf(t, a)
		require.Equal(t, c.want, advisoriesOf(t, reader(t, d), "npm::", "lodash")[0].VulnerableVersions, c.events)
		require.Len(t, d.summary.Left, 1)
		require.Contains(t, d.summary.Left[0].What, "neither by pairs nor by numbers")
		require.NoError(t, db.Close())
	}
}

// TestPreReleasesOfAFixAreAffected: PEP 440's "<2.0" leaves them out, OSV does not.
func TestPreReleasesOfAFixAreAffected(t *testing.T) {
	words, err := pep440.expressions(interval{from: "1.0", to: "2.0"})
	require.NoError(t, err)
	for v, want := range map[string]bool{"0.9": false, "1.0": true, "1.9": true, "2.0.dev1": true, "2.0rc1": true, "2.0": false, "2.0.post1": false} {
		got, err := comparers[pep440](v, strings.Join(words, " || "))
		require.NoError(t, err)
		require.Equal(t, want, got, v)
	}
}

func FuzzIntervals(f *testing.F) {
	f.Add("0", "1.2.3", "", "")
	f.Add("1.0", "", "2.0", "")
	f.Fuzz(func(t *testing.T, introduced, fixed, last, limit string) {
		of, err := intervals(advisory.Range{Events: []advisory.Event{{Introduced: introduced}, {Fixed: fixed}, {LastAffected: last}, {Limit: limit}}})
		if err != nil {
			return
		}
		for g, check := range comparers {
			for _, i := range of {
				words, err := g.expressions(i)
				if err != nil || words[0] == "" {
					continue
				}
				if _, err := check("1.2.3", strings.Join(words, " || ")); err != nil {
					t.Fatalf("%s: %q: %v", g.name, words, err)
				}
			}
		}
	})
}
