package files_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
)

// A tenant's files are removed and nobody else's; what somebody writes, and what
// nobody made, is named and stays.
func TestRemovalOfATenant(t *testing.T) {
	dir := t.TempDir()
	store, err := files.Open(dir, clock.System, rand.Reader)
	require.NoError(t, err)
	defer store.Close() //nolint:errcheck // test
	publish := func(tenant, content string) bundle.Digest {
		s, err := store.Stage(t.Context(), tenant)
		require.NoError(t, err)
		_, err = s.Write([]byte(content))
		require.NoError(t, err)
		digest, _ := s.Digest()
		require.NoError(t, s.Publish(t.Context()))
		return digest
	}
	publish("acme", "one")
	publish("acme", "two")
	theirs := publish("globex", "one")
	r, err := files.OpenRemoval(dir)
	require.NoError(t, err)
	defer r.Close() //nolint:errcheck // test

	var found []bundle.Digest
	require.NoError(t, r.Blobs(t.Context(), "acme", func(f storage.BlobFile) error {
		found = append(found, f.Digest)
		return nil
	}))
	require.Len(t, found, 2)
	dead := errors.New("the transaction has ended")
	require.ErrorIs(t, r.Erase(t.Context(), "acme", found[0], func(context.Context) error { return dead }), dead)
	require.Error(t, r.RemoveDirectories(t.Context(), "acme"), "there are blobs")
	for range 2 {
		for _, d := range found {
			require.NoError(t, r.Erase(t.Context(), "acme", d, func(context.Context) error { return nil }))
		}
	}

	writing, err := store.Stage(t.Context(), "acme")
	require.NoError(t, err)
	_, err = r.RemoveStaged(t.Context(), "acme", time.Now())
	require.Equal(t, export.ClassTransient, export.ClassOf(err))
	require.ErrorContains(t, err, "a process still writes "+storage.Namespace("acme")+"/staging/")
	require.NoError(t, writing.Discard())
	require.NoError(t, os.WriteFile(filepath.Join(dir, storage.Namespace("acme"), "staging", "left"), nil, 0o600))
	n, err := r.RemoveStaged(t.Context(), "acme", time.Now().Add(time.Second))
	require.NoError(t, err)
	require.Equal(t, 1, n)

	foreign := filepath.Join(dir, storage.Namespace("acme"), "sha256", found[0].Hex()[:2], "notes")
	require.NoError(t, os.WriteFile(foreign, nil, 0o600))
	err = r.RemoveDirectories(t.Context(), "acme")
	require.ErrorContains(t, err, "take it away, then try again")
	require.FileExists(t, foreign)
	require.NoError(t, os.Remove(foreign))
	for range 2 {
		require.NoError(t, r.RemoveDirectories(t.Context(), "acme"))
	}
	require.NoDirExists(t, filepath.Join(dir, storage.Namespace("acme")))
	there, err := store.Stored(t.Context(), "globex", theirs, 3)
	require.NoError(t, err)
	require.True(t, there)
	for _, tenant := range []string{"", "_", "../x"} {
		require.Error(t, r.Blobs(t.Context(), tenant, nil))
		require.Error(t, r.RemoveDirectories(t.Context(), tenant))
		_, err = r.RemoveStaged(t.Context(), tenant, time.Now())
		require.Error(t, err)
	}
}
