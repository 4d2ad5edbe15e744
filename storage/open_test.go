package storage_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

func TestOpenExactRefusesAnotherSize(t *testing.T) {
	objects := storagetest.NewObjects()
	content := []byte("twelve bytes")
	storagetest.Put(t, objects, "demo", content)
	blob, err := storage.OpenExact(context.Background(), objects, "demo", bundle.DigestOf(content), 12)
	require.NoError(t, err)
	require.NoError(t, blob.Close())

	for _, size := range []int64{0, 11, 13} {
		_, err := storage.OpenExact(context.Background(), objects, "demo", bundle.DigestOf(content), size)
		require.ErrorIs(t, err, storage.ErrCorrupt)
	}
	_, err = storage.OpenExact(context.Background(), objects, "stranger", bundle.DigestOf(content), 12)
	require.ErrorIs(t, err, storage.ErrNotFound)
}
