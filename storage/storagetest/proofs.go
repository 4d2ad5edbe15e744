package storagetest

import (
	"crypto/sha256"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/storage"
)

// Proofs is the suite that defines a memory of used proofs. open gives two views of
// one memory, as two API processes have them.
func Proofs(t *testing.T, open func(t *testing.T) (one, other storage.Proofs)) {
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	proof := func(text string) storage.Proof { return storage.Proof{ID: sha256.Sum256([]byte(text))} }
	t.Run("a proof serves once, whoever asks", func(t *testing.T) {
		one, other := open(t)
		require.NoError(t, one.Use(t.Context(), proof("a"), now))
		require.ErrorIs(t, one.Use(t.Context(), proof("a"), now), storage.ErrProofUsed)
		require.ErrorIs(t, other.Use(t.Context(), proof("a"), now.Add(2*time.Minute)), storage.ErrProofUsed)
		require.NoError(t, other.Use(t.Context(), proof("b"), now))
		require.ErrorIs(t, one.Use(t.Context(), proof("b"), now), storage.ErrProofUsed)
	})
	t.Run("of many at once one is the first", func(t *testing.T) {
		one, other := open(t)
		const proofs, each = 40, 8
		var first [proofs]atomic.Int64
		var all sync.WaitGroup
		for n := range proofs * each {
			all.Go(func() {
				memory := one
				if n/proofs%2 == 1 {
					memory = other
				}
				switch err := memory.Use(t.Context(), proof(string(rune('A'+n%proofs))), now); {
				case err == nil:
					first[n%proofs].Add(1)
				case !errors.Is(err, storage.ErrProofUsed):
					t.Errorf("%v", err)
				}
			})
		}
		all.Wait()
		for i := range first {
			require.EqualValues(t, 1, first[i].Load(), "proof %d", i)
		}
	})
}
