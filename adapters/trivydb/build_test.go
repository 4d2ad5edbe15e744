package trivydb

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters"
)

// many are documents of several sources that speak of the same packages.
func many(t testing.TB) (lines [][]byte) {
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 3000 {
		lines = append(lines, packAdvisory(t, []string{"a", "b"}[random.IntN(2)], []string{"x", "y"}[random.IntN(2)], synthetic(i, random)))
	}
	return lines
}

// TestTheSameBytes: the database depends on the documents alone, not on the
// shards they are in, their order, the number of processors, or the locale.
func TestTheSameBytes(t *testing.T) {
	lines := many(t)
	want := build(t, shard(bytes.Join(lines, nil)))
	wantBytes, err := os.ReadFile(want.path)
	require.NoError(t, err)
	for i, processors := range []int{1, 2, 8} {
		t.Setenv("TZ", []string{"UTC", "Asia/Kathmandu", "America/St_Johns"}[i])
		t.Setenv("LANG", []string{"C", "tr_TR.UTF-8", "de_DE.UTF-8"}[i])
		before := runtime.GOMAXPROCS(processors)
		random := rand.New(rand.NewPCG(uint64(i), 3))
		random.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
		var shards []adapters.Shard
		for rest := lines; len(rest) > 0; {
			n := min(1+random.IntN(500), len(rest))
			shards, rest = append(shards, shard(bytes.Join(rest[:n], nil))), rest[n:]
		}
		got := build(t, shards...)
		runtime.GOMAXPROCS(before)
		gotBytes, err := os.ReadFile(got.path)
		require.NoError(t, err)
		require.True(t, bytes.Equal(wantBytes, gotBytes), "%d shards on %d processors", len(shards), processors)
		require.Equal(t, string(want.text), string(got.text))
		require.Equal(t, want.about, got.about)
		require.Equal(t, want.built, got.built)
		require.Equal(t, want.records, got.records)
	}
}

// TestAShardThatBreaksOff fails the build and names the shard.
func TestAShardThatBreaksOff(t *testing.T) {
	broken := shard(packAdvisory(t, "s", "t", lodash))
	broken.Open = func(context.Context) (io.ReadCloser, error) { return nil, errors.New("the disk is gone") }
	_, err := Adapter{}.Build(t.Context(), adapters.Input{Shards: []adapters.Shard{broken}, Stamp: stamp, Scratch: t.TempDir()}, output{d: &database{}})
	require.ErrorContains(t, err, broken.Path)
	require.ErrorContains(t, err, "the disk is gone")
}

// TestNothingSelected gives a database that Trivy opens.
func TestNothingSelected(t *testing.T) {
	d := build(t)
	reader(t, d)
	require.Zero(t, d.records)
}
