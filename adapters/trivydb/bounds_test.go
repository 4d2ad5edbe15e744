package trivydb

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/advisory"
)

// TestOneDocumentMakesNoMoreThanItMay: records are packages times ids, and a
// long text stands with each id; both are bounded, and that is said.
func TestOneDocumentMakesNoMoreThanItMay(t *testing.T) {
	large := advisory.Advisory{ID: "X-1", Description: strings.Repeat("é", 1<<20), Severities: []advisory.Severity{{Word: "high"}},
		References: []string{"https://example.com/" + strings.Repeat("x", maxURL), "https://example.com"}}
	for i := range 100_000 {
		large.Upstream = append(large.Upstream, fmt.Sprintf("CVE-2026-%d", 100_000+i))
	}
	for i := range 20_000 {
		large.Affected = append(large.Affected, affects([]string{"npm", "Debian:12"}[i%2], fmt.Sprintf("package%d", i), "introduced 0", "fixed 2.0.0"))
	}
	lines := packAdvisory(t, "here", "test", large)
	require.Less(t, len(lines), maxLines+maxLine)
	d := build(t, shard(append(lines, packAdvisory(t, "here", "test", lodash)...)))
	require.Len(t, d.summary.Left, 2)
	require.Equal(t, "100000 ids: the records go under the first 1000", d.summary.Left[0].What)
	require.Equal(t, fmt.Sprintf("too many ids and packages, or too many of their versions: there is room for %d records and not for the others", d.records-1), d.summary.Left[1].What)
	require.Greater(t, d.records, int64(50_000))
	r := reader(t, d)
	require.Len(t, advisoriesOf(t, r, "npm::", "lodash"), 1)
	for _, id := range []string{"CVE-2026-100000", "CVE-2026-100999"} { // the last one without its text
		about, err := r.GetVulnerability(id)
		require.NoError(t, err)
		require.Equal(t, "HIGH", about.Severity, id)
	}
	about, err := r.GetVulnerability("CVE-2026-100000")
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("é", maxDescription/2)+"...", about.Description)
	require.Equal(t, []string{"https://example.com"}, about.References)
}
