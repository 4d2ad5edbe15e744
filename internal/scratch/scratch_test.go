package scratch_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/scratch"
)

func parts(t *testing.T, base string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(base, "exportcenter-work-*"))
	require.NoError(t, err)
	return found
}

func TestAttemptsAreGoneAfterwards(t *testing.T) {
	base := filepath.Join(t.TempDir(), "scratch")
	dir, err := scratch.Open(base)
	require.NoError(t, err)
	one, remove, err := dir.Attempt()
	require.NoError(t, err)
	two, _, err := dir.Attempt()
	require.NoError(t, err)
	require.NotEqual(t, one, two)
	require.NoError(t, os.WriteFile(filepath.Join(one, "f"), []byte("x"), 0o600))
	require.NoError(t, remove())
	require.NoDirExists(t, one)
	require.DirExists(t, two)

	other, err := scratch.Open(base)
	require.NoError(t, err)
	require.DirExists(t, two, "a neighbour that starts leaves the living alone")
	require.Len(t, parts(t, base), 2)
	require.NoError(t, dir.Close())
	require.NoError(t, other.Close())
	require.Empty(t, parts(t, base))
}

// TestOthersAreLeftAlone: what is in a directory for temporary files need not be ours.
func TestOthersAreLeftAlone(t *testing.T) {
	base := t.TempDir()
	theirs := filepath.Join(base, "work-theirs", "lock")
	require.NoError(t, os.Mkdir(filepath.Dir(theirs), 0o700))
	require.NoError(t, os.WriteFile(theirs, nil, 0o600))
	dir, err := scratch.Open(base)
	require.NoError(t, err)
	require.NoError(t, dir.Close())
	require.FileExists(t, theirs)
}

// TestKilledProcessLeavesNothing plays a process that dies with its directory.
func TestKilledProcessLeavesNothing(t *testing.T) {
	base := t.TempDir()
	if os.Getenv("SCRATCH_BASE") != "" {
		dir, err := scratch.Open(os.Getenv("SCRATCH_BASE"))
		require.NoError(t, err)
		path, _, err := dir.Attempt()
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(path, "f"), []byte("x"), 0o600))
		os.Exit(7) // as a kill: nothing is closed
	}
	dying := exec.Command(os.Args[0], "-test.run", "^TestKilledProcessLeavesNothing$")
	dying.Env = append(os.Environ(), "SCRATCH_BASE="+base)
	require.Error(t, dying.Run())
	require.Len(t, parts(t, base), 1, "it is there")
	dir, err := scratch.Open(base)
	require.NoError(t, err)
	require.Len(t, parts(t, base), 1, "only our own")
	require.NoError(t, dir.Close())
}
