package activities

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// rows makes n advisories of about size bytes each, in export order.
func rows(n int, size int64) []ledger.Row {
	all := make([]ledger.Row, n)
	for i := range all {
		id := fmt.Sprintf("EXC-%05d", i)
		all[i] = ledger.Row{Seq: int64(n - i), Kind: ledger.KindAdvisory, Subject: "pkg:npm/" + id, UpstreamID: id,
			Source: "osv", Stream: "s", Digest: bundle.DigestOf([]byte(id)), CanonicalBytes: size}
	}
	return all
}

func plan(t *testing.T, all []ledger.Row) ([]storage.Shard, []planLine) {
	t.Helper()
	var blob bytes.Buffer
	p := newPlanner(&blob)
	for _, row := range all {
		require.NoError(t, p.add(row))
	}
	require.NoError(t, p.finish())
	var lines []planLine
	require.NoError(t, readPlan(&blob, func(l planLine) error {
		lines = append(lines, l)
		return nil
	}))
	return p.shards, lines
}

func TestPlanHoldsEveryDocumentOnceInOrder(t *testing.T) {
	all := rows(5000, 2000)
	shards, lines := plan(t, all)
	require.Greater(t, len(shards), 3, "10 MB make several shards")
	require.Len(t, lines, len(shards))
	var seqs []int64
	var count, size int64
	for i, shard := range shards {
		require.Equal(t, i, shard.Ordinal)
		require.Equal(t, i, lines[i].Ordinal)
		require.EqualValues(t, len(lines[i].Seqs), shard.Count)
		seqs = append(seqs, lines[i].Seqs...)
		count, size = count+shard.Count, size+shard.Bytes
	}
	require.EqualValues(t, 5000, count)
	require.EqualValues(t, 5000*2000, size)
	for i, row := range all {
		require.Equal(t, row.Seq, seqs[i])
	}
}

func TestFirstShardOfATypeIsAllZeros(t *testing.T) {
	all := rows(10, 100)
	vex := all[9]
	vex.Kind = ledger.KindVEX
	shards, _ := plan(t, append(all, vex))
	require.Equal(t, "data/raw/advisories-0000000000000000.jsonl.zst", shards[0].Name)
	require.Equal(t, "data/raw/vex-0000000000000000.jsonl.zst", shards[len(shards)-1].Name)
}

func TestNamesOfShardsAreTheHashOfTheirFirstKey(t *testing.T) {
	shards, _ := plan(t, rows(5000, 2000))
	for _, s := range shards[1:] {
		sum := sha256.Sum256([]byte(s.Cursor))
		require.Equal(t, fmt.Sprintf("data/raw/advisories-%x.jsonl.zst", sum[:8]), s.Name)
	}
}

// One document that comes or goes moves no cut but its own (ARCHITECTURE D2).
func TestOneInsertTouchesAtMostTwoShards(t *testing.T) {
	all := rows(5000, 2000)
	before, _ := plan(t, all)
	known := map[bundle.Digest]bool{}
	for _, s := range before {
		known[s.Hash] = true
	}
	for _, gone := range []int{0, 1, 1234, 2500, 4999} {
		without := append(append([]ledger.Row{}, all[:gone]...), all[gone+1:]...)
		after, _ := plan(t, without)
		changed := 0
		for _, s := range after {
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
	shards, _ := plan(t, all)
	require.GreaterOrEqual(t, len(shards), 2)
	require.True(t, strings.HasPrefix(shards[1].Cursor, all[1].Key()))
}

func TestEmptyPlanIsEmpty(t *testing.T) {
	shards, lines := plan(t, nil)
	require.Empty(t, shards)
	require.Empty(t, lines)
}

func TestCutPlanIsAnError(t *testing.T) {
	err := readPlan(strings.NewReader(`{"ordinal":0,"seqs":[1,2`), func(planLine) error { return nil })
	require.ErrorContains(t, err, "read plan")
}
