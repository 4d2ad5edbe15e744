package postgres_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// nasty are texts that mean something to SQL, to LIKE, or to our patterns.
var nasty = []string{"CVE-2024-1", "CVE-2024-10", "GHSA-aa_b", "GHSA-aaxb", "a%b", "a\\b", "x'; drop table export_runs; --", `"$1"`, "ünï-✓", "*", "a*b", "%", "_"}

func pick(rng *rand.Rand, from []string, most int) []string {
	var some []string
	for range rng.IntN(most + 1) {
		some = append(some, from[rng.IntN(len(from))])
	}
	slices.Sort(some)
	return slices.Compact(some)
}

var (
	someProducts   = []string{"pkg:npm/a", "pkg:npm/ab", "pkg:npm/a@1.0", "pkg:golang/example.org/x", "pkg:npm/b%20c"}
	someEcosystems = []string{"npm", "Go", "it's"}
	someSeverities = []string{"critical", "high", "low", "medium", "none"}
	somePatterns   = append([]string{"CVE-*", "*-1", "GHSA-aa_*", "*a*b*", "nothing", "*'*", "**"}, nasty...)
)

// anyObservation is a current document with everything that can be selected by.
func anyObservation(rng *rand.Rand, n int) ledger.Observation {
	modified := ""
	if rng.IntN(5) > 0 {
		modified = time.Date(2026, 1, 1+rng.IntN(4), 0, 0, 0, 0, time.UTC).Format(ledger.ModifiedLayout)
	}
	o := document([]string{"s", "t"}[rng.IntN(2)], fmt.Sprintf("%s %d", nasty[rng.IntN(len(nasty))], n), modified, fmt.Sprint(n))
	if rng.IntN(2) == 0 {
		o.UpstreamID = nasty[rng.IntN(len(nasty))]
	}
	o.Source = "s"
	o.Kind = []ledger.Kind{ledger.KindAdvisory, ledger.KindVEX, ledger.KindSBOM}[rng.IntN(3)]
	if o.Kind == ledger.KindSBOM {
		o.Format = "cyclonedx"
		o.Raw = fmt.Appendf(nil, `{"metadata":{"component":{"hashes":[{"alg":"SHA-256","content":"A%d"}],"name":"shop","version":"%d"}},"n":%d}`, rng.IntN(3), rng.IntN(3), n)
		if rng.IntN(3) == 0 {
			o.Raw = fmt.Appendf(nil, `{"n":%d}`, n)
		}
		o.Canonical, o.Digest = o.Raw, bundle.DigestOf(o.Raw)
	}
	o.Products, o.Ecosystems, o.Aliases, o.Severities = pick(rng, someProducts, 2), pick(rng, someEcosystems, 2), pick(rng, nasty, 2), pick(rng, someSeverities, 2)
	o.Subject = ledger.SubjectOf(o.Products)
	return o
}

func anySelectors(rng *rand.Rand) (sel export.Selectors) {
	chance := func() bool { return rng.IntN(4) == 0 }
	if chance() {
		sel.Kinds = pick(rng, []string{"advisory", "vex", "sbom", "x'"}, 3)
	}
	if chance() {
		sel.Sources = pick(rng, []string{"s", "' or true --"}, 2)
	}
	if chance() {
		from, to := time.Date(2026, 1, 1+rng.IntN(4), 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 3+rng.IntN(4), 0, 0, 0, 0, time.UTC)
		sel.TimeWindow = &export.TimeWindow{From: &from, To: &to}
	}
	if chance() {
		sel.Severities = pick(rng, someSeverities, 3)
	}
	if chance() {
		sel.Products = pick(rng, []string{"pkg:npm/a", "pkg:npm/*", "pkg:*example*", "pkg:npm/b%20c", "pkg:%"}, 2)
	}
	if chance() {
		sel.Ecosystems = pick(rng, someEcosystems, 2)
	}
	if rng.IntN(8) == 0 {
		sel.SBOMSubjects = pick(rng, []string{"shop@*", "sha256:a1", "lib-?", "'", "shop"}, 2)
	}
	if chance() {
		sel.Include = pick(rng, somePatterns, 3)
	}
	if chance() {
		sel.Exclude = pick(rng, somePatterns, 3)
	}
	if chance() {
		sel.Sample = &export.Sample{Rate: []float64{0, 0.1, 0.5, 0.9, 1}[rng.IntN(5)], Seed: nasty[rng.IntN(len(nasty))], Method: export.SampleHash}
	}
	return sel
}

// Whatever is selected, the database finds what ledger.LeftOut says, in both ways
// of listing, and counts what it leaves out member by member. Texts that mean
// something to SQL are data.
func TestSelectionsAreThoseOfTheDefinition(t *testing.T) {
	rng := seeded(t)
	db := pgtest.New(t)
	store, catalog := postgres.NewLedger(db.DB), postgres.NewCatalog(db.DB)
	var all []ledger.Observation
	for n := range 300 {
		all = append(all, anyObservation(rng, n))
	}
	_, err := store.Import(t.Context(), "acme", all)
	require.NoError(t, err)
	head, err := store.Head(t.Context(), "acme")
	require.NoError(t, err)
	recorded := time.Now()
	members := map[string]int{}
	for range 100 {
		sel := anySelectors(rng)
		var wanted []ledger.Observation
		left := map[string]int64{}
		for _, o := range greatestOf(all) {
			if member := ledger.LeftOut(sel, o, recorded); member == "" {
				wanted = append(wanted, o)
			} else {
				left[member]++
				members[member]++
			}
		}
		require.Equal(t, currentOf(wanted), digests(current(t, store, "acme", head, sel)), "%+v", sel)
		require.Equal(t, current(t, store, "acme", head, sel), postgres.ListCurrent(t, db.DB, "acme", head, sel, true), "%+v", sel)
		counted, err := catalog.Excluded(t.Context(), "acme", "", head, sel)
		require.NoError(t, err)
		for _, e := range counted {
			require.Equal(t, left[e.Member], e.Documents, "%s of %+v", e.Member, sel)
			require.Equal(t, e.Documents > 0, e.Bytes > 0)
			delete(left, e.Member)
		}
		require.Empty(t, left, "%+v", sel)
	}
	for _, member := range ledger.SelectorMembers {
		require.Positive(t, members[member], "%s left nothing out: the test says nothing of it", member)
	}
	require.Empty(t, current(t, store, "globex", head, export.Selectors{Include: []string{"*"}}))
}

// The hash of a sample is the database's own; it keeps what Go's keeps.
func TestSamplesAreTheSameEverywhere(t *testing.T) {
	db := pgtest.New(t)
	store := postgres.NewLedger(db.DB)
	var all []ledger.Observation
	for n := range 2000 {
		all = append(all, document("s", fmt.Sprintf("ünï-%d", n), someTime, fmt.Sprint(n)))
	}
	importAll(t, store, "acme", all)
	for _, sample := range []export.Sample{{Rate: 0.3, Seed: ""}, {Rate: 0.3, Seed: "✓ seed"}, {Rate: 1e-3, Seed: "s"}, {Rate: 1}, {}} {
		var kept []ledger.Observation
		for _, o := range all {
			if sample.Keeps(o.UpstreamID) {
				kept = append(kept, o)
			}
		}
		rows := current(t, store, "acme", 2000, export.Selectors{Sample: &sample})
		require.Equal(t, currentOf(kept), digests(rows))
		// Documents that come later change nothing of who is kept.
		require.Subset(t, keysOf(rows), keysOf(current(t, store, "acme", 1000, export.Selectors{Sample: &sample})))
	}
}

func keysOf(rows []ledger.Row) (keys []string) {
	for _, r := range rows {
		keys = append(keys, r.Key())
	}
	return keys
}
