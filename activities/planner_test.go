package activities

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// rows makes n advisories of about size bytes each, in export order.
func rows(n int, size int64) []ledger.Row {
	all := make([]ledger.Row, n)
	for i := range all {
		id := fmt.Sprintf("EXC-%05d", i)
		all[i] = ledger.Row{Seq: int64(n - i), Kind: ledger.KindAdvisory, Subject: "pkg:npm/" + id, UpstreamID: id,
			Source: "osv", Stream: "s", Digest: bundle.DigestOf([]byte(id)), CanonicalBytes: size,
			Place: ledger.Place{Block: int64(i*7919%n) << 1, Slot: int32(i % 40)}}
	}
	return all
}

func plan(t *testing.T, all []ledger.Row) []storage.Shard {
	t.Helper()
	return planned(t, newYard(), all)
}

func TestPlanHoldsEveryDocumentOnceInOrder(t *testing.T) {
	all := rows(5000, 2000)
	y := newYard()
	shards := planned(t, y, all)
	require.Greater(t, len(shards), 3, "10 MB make several shards")
	var places []ledger.Place
	var count, size int64
	for i, shard := range shards {
		require.Equal(t, i, shard.Ordinal)
		var err error
		places, err = storage.ReadPlaces(places, y.places[shard.Hash], shard.Count)
		require.NoError(t, err)
		count, size = count+shard.Count, size+shard.Bytes
	}
	require.EqualValues(t, 5000, count)
	require.EqualValues(t, 5000*2000, size)
	for i, row := range all {
		require.Equal(t, row.Place, places[i])
	}
}

func TestFirstShardOfATypeIsAllZeros(t *testing.T) {
	all := rows(10, 100)
	vex := all[9]
	vex.Kind = ledger.KindVEX
	shards := plan(t, append(all, vex))
	require.Equal(t, "data/raw/advisories-0000000000000000.jsonl.zst", shards[0].Name)
	require.Equal(t, "data/raw/vex-0000000000000000.jsonl.zst", shards[len(shards)-1].Name)
}

func TestNamesOfShardsAreTheHashOfTheirFirstKey(t *testing.T) {
	shards := plan(t, rows(5000, 2000))
	for _, s := range shards[1:] {
		sum := sha256.Sum256([]byte(s.Cursor))
		require.Equal(t, fmt.Sprintf("data/raw/advisories-%x.jsonl.zst", sum[:8]), s.Name)
	}
}

// One document that comes or goes moves no cut but its own (ARCHITECTURE D2).
func TestOneInsertTouchesAtMostTwoShards(t *testing.T) {
	all := rows(5000, 2000)
	known := map[bundle.Digest]bool{}
	for _, s := range plan(t, all) {
		known[s.Hash] = true
	}
	for _, gone := range []int{0, 1, 1234, 2500, 4999} {
		without := append(append([]ledger.Row{}, all[:gone]...), all[gone+1:]...)
		changed := 0
		for _, s := range plan(t, without) {
			if !known[s.Hash] {
				changed++
			}
		}
		require.LessOrEqual(t, changed, 2, "without document %d", gone)
	}
}

func TestALargeDocumentStartsItsOwnShard(t *testing.T) {
	all := rows(3, 100)
	all[1].CanonicalBytes = 4 << 20
	shards := plan(t, all)
	require.GreaterOrEqual(t, len(shards), 2)
	require.True(t, strings.HasPrefix(shards[1].Cursor, all[1].Key()))
}

func TestEmptyPlanIsEmpty(t *testing.T) { require.Empty(t, plan(t, nil)) }

// Whatever changes, the plan that follows from the one before is the plan that
// is made of everything; and it lists little when little has changed.
func TestAPlanThatFollowsIsThePlanOfEverything(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	kinds := []ledger.Kind{ledger.KindAdvisory, ledger.KindSBOM, ledger.KindVEX}
	for round := range 300 {
		now := map[string]ledger.Row{}
		document := func() ledger.Row {
			id := fmt.Sprintf("E-%03d", rng.IntN(150))
			return ledger.Row{Kind: kinds[rng.IntN(1+round%3)], Subject: "pkg:npm/" + id, UpstreamID: id, Source: "s", Stream: "s",
				Digest: bundle.DigestOf(fmt.Append(nil, rng.Uint64())), CanonicalBytes: 1 + rng.Int64N(400_000)}
		}
		for range rng.IntN(200) {
			d := document()
			now[d.Key()] = d
		}
		old := plan(t, inOrder(now))
		for range 3 {
			touched := map[string]bool{}
			for range rng.IntN(6) {
				d := document()
				if touched[d.Key()] = true; rng.IntN(3) == 0 {
					delete(now, d.Key())
				} else {
					now[d.Key()] = d
				}
			}
			var keys []string
			for key := range touched {
				keys = append(keys, key)
			}
			want := plan(t, inOrder(now))
			got, listed := followed(t, old, keys, inOrder(now))
			require.True(t, slices.Equal(want, got), "round %d", round)
			require.LessOrEqual(t, listed, 2*len(keys), "parts that are listed")
			old = got
		}
	}
}

func inOrder(documents map[string]ledger.Row) []ledger.Row {
	var all []ledger.Row
	for _, d := range documents {
		all = append(all, d)
	}
	slices.SortFunc(all, func(a, b ledger.Row) int { return strings.Compare(a.Key(), b.Key()) })
	return all
}

// followed makes the plan that follows old, and counts what it lists.
func followed(t *testing.T, old []storage.Shard, touched []string, all []ledger.Row) (shards []storage.Shard, listed int) {
	t.Helper()
	p := newPlanner(newYard().keep)
	for _, part := range derive(old, touched) {
		if part.kept != nil {
			require.NoError(t, p.adopt(*part.kept))
			continue
		}
		listed++
		require.NoError(t, (&shelf{rows: all}).Current(t.Context(), "", "", 0, export.Selectors{}, part.keys, p.add))
	}
	require.NoError(t, p.end())
	return p.shards, listed
}
