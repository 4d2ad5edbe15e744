package tuf_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/tuf"
)

// Roots are written once, on a file system with hard links and on a stick without.
func TestAFolderOfRoots(t *testing.T) {
	first, second := bundletest.RootKey(t, 1), bundletest.RootKey(t, 2)
	chain := bundletest.TUFRoot(t, bundletest.TUFRoot(t, nil, nil, first, bundletest.Key(t, 1)), first, second, bundletest.Key(t, 1))
	other := bundletest.TUFRoot(t, nil, nil, second, bundletest.Key(t, 1))
	for name, on := range map[string]func(testing.TB){"links": func(testing.TB) {}, "none": tuf.WithoutLinks} {
		t.Run(name, func(t *testing.T) {
			on(t)
			folder := tuf.Folder(filepath.Join(t.TempDir(), "roots"))
			for _, root := range chain {
				require.NoError(t, folder.Write(root))
			}
			require.ErrorIs(t, folder.Write(other[0]), fs.ErrExist)
			read, err := folder.Chain()
			require.NoError(t, err)
			require.Equal(t, chain, read)
			names, err := os.ReadDir(string(folder))
			require.NoError(t, err)
			require.Len(t, names, 2, "nothing else is left there")
		})
	}
}

// What a crash may leave on a stick is no root, and says what to do.
func TestAnEmptyRoot(t *testing.T) {
	folder := tuf.Folder(t.TempDir())
	require.NoError(t, os.WriteFile(folder.At(1), nil, 0o644))
	_, err := folder.Chain()
	require.ErrorIs(t, err, tuf.ErrForm)
	require.ErrorContains(t, err, "remove it and give the command again")
}
