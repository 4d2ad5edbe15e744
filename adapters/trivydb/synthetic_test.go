package trivydb

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/stella-ops/exportcenter/advisory"
)

// synthetic makes the i-th of many advisories: of few packages, so that
// documents meet, in several languages and operating systems.
func synthetic(i int, random *rand.Rand) advisory.Advisory {
	ecosystem := []string{"npm", "PyPI", "Go", "Maven", "crates.io", "Debian:12", "Alpine:v3.18", "Rocky Linux:9"}[random.IntN(8)]
	a := advisory.Advisory{
		ID: fmt.Sprintf("GHSA-%04d", i), Title: fmt.Sprintf("title %d", i), Description: strings.Repeat("words ", random.IntN(300)),
		Modified: fmt.Sprintf("2026-01-%02dT00:00:00Z", 1+random.IntN(28)), Severities: []advisory.Severity{{Word: "high"}},
		References: []string{fmt.Sprintf("https://example.com/%d", random.IntN(50))}, CWEs: []string{fmt.Sprintf("CWE-%d", random.IntN(9))},
		Affected: []advisory.Affected{affects(ecosystem, fmt.Sprintf("package%d", random.IntN(20)), "introduced 0", fmt.Sprintf("fixed %d.%d.0", random.IntN(4), random.IntN(9)))},
	}
	if random.IntN(3) > 0 {
		a.Aliases = []string{fmt.Sprintf("CVE-2026-%04d", random.IntN(600))}
	}
	return a
}
