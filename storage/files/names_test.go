package files_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

// A store keeps the blobs of tenants below its directory and nowhere else, and has
// nothing to do with what is no tenant's name.
func TestNamesInFiles(t *testing.T) {
	dir := t.TempDir()
	root := filepath.Join(dir, "blobs")
	store := open(t, root, time.Now())
	content := []byte("content")
	good := 0
	for _, name := range testkit.Names() {
		if export.ValidTenant(name) {
			good++
			storagetest.Put(t, store, name, content)
			continue
		}
		_, err := store.Stage(t.Context(), name)
		require.Equal(t, export.CodeTenantRequired, export.CodeOf(err), "%.80q", name)
		_, err = store.Open(t.Context(), name, bundle.DigestOf(content))
		require.Equal(t, export.CodeTenantRequired, export.CodeOf(err), "%.80q", name)
	}
	beside, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, beside, 1, "nothing lies beside the store")
	blobs := 0
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		require.NoError(t, err)
		below, err := filepath.Rel(root, path)
		require.NoError(t, err)
		require.Regexp(t, `\A(\.|[0-9a-f]{64}(/(staging(/\.?[a-z]+)?|sha256(/(\.?[a-z]+|[0-9a-f]{2}(/[0-9a-f]{64})?))?))?)\z`, below)
		if entry.Type().IsRegular() && filepath.Base(path) == bundle.DigestOf(content).Hex() {
			blobs++
		}
		return nil
	}))
	require.Equal(t, good, blobs, "each tenant has a copy of its own")
}
