package export_test

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
)

// The vectors of docs/selectors.md, for implementations elsewhere.
func TestSampleVectors(t *testing.T) {
	for _, v := range []struct {
		seed, id   string
		gone, kept float64 // rates
	}{
		{"", "CVE-2024-0001", 0.9405, 0.9406},
		{"2026-11", "GHSA-35jh-r3h4-6jhm", 0.9392, 0.9393},
		{"2026-11", "CVE-2021-44228", 0.7230, 0.7231},
		{"ünï", "OSV-2020-744", 0.3774, 0.3775},
	} {
		sample := export.Sample{Rate: v.gone, Seed: v.seed, Method: export.SampleHash}
		require.False(t, sample.Keeps(v.id), v)
		sample.Rate = v.kept
		require.True(t, sample.Keeps(v.id), v)
	}
	require.True(t, export.Sample{Rate: 1}.Keeps("anything"))
	require.False(t, export.Sample{Rate: 0}.Keeps("anything"))
}

// A sample of a rate is within a sample of a greater one, and of about its size.
func TestSamplesAreWithinEachOther(t *testing.T) {
	rates := []float64{0, math.SmallestNonzeroFloat64, 1e-9, 0.01, 0.1, 0.25, 0.5, math.Nextafter(0.5, 1), 0.9, math.Nextafter(1, 0), 1}
	const documents = 20_000
	kept := make([]int, len(rates))
	for n := range documents {
		id := fmt.Sprintf("CVE-2026-%05d", n)
		before := false
		for i, rate := range rates {
			now := export.Sample{Rate: rate, Seed: "seed"}.Keeps(id)
			require.False(t, before && !now, "%s is kept at a lower rate than %v", id, rate)
			if before = now; now {
				kept[i]++
			}
		}
	}
	for i, rate := range rates {
		deviation := 5 * math.Sqrt(documents*rate*(1-rate)+1)
		require.InDelta(t, rate*documents, kept[i], deviation, "rate %v", rate)
	}
}

// The limit is the exact product, rounded up to a whole number.
func TestSampleLimitIsExact(t *testing.T) {
	for rate, want := range map[float64]string{
		0:                           "0000000000000000000000000000000000000000000000000000000000000000",
		0.5:                         "8000000000000000000000000000000000000000000000000000000000000000",
		0.1:                         "1999999999999a00000000000000000000000000000000000000000000000000",
		math.Nextafter(1, 0):        "fffffffffffff800000000000000000000000000000000000000000000000000",
		math.SmallestNonzeroFloat64: "0000000000000000000000000000000000000000000000000000000000000001",
		math.Ldexp(1, -256):         "0000000000000000000000000000000000000000000000000000000000000001",
		math.Ldexp(3, -257):         "0000000000000000000000000000000000000000000000000000000000000002",
	} {
		limit, all := export.Sample{Rate: rate}.Limit()
		require.False(t, all)
		require.Equal(t, want, fmt.Sprintf("%x", limit), rate)
	}
}
