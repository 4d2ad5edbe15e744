package trivyjavadb_test

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters/adaptertest"
)

// BenchmarkBuild packs and builds 200,000 artifacts of 200 lists. rss-MiB is the
// most memory the process ever had, the packed lines of the stand included.
func BenchmarkBuild(b *testing.B) {
	const lists, each = 200, 1000
	var entries []adaptertest.Entry
	for l := range lists {
		artifacts := make([]gav, each)
		for i := range artifacts {
			n := l*each + i
			artifacts[i] = gav{SHA1: sha1Of(n * 0x9e3779b1), GroupID: fmt.Sprint("org.example.g", n%997), ArtifactID: fmt.Sprint("artifact-", n%20_011), Version: fmt.Sprint("1.", n)}
		}
		entries = append(entries, list(b, "bench", "lists", fmt.Sprint("list-", l), artifacts...))
	}
	documents := adaptertest.Lines(b, entries...)
	for b.Loop() {
		require.EqualValues(b, lists*each, summaryOf(b, build(b, documents)).Indices)
	}
	b.ReportMetric(float64(lists*each)*float64(b.N)/b.Elapsed().Seconds(), "artifacts/s")
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return // another system
	}
	if most := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status); most != nil {
		kib, err := strconv.Atoi(string(most[1]))
		require.NoError(b, err)
		b.ReportMetric(float64(kib)/1024, "rss-MiB")
	}
}
