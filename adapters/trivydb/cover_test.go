package trivydb

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aquasecurity/trivy-db/pkg/db"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stella-ops/exportcenter/advisory"
)

// TestCoverIsItsIntervals: a version is held when one of them holds it.
func TestCoverIsItsIntervals(t *testing.T) {
	version := rapid.StringMatching(`[0-4](\.[0-2])?`)
	rapid.Check(t, func(t *rapid.T) {
		var all []interval
		for range rapid.IntRange(0, 6).Draw(t, "count") {
			of := interval{closed: rapid.Bool().Draw(t, "closed")}
			if rapid.Bool().Draw(t, "begins") {
				of.from = version.Draw(t, "from")
			}
			if rapid.IntRange(0, 5).Draw(t, "ends") > 0 {
				of.to = version.Draw(t, "to")
			}
			all = append(all, of)
		}
		v := version.Draw(t, "version")
		want := slices.ContainsFunc(all, func(of interval) bool {
			return (of.from == "" || comparePlain(v, of.from) >= 0) && (of.to == "" || comparePlain(v, of.to) < 0 || of.closed && comparePlain(v, of.to) == 0)
		})
		require.Equal(t, want, coverOf(all).surelyHolds(v), "%q in %+v", v, all)
	})
}

// TestManyVersionsAndRanges: each against each would take minutes.
func TestManyVersionsAndRanges(t *testing.T) {
	const many = 200_000
	a := lodash
	a.Affected = []advisory.Affected{{Ecosystem: "npm", Name: "lodash", Ranges: []advisory.Range{{}}}}
	for i := range many {
		a.Affected[0].Ranges[0].Events = append(a.Affected[0].Ranges[0].Events,
			advisory.Event{Introduced: fmt.Sprintf("1.%d.1", i)}, advisory.Event{Fixed: fmt.Sprintf("1.%d.3", i)})
		a.Affected[0].Versions = append(a.Affected[0].Versions, fmt.Sprintf("1.%d.2", i))
	}
	p := &packing{}
	conditions := p.versions(nodeSemver, affectedPackage{ecosystem: "npm", name: "lodash", parts: a.Affected})
	require.Len(t, conditions, many)
	a.Affected[0].Ranges = nil
	conditions = p.versions(nodeSemver, affectedPackage{ecosystem: "npm", name: "lodash", parts: a.Affected})
	require.Less(t, len(strings.Join(conditions, "")), 2*maxVersions)
	require.Equal(t, []string{"npm lodash: more versions than a record has room for"}, p.note.Left)
}

// TestAGroupIsBounded: documents of one package and id are in memory together.
func TestAGroupIsBounded(t *testing.T) {
	var all []advisory.Advisory
	for i := range 3 * maxGroup / maxVersions {
		a := lodash
		a.ID = fmt.Sprintf("X-%02d", i)
		a.Affected = []advisory.Affected{{Ecosystem: "npm", Name: "lodash", Versions: []string{}}}
		for v := range maxVersions / 16 {
			a.Affected[0].Versions = append(a.Affected[0].Versions, fmt.Sprintf("%d.%d.0", i, v))
		}
		all = append(all, a)
	}
	d := buildOf(t, all...)
	found := advisoriesOf(t, reader(t, d), "npm::", "lodash")
	require.Len(t, found, 1)
	require.Less(t, len(strings.Join(found[0].VulnerableVersions, `","`)), maxGroup)
	require.Greater(t, len(found[0].VendorIDs), 3)
	require.EqualValues(t, len(all)-len(found[0].VendorIDs), d.summary.LeftCount)
	require.Equal(t, "npm lodash CVE-2021-23337: too many documents say something of it", d.summary.Left[0].What)
	require.NoError(t, db.Close())
}
