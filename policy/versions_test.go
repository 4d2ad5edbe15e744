package policy

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/advisory"
)

// orders has versions of each order from the least on, with the traps that a
// reader of one ecosystem's versions falls into in another's.
var orders = map[order]string{
	"npm":         "0.9.9 1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta.2 1.0.0-beta.11 1.0.0-rc.1 1.0.0 1.2.3 1.10.0 2.0.0",
	"Go":          "v0.0.0-20190101000000-abcdefabcdef v0.0.0-20210101000000-abcdefabcdef v0.1.0 v1.0.0-rc.1 v1.0.0 v1.0.1-0.20210101000000-abcdefabcdef v1.0.1 v2.0.0+incompatible",
	"crates.io":   "0.1.0-a 0.1.0 0.2.0 1.0.0",
	"Hex":         "1.0.0-dev 1.0.0 1.9.0 1.10.0",
	"Pub":         "1.0.0-dev.1 1.0.0 1.0.0+1 1.0.0+2 1.0.1",
	"PyPI":        "1.0.dev1 1.0a1.dev2 1.0a1 1.0b2 1.0rc1 1.0 1.0+local 1.0.post1.dev1 1.0.post1 1.1 1.10 2!0.1",
	"Maven":       "1.0-alpha-1 1.0-beta-1 1.0-milestone-1 1.0-rc-1 1.0-SNAPSHOT 1.0 1.0-sp 1.0.1 1.1 1.10 2.0",
	"NuGet":       "1.0.0-alpha 1.0.0-BETA 1.0.0 1.0.0.1 1.0.1 1.10.0.5",
	"RubyGems":    "1.0.0.pre 1.0.0.pre2 1.0.0.rc1 1.0.0 1.0.0.1 1.2 1.10",
	"Packagist":   "1.0.0-dev 1.0.0-alpha1 1.0.0-beta1 1.0.0-RC1 1.0.0 1.0.0-p1 1.0.1 1.10.0",
	"Debian":      "1.0~rc1 1.0 1.0-1 1.0-1+deb12u1 1.0-2 1.0a 1.10 1:0.1",
	"Ubuntu":      "1.0-0ubuntu1 1.0-0ubuntu1.1 1.0-1 1:0.1",
	"Alpine":      "1.0_alpha1 1.0_beta1 1.0_rc1 1.0 1.0-r1 1.0-r10 1.0_p1 1.0a 1.0.1 1.10",
	"Red Hat":     "1.0~rc1-1.el8 1.0-1.el8 1.0-1.el8_2 1.0-2.el8 1.0^git1-1 1.1-1 1.10-1 1:0.1-1",
	"Rocky Linux": "1.0-1.el9 1.0-1.el9_1 1.0-2.el9 1:0.1-1",
	"CRAN":        "1.0 1.0-1 1.1 1.10",
	"Hackage":     "1.0 1.0.1 1.1 1.10",
}

func TestOrders(t *testing.T) {
	for in, text := range orders {
		versions := strings.Fields(text)
		for i, a := range versions {
			left, err := parseVersion(in, a)
			require.NoError(t, err, "%s %s", in, a)
			for j, b := range versions {
				right, err := parseVersion(in, b)
				require.NoError(t, err, "%s %s", in, b)
				n, err := compare(left, right)
				require.NoError(t, err)
				switch {
				case i < j:
					require.Negative(t, n, "%s: %s is before %s", in, a, b)
				case i > j:
					require.Positive(t, n, "%s: %s is after %s", in, a, b)
				default:
					require.Zero(t, n, "%s: %s", in, a)
				}
			}
		}
	}
}

func TestEqualVersions(t *testing.T) {
	for in, pairs := range map[order][]string{
		"npm":       {"1.0.0", "v1.0.0", "1.0.0", "=1.0.0", "1.0.0+a", "1.0.0+b", "1.2", "1.2.0"},
		"Go":        {"go1.21.3", "1.21.3", "v1.0.0", "1.0.0"},
		"PyPI":      {"1.0", "1.0.0", "1.0RC1", "1.0rc1", "1.0-1", "1.0.post1", "v1.0", "1.0"},
		"Maven":     {"1.0", "1.0.0", "1.0-ga", "1.0", "1.0-FINAL", "1"},
		"NuGet":     {"1.0", "1.0.0.0", "1.0.0-RC", "1.0.0-rc"},
		"RubyGems":  {"1.0", "1.0.0", "1.13.0-x86_64-linux", "1.13.0", "1.13.0-java", "1.13.0"},
		"Packagist": {"v1.0", "1.0.0", "1.0.0.0", "1", "1.0-stable", "1.0", "1.0.0-BETA1", "1.0.0-beta1", "1.0.0b1", "1.0.0-beta1", "1.0.0+x", "1.0.0"},
		"Debian":    {"0:1.0", "1.0", "1.0-0", "1.0"},
		"Red Hat":   {"0:1.0-1", "1.0-1"},
		"Alpine":    {"v1.0", "1.0"},
	} {
		for i := 0; i < len(pairs); i += 2 {
			left, err := parseVersion(in, pairs[i])
			require.NoError(t, err, "%s %s", in, pairs[i])
			right, err := parseVersion(in, pairs[i+1])
			require.NoError(t, err, "%s %s", in, pairs[i+1])
			n, err := compare(left, right)
			require.NoError(t, err)
			require.Zero(t, n, "%s: %s and %s", in, pairs[i], pairs[i+1])
		}
	}
}

func TestWhatIsNoVersion(t *testing.T) {
	for in, texts := range map[order][]string{
		"npm": {"", "latest", "*", "^1.0.0", "1.0.0 - 2.0.0", "1.2.3.4", "1.x", "file:../x", "git+ssh://x", strings.Repeat("1", 300)},
		"Go":  {"(devel)", "unknown", "", "v1.2.3.4"}, "crates.io": {"1.0.0.0", "*"},
		"PyPI": {"", "latest", "1.0-SNAPSHOT", "==1.0", "1.0 || 2.0"}, "Maven": {"", "${project.version}", "[1.0,2.0)", "1.0 2.0"},
		"NuGet": {"[1.0, )", "1.*", "1.0.0.0.0", ""}, "RubyGems": {">= 1", "a", ""}, "Packagist": {"dev-master", "1.0.x-dev", "^1.0", ""},
		"Debian": {"", "a.b", "1.0_1", "1.0 "[:0]}, "Alpine": {"1.0-1", "edge", ""}, "Red Hat": {"", "1.0 1", "1.0/2"}, "Nothing": {"1.0"},
	} {
		for _, text := range texts {
			_, err := parseVersion(in, text)
			require.ErrorIs(t, err, errVersion, "%s %q", in, text)
		}
	}
}

func events(pairs ...string) (all []advisory.Event) {
	for i := 0; i < len(pairs); i += 2 {
		e := advisory.Event{}
		*map[string]*string{"i": &e.Introduced, "f": &e.Fixed, "l": &e.LastAffected, "m": &e.Limit}[pairs[i]] = pairs[i+1]
		all = append(all, e)
	}
	return all
}

// The rules of "Evaluation" in the OSV schema, one by one.
func TestRanges(t *testing.T) {
	for _, c := range []struct {
		events          []advisory.Event
		inside, outside string
		fixed           string
	}{
		{events("i", "0"), "0.0.0-a 0.0.0 1.0.0 99.0.0", "", ""},
		{events("i", "0", "f", "1.0.0"), "0.0.0-0 0.9.9 1.0.0-rc.1", "1.0.0 1.0.0+x 1.0.1", "1.0.0"},
		{events("i", "1.0.0"), "1.0.0 2.0.0", "0.9.9 1.0.0-rc.1", ""},
		{events("i", "1.0.0", "l", "1.5.0"), "1.0.0 1.5.0", "0.1.0 1.5.1", ""},
		{events("f", "2.0.0", "i", "1.0.0"), "1.0.0 1.9.9", "2.0.0", "2.0.0"}, // not in order
		{events("i", "0", "f", "1.0.0", "i", "2.0.0", "f", "2.5.0"), "0.5.0 2.0.0 2.4.9", "1.0.0 1.9.9 2.5.0 3.0.0", ""},
		{events("i", "0", "f", "1.0.0", "i", "1.0.0", "f", "2.0.0"), "0.5.0 1.0.0 1.5.0", "2.0.0", ""},
		{events("i", "1.0.0", "l", "1.0.0"), "1.0.0", "0.9.9 1.0.1", ""},
		{events("l", "1.0.0", "i", "1.0.0"), "1.0.0", "0.9.9 1.0.1", ""}, // not in order
		{events("l", "1.0", "i", "1.0.0", "f", "2.0.0"), "1.0.0", "1.0.1 2.0.0", ""},
		{events("i", "0", "l", "1.0.0", "i", "1.0.0", "f", "2.0.0"), "0.5.0 1.0.0 1.5.0", "2.0.0", ""}, // two ranges that touch
		{events("l", "1.0.0", "i", "1.0.0", "i", "1.1.0", "l", "1.2.0"), "1.0.0 1.1.0 1.2.0", "1.0.1 1.2.1", ""},
		// Pairs in any order, of which one ends where the next begins (as PYSEC-2022-42972 and PYSEC-2023-72 have them).
		{events("i", "1.3.0", "f", "1.4.0-rc.1", "i", "1.2.0", "f", "1.3.0"), "1.2.0 1.2.9 1.3.0 1.3.9", "1.1.9 1.4.0-rc.1 1.4.0", ""},
		{events("i", "0", "f", "1.1.0", "i", "3.2.0", "f", "3.2.2", "i", "1.1.0", "f", "3.2.0"), "0.1.0 1.1.0 3.1.0 3.2.0 3.2.1", "3.2.2 4.0.0", ""},
		{events("i", "2.11.0", "f", "2.11.7", "i", "0", "f", "2.11.6"), "1.0.0 2.11.6", "2.11.7", ""},              // one within another (PYSEC-2021-114)
		{events("i", "0", "f", "1.0.0", "i", "2.0.0", "f", "2.0.0"), "0.5.0", "1.0.0 2.0.0 2.0.1", ""},             // an empty pair (RUSTSEC-2022-0012)
		{events("i", "1.0.0", "f", "1.0.0"), "", "0.9.9 1.0.0 1.0.1", ""},                                          // another (RUSTSEC-2024-0399)
		{events("i", "0", "f", "2.0.0", "f", "3.0.0", "i", "2.0.0"), "1.0.0 2.0.0 2.9.9", "3.0.0", ""},             // no pairs
		{events("i", "2.0.0", "f", "3.0.0", "f", "2.0.0", "i", "1.0.0"), "1.0.0 2.0.0 2.9.9", "0.9.9 3.0.0", ""},   // no pairs
		{events("i", "2.0.0", "f", "1.0.0", "i", "0", "f", "3.0.0"), "0.5.0 2.0.0 2.9.9", "1.0.0 1.9.9 3.0.0", ""}, // ends before their begins
		{events("i", "1.0.0", "m", "3.0.0"), "1.0.0 2.9.9", "3.0.0 4.0.0", ""},
		{events("i", "1.0.0", "m", "*"), "1.0.0 9.0.0", "0.1.0", ""},
		{events("i", "1.0.0", "m", "2.0.0", "m", "4.0.0"), "3.9.9", "4.0.0", ""},
		{events("f", "1.0.0"), "", "0.1.0 1.0.0", ""}, // nothing introduced
		{nil, "", "1.0.0", ""},
	} {
		r := advisory.Range{Type: "SEMVER", Events: c.events}
		for _, v := range strings.Fields(c.inside) {
			held, fixed, err := inRange("npm", v, r)
			require.NoError(t, err)
			require.True(t, held, "%s in %v", v, c.events)
			if c.fixed != "" {
				require.Equal(t, []string{c.fixed}, fixed)
			}
		}
		for _, v := range strings.Fields(c.outside) {
			held, _, err := inRange("npm", v, r)
			require.NoError(t, err)
			require.False(t, held, "%s in %v", v, c.events)
		}
	}
}

func TestAffects(t *testing.T) {
	r := func(pairs ...string) advisory.Range {
		return advisory.Range{Type: "ECOSYSTEM", Events: events(pairs...)}
	}
	for name, c := range map[string]struct {
		version string
		a       advisory.Affected
		want    verdict
		fixed   []string
		why     string
	}{
		"listed":                      {"1.0", advisory.Affected{Versions: []string{"0.9", "1.0"}}, byVersion, nil, ""},
		"listed in another spelling":  {"1.0.0", advisory.Affected{Versions: []string{"1.0"}}, byVersion, nil, ""},
		"listed and no version":       {"weird ver", advisory.Affected{Versions: []string{"weird ver"}}, byVersion, nil, ""},
		"not listed":                  {"1.1", advisory.Affected{Versions: []string{"1.0"}}, unaffected, nil, ""},
		"in the second range":         {"2.1", advisory.Affected{Ranges: []advisory.Range{r("i", "0", "f", "1.0"), r("i", "2.0", "f", "2.2")}}, byRange, []string{"2.2"}, ""},
		"in both ranges":              {"2.1", advisory.Affected{Ranges: []advisory.Range{r("i", "0", "f", "3.0"), r("i", "2.0", "f", "2.2")}}, byRange, []string{"2.2", "3.0"}, ""},
		"listed and in a range":       {"2.1", advisory.Affected{Versions: []string{"2.1"}, Ranges: []advisory.Range{r("i", "0", "f", "3.0")}}, byVersion, []string{"3.0"}, ""},
		"a broken range beside":       {"2.1", advisory.Affected{Ranges: []advisory.Range{r("i", "x y"), r("i", "0", "f", "3.0")}}, byRange, []string{"3.0"}, ""},
		"a broken range alone":        {"2.1", advisory.Affected{Ranges: []advisory.Range{r("i", "x y")}}, undetermined, nil, `"x y"`},
		"no such version":             {"latest", advisory.Affected{Ranges: []advisory.Range{r("i", "0", "f", "3.0")}}, undetermined, nil, `"latest"`},
		"no such version, all of it":  {"latest", advisory.Affected{Ranges: []advisory.Range{r("i", "0")}}, byRange, nil, ""},
		"no version, all of it":       {"", advisory.Affected{Ranges: []advisory.Range{r("i", "0")}}, undetermined, nil, `""`},
		"nothing said":                {"1.0", advisory.Affected{}, undetermined, nil, "names no versions"},
		"no such version, not listed": {"latest", advisory.Affected{Versions: []string{"1.0"}}, undetermined, nil, `"latest"`},
	} {
		got, fixed, why := affects("PyPI", c.version, &c.a, new(listed))
		require.Equal(t, c.want, got, name)
		require.Equal(t, c.fixed, fixed, name)
		if c.why == "" {
			require.Empty(t, why, name)
		} else {
			require.Contains(t, why, c.why, name)
		}
	}
}

func TestTheMatcherIsNamed(t *testing.T) {
	gomod, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	require.Contains(t, string(gomod), strings.Replace(strings.TrimPrefix(MatcherName, ""), "/semantic@", " ", 1)+"\n")
	require.Contains(t, string(gomod), "github.com/open-policy-agent/opa v"+EngineVersion()+"\n")
}

// FuzzVersions compares any texts as versions of any ecosystem: the order is one.
func FuzzVersions(f *testing.F) {
	for in, text := range orders {
		versions := strings.Fields(text)
		f.Add(string(in), versions[0], versions[1], versions[2])
	}
	f.Fuzz(func(t *testing.T, in, x, y, z string) {
		a, errA := parseVersion(order(in), x)
		b, errB := parseVersion(order(in), y)
		if errA != nil || errB != nil {
			return
		}
		ab, err := compare(a, b)
		require.NoError(t, err)
		ba, err := compare(b, a)
		require.NoError(t, err)
		require.Equal(t, ab, -ba, "%s %q %q", in, x, y)
		own, err := compare(a, a)
		require.NoError(t, err)
		require.Zero(t, own)
		_, _, _ = affects(in, z, &advisory.Affected{Ranges: []advisory.Range{{Type: "ECOSYSTEM", Events: events("i", x, "f", y)}}}, new(listed))
	})
}
