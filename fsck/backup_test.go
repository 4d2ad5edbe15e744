package fsck_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/fsck"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// The database was restored from a backup that is older than the blobs: more was
// done since, in a tenant that it knows, and in one that it does not. Each blob
// that it does not know is named, and what to do; nothing else is, what it knows is
// whole, and --repair removes nothing.
func TestDatabaseOlderThanBlobs(t *testing.T) {
	w := newWorld(t) // what is restored
	since := openWorld(t, model.copies(t), w.dir)
	known := w.files(t)
	since.revise(t, acme)
	since.export(t, acme, 41)
	_, err := postgres.NewLedger(since.DB).Import(t.Context(), "hooli", documents(t))
	require.NoError(t, err)
	since.export(t, "hooli", 42)

	want := map[string]bool{}
	for path := range w.files(t) {
		if _, old := known[path]; !old && strings.HasPrefix(path, filepath.Join(w.dir, storage.Namespace(acme))) {
			digest, err := bundle.ParseDigest("sha256:" + filepath.Base(path))
			require.NoError(t, err)
			want[digest.String()] = true
		}
	}
	require.Greater(t, len(want), 4)
	before := w.files(t)
	for _, found := range [][]fsck.Divergence{second(w.look(t, true)), w.repair(t)} {
		require.Len(t, found, len(want)+1)
		for _, d := range found {
			require.False(t, d.Repaired)
			if d.Kind == "namespace-unknown" {
				require.Equal(t, storage.Namespace("hooli"), d.Subject)
				require.Contains(t, d.Action, "older than the blobs")
				continue
			}
			require.Equal(t, "blob-unrecorded", d.Kind)
			require.True(t, want[d.Subject], d.Subject)
			require.Contains(t, d.Action, "If the database was restored from a backup")
		}
	}
	require.Equal(t, before, w.files(t))
	w.requireBundles(t)
}

func second(_ fsck.Looked, found []fsck.Divergence) []fsck.Divergence { return found }
