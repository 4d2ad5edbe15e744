package extsort

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSortedIsWhatSlicesSort(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		// Few different bytes, zeros among them, make equal lines and prefixes.
		line := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, '\n', 'a', 0xff}), 0, 20)
		long := rapid.SliceOfN(rapid.Byte(), 0, 5000)
		want := rapid.SliceOfN(rapid.OneOf(line, line, line, line, line, long), 0, 400).Draw(t, "lines")
		s := New(dir, rapid.SampledFrom([]int{0, 1 << 10, 1 << 13, 1 << 20}).Draw(t, "memory"))
		for _, l := range want {
			own := slices.Clone(l)
			require.NoError(t, s.Add(own))
			for i := range own { // the sorter has a copy
				own[i] = 'x'
			}
		}
		slices.SortFunc(want, bytes.Compare)
		for range 2 { // it may be ranged over again
			got := all(t, s)
			require.Len(t, got, len(want))
			for i := range want {
				require.True(t, bytes.Equal(want[i], got[i]), "line %d", i)
			}
		}
		require.NoError(t, s.Close())
		require.Empty(t, files(t, dir))
	})
}

func all(t require.TestingT, s *Sorter) (lines [][]byte) {
	for line, err := range s.Sorted(context.Background()) {
		require.NoError(t, err)
		lines = append(lines, slices.Clone(line))
	}
	return lines
}

func files(t require.TestingT, dir string) []string {
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	return names
}

// Runs are merged into larger ones when there are more than may be open.
func TestManyRuns(t *testing.T) {
	dir := t.TempDir()
	s := New(dir, 1<<10)
	var want []string
	for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(20_000) {
		want = append(want, fmt.Sprintf("line %d", i))
		require.NoError(t, s.Add([]byte(want[len(want)-1])))
	}
	require.Greater(t, len(files(t, dir)), 10*maxOpen)
	slices.Sort(want)
	for i, line := range all(t, s) {
		require.Equal(t, want[i], string(line))
	}
	require.LessOrEqual(t, len(files(t, dir)), maxOpen)
	require.NoError(t, s.Close())
	require.Empty(t, files(t, dir))
}

func TestMemoryIsBounded(t *testing.T) {
	const memory, lines = 4 << 20, 400_000
	s := New(t.TempDir(), memory)
	defer s.Close() //nolint:errcheck // the directory goes too
	line := make([]byte, 100)
	random := rand.New(rand.NewPCG(3, 4))
	held := heap()
	most := uint64(0)
	for i := range lines {
		for j := range 8 {
			line[j] = byte(random.Uint32())
		}
		require.NoError(t, s.Add(line))
		if i%50_000 == 49_999 {
			most = max(most, heap())
		}
	}
	count := 0
	for _, err := range s.Sorted(t.Context()) {
		require.NoError(t, err)
		if count++; count%50_000 == 0 {
			most = max(most, heap())
		}
	}
	require.Equal(t, lines, count)
	require.Less(t, int64(most)-int64(held), int64(2*memory))
}

// TestLongLinesLetFewerRunsBeOpen: a merge has a line of each run in memory.
func TestLongLinesLetFewerRunsBeOpen(t *testing.T) {
	const memory, long, lines = 4 << 20, 1 << 20, 64
	s := New(t.TempDir(), memory)
	defer s.Close() //nolint:errcheck // the directory goes too
	line := make([]byte, long)
	held, most := heap(), uint64(0)
	for i := range lines {
		line[0] = byte(i * 37 % lines)
		require.NoError(t, s.Add(line))
	}
	count := 0
	for sorted, err := range s.Sorted(t.Context()) {
		require.NoError(t, err)
		require.Len(t, sorted, long)
		require.Equal(t, byte(count), sorted[0])
		most = max(most, heap())
		count++
	}
	require.Equal(t, lines, count)
	require.Less(t, int64(most)-int64(held), int64(memory+memory/2))
	require.ErrorContains(t, s.Add(make([]byte, 0)), "after Sorted")

	s = New(t.TempDir(), memory)
	require.ErrorContains(t, s.Add(make([]byte, MaxLine+1)), "a line has 33554433 bytes, at most 33554432 are taken")
	require.NoError(t, s.Close())
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestAFullDiskNamesItsFile(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("missing: /dev/full")
	}
	s := New(t.TempDir(), 0)
	s.create = func(string) (*os.File, error) { return os.OpenFile("/dev/full", os.O_WRONLY, 0) }
	var err error
	for range 1000 {
		if err = s.Add([]byte("a line that fills the disk")); err != nil {
			break
		}
	}
	require.ErrorContains(t, err, "write /dev/full: no space left on device")
	s.create = createRun // also when there is room again, what is missing is missing
	require.Equal(t, err, s.Add([]byte("another")))
	for _, found := range s.Sorted(t.Context()) {
		require.Equal(t, err, found)
	}
}

func TestWhatFailsSaysSo(t *testing.T) {
	dir := t.TempDir()
	fill := func() *Sorter {
		s := New(dir, 0)
		for i := range 1000 {
			require.NoError(t, s.Add(fmt.Append(nil, i)))
		}
		return s
	}
	first := func(s *Sorter, ctx context.Context) error {
		for _, err := range s.Sorted(ctx) {
			if err != nil {
				return err
			}
		}
		return nil
	}
	s := fill()
	info, err := os.Stat(s.runs[0].name)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(s.runs[0].name, info.Size()-1))
	require.ErrorContains(t, first(s, t.Context()), filepath.Base(s.runs[0].name)+": unexpected EOF")
	require.ErrorContains(t, s.Add(nil), "after Sorted")
	require.NoError(t, s.Close())

	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	s = fill()
	require.ErrorIs(t, first(s, cancelled), context.Canceled)
	require.NoError(t, s.Close())
	require.ErrorContains(t, first(s, t.Context()), "after Close")

	s = New(filepath.Join(dir, "absent"), 0)
	require.NoError(t, s.Add(make([]byte, 2000)))
	require.ErrorContains(t, s.Add(make([]byte, 2000)), "absent")
	require.Empty(t, files(t, dir))

	s = fill() // who stops early leaves nothing behind
	for range s.Sorted(t.Context()) {
		break
	}
	require.NoError(t, s.Close())
	require.Empty(t, files(t, dir))
}

// BenchmarkSort sorts a million lines of 100 bytes in 16 MiB.
func BenchmarkSort(b *testing.B) {
	const lines = 1_000_000
	line := make([]byte, 100)
	b.SetBytes(int64(lines * len(line)))
	b.ReportAllocs()
	for b.Loop() {
		random := rand.New(rand.NewPCG(5, 6))
		s := New(b.TempDir(), 16<<20)
		for range lines {
			for j := range 16 {
				line[j] = "0123456789abcdef"[random.Uint32()&15]
			}
			require.NoError(b, s.Add(line))
		}
		count := 0
		for _, err := range s.Sorted(b.Context()) {
			require.NoError(b, err)
			count++
		}
		require.Equal(b, lines, count)
		require.NoError(b, s.Close())
	}
}
