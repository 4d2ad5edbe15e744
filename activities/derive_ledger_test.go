package activities

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

func TestMain(m *testing.M) { os.Exit(testkit.Main(m)) }

func anyDocument(rng *rand.Rand) ledger.Observation {
	id := fmt.Sprintf("D-%03d", rng.IntN(120))
	kinds := []ledger.Kind{ledger.KindAdvisory, ledger.KindSBOM, ledger.KindVEX}
	subj := []string{"pkg:npm/a", "pkg:npm/a b", "pkg:npm/é", "", "pkg:go/x", "pkg:npm/zz~"}[rng.IntN(6)]
	pad := make([]byte, rng.IntN(300_000))
	for i := range pad {
		pad[i] = 'a' + byte(rng.IntN(3))
	}
	raw := fmt.Appendf(nil, `{"id":%q,"metadata":{"component":{"name":"shop","version":"%d"}},"p":%q,"r":%d}`, id, rng.IntN(3), pad, rng.IntN(4))
	can, err := bundle.Canonical(raw)
	if err != nil {
		panic(err)
	}
	o := ledger.Observation{Kind: kinds[rng.IntN(3)], Format: "cyclonedx", Source: []string{"s", "t"}[rng.IntN(2)], Stream: "m", UpstreamID: id,
		Modified: time.Date(2026, 1, 1+rng.IntN(20), 0, 0, 0, 0, time.UTC).Format(ledger.ModifiedLayout),
		Raw:      raw, Canonical: can, Digest: bundle.DigestOf(raw), Subject: subj}
	if subj != "" {
		o.Products = []string{subj}
		o.Ecosystems = []string{[]string{"npm", "Go"}[rng.IntN(2)]}
	}
	o.Project = []string{"", "p1"}[rng.IntN(2)]
	return o
}

func planOf(t *testing.T, l *postgres.Ledger, project string, seq int64, sel export.Selectors, parts []stretch) []storage.Shard {
	y := newYard()
	p := newPlanner(y.keep)
	for _, part := range parts {
		if part.kept != nil {
			require.NoError(t, p.adopt(*part.kept))
			continue
		}
		require.NoError(t, l.Current(t.Context(), "acme", project, seq, sel, part.keys, p.add))
	}
	require.NoError(t, p.end())
	return p.shards
}

func TestAPlanThatFollowsOnTheRealLedger(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("SEED %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	db := pgtest.New(t)
	l := postgres.NewLedger(db.DB)
	soon := time.Now().Add(4 * time.Second)
	ago := time.Now().Add(-time.Hour)
	m1, m2 := time.Date(2026, 1, 5, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 12, 0, 0, 0, 0, time.UTC)
	sels := []export.Selectors{{}, {Kinds: []string{"sbom"}}, {Sources: []string{"t"}}, {Ecosystems: []string{"npm"}}, {Products: []string{"pkg:npm/*"}},
		{Products: []string{"pkg:npm/a"}},
		{TimeWindow: &export.TimeWindow{To: &soon, Field: export.TimeObserved}}, {TimeWindow: &export.TimeWindow{From: &soon, Field: export.TimeObserved}},
		{TimeWindow: &export.TimeWindow{From: &ago, To: &soon, Field: export.TimeObserved}},
		{TimeWindow: &export.TimeWindow{From: &m1, To: &m2}},
		{Include: []string{"*1*", "*2"}}, {Exclude: []string{"*3*"}}, {Sample: &export.Sample{Rate: 0.4, Seed: "s"}}, {SBOMSubjects: []string{"shop@1"}}}
	type lastT struct {
		seq    int64
		shards []storage.Shard
	}
	last := map[string]lastT{}
	kept, checked := 0, 0
	var known []ledger.Identity
	for round := range 30 {
		var g errgroup.Group
		for range 2 {
			batch := make([]ledger.Observation, rng.IntN(25))
			for i := range batch {
				batch[i] = anyDocument(rng)
				known = append(known, batch[i].Identity())
			}
			var gone []ledger.Removal
			for range rng.IntN(8) * min(1, len(known)) {
				gone = append(gone, ledger.Removal{Identity: known[rng.IntN(len(known))], Time: time.Date(2026, 1, 1+rng.IntN(22), 0, 0, 0, 0, time.UTC)})
			}
			g.Go(func() error {
				_, err := l.Import(t.Context(), "acme", batch)
				if err == nil {
					_, err = l.Remove(t.Context(), "acme", gone)
				}
				return err
			})
		}
		if round%3 == 0 {
			require.NoError(t, g.Wait()) // others: while importing
		}
		for si, sel := range sels {
			for _, project := range []string{"", "p1"} {
				if rng.IntN(2) == 0 {
					continue
				}
				head, err := l.Head(t.Context(), "acme")
				require.NoError(t, err)
				k := fmt.Sprint(si, project)
				want := planOf(t, l, project, head, sel, everything)
				if old, ok := last[k]; ok {
					touched, all, err := l.Touched(t.Context(), "acme", project, old.seq, head, touchedAtMost)
					require.NoError(t, err)
					require.True(t, all)
					got := planOf(t, l, project, head, sel, derive(old.shards, touched))
					for i := range got {
						got[i].Result = nil
					}
					checked++
					for _, p := range derive(old.shards, touched) {
						if p.kept != nil {
							kept++
						}
					}
					require.True(t, slices.Equal(want, got), "round %d sel %d project %q %d..%d", round, si, project, old.seq, head)
				}
				if rng.IntN(3) > 0 {
					last[k] = lastT{head, want}
				}
			}
		}
		require.NoError(t, g.Wait())
	}
	t.Logf("%d checked, %d shards kept", checked, kept)
	_ = errors.New
}
