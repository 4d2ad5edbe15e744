package frontend_test

import (
	mathrand "math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// No download gives a file of which one bit has flipped, whichever: not as a part
// of the archive, and not one byte of it far from the flip. When the bit is back,
// so is the file.
func TestNoFlippedBitIsServed(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if s, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64); err == nil {
		seed = s
	}
	t.Logf("SEED=%d", seed)
	random := mathrand.New(mathrand.NewPCG(seed, 0))
	s := newShelf(t, 1000, 200_000, 5000)
	const each = 30
	for _, victim := range s.files {
		path, begin, size := s.fileOf(t, victim), s.starts[victim.Path], int(victim.Size)
		for range each {
			bit, from := random.IntN(8*size), begin+random.IntN(size)
			flipBit(t, path, bit)
			require.False(t, s.requireNeverGood(t, 0, len(s.archive)), "bit %d of %s", bit, victim.Path)
			require.False(t, s.requireNeverGood(t, from, from+1), "bit %d of %s", bit, victim.Path)
			require.True(t, s.requireNeverGood(t, 0, begin), "the files before it are good")
			flipBit(t, path, bit)
		}
		require.True(t, s.requireNeverGood(t, 0, len(s.archive)), "all bits of %s are back", victim.Path)
	}
	t.Logf("%d flips in %d files, none was served", each*len(s.files), len(s.files))
}
