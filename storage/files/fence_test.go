package files_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

// mayErase is the answer to an eraser that holds the blob.
func mayErase(context.Context) error { return nil }

// Who waits for an eraser that does not go on gets an answer that is worth a
// retry, sooner than the database takes his own transaction for dead (10 s).
func TestNobodyWaitsForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := open(t, t.TempDir(), time.Now())
		digest := storagetest.Put(t, s, "acme", []byte("x"))
		goOn := storagetest.Stopped(t, s.Delete, "acme", digest)
		began := time.Now()
		within, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := s.Delete(within, "acme", digest, mayErase)
		require.Equal(t, export.CodeUnavailable, export.CodeOf(err))
		require.True(t, export.ClassOf(err).Retryable())
		require.ErrorContains(t, err, "is one stopped?")
		require.Less(t, time.Since(began), 10*time.Second)
		require.NoError(t, goOn())
		require.NoError(t, s.Delete(t.Context(), "acme", digest, mayErase))
	})
}

// Blobs lie in 256 directories: an eraser that is stopped holds up those of other
// blobs only in its own.
func TestErasersOfOtherDirectoriesDoNotWait(t *testing.T) {
	s := open(t, t.TempDir(), time.Now())
	doomed := storagetest.Put(t, s, "acme", []byte("0"))
	other := storagetest.Put(t, s, "acme", []byte("1"))
	require.NotEqual(t, doomed.Hex()[:2], other.Hex()[:2])
	goOn := storagetest.Stopped(t, s.Delete, "acme", doomed)
	require.NoError(t, s.Delete(t.Context(), "acme", other, mayErase))
	require.NoError(t, goOn())
}
