package durable

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReplacesWholeFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	require.NoError(t, WriteFile(path, []byte("a long first content"), 0o600))
	require.NoError(t, WriteFile(path, []byte("short"), 0o600))
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "short", string(raw))
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())
	require.NoFileExists(t, path+".new")
}

func TestFailureLeavesTheOldContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	require.NoError(t, WriteFile(path, []byte("old"), 0o600))
	require.NoError(t, os.Mkdir(path+".new", 0o700)) // nothing can be staged
	require.ErrorContains(t, WriteFile(path, []byte("new"), 0o600), path)
	raw, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "old", string(raw))
}
