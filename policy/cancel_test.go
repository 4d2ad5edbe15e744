package policy

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/osv-scalibr/semantic"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/advisory"
)

// A group in which everything meets everything ends soon after its context does,
// whichever side is in a file.
func TestAHotGroupIsCancelled(t *testing.T) {
	for _, memory := range []int{1 << 20, 1 << 10} {
		const lines = 1000
		r := newRelation(t.TempDir(), memory, 1, newBudget(0))
		for n := range lines {
			require.NoError(t, r.add(appendKey(nil, "k", leftSide), fmt.Sprint(n)))
			require.NoError(t, r.add(appendKey(nil, "k", rightSide), fmt.Sprint(n)))
		}
		ctx, cancel := context.WithCancel(t.Context())
		met := 0
		err := join(ctx, r, func(*string, *string) error {
			if met++; met == 10 {
				cancel()
			}
			return nil
		})
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 10, met)
		require.NoError(t, r.sorter.Close())
	}
}

// The versions of an affected package are read once, however many components
// meet it.
func TestVersionsOfAnAffectedPackageAreReadOnce(t *testing.T) {
	a := affectedItem{Affected: advisory.Affected{Ecosystem: "npm", Versions: []string{"1.0", "2.0.0-rc.1", "latest"}}}
	var first *semantic.Version
	for _, c := range []struct {
		version string
		want    verdict
	}{{"1.0", byVersion}, {"1.0.0", byVersion}, {"2.0.0", unaffected}, {"2.0.0-rc.1+build", byVersion}, {"latest", byVersion}, {"newest", undetermined}} {
		how, _, _ := affects("npm", c.version, &a.Affected, &a.listed)
		require.Equal(t, c.want, how, c.version)
		if c.version == "1.0" {
			require.False(t, a.listed.read, "the same text needs no reading")
			continue
		}
		require.Len(t, a.listed.versions, 2)
		if first == nil {
			first = &a.listed.versions[0]
		}
		require.Same(t, first, &a.listed.versions[0])
	}
}
