package again

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func modeOf(t *testing.T, path string) os.FileMode {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	return info.Mode() & (os.ModePerm | os.ModeSticky)
}

// What was there keeps its mode, as /tmp would have to; what is made can be entered.
func TestADirectoryThatWasThereKeepsItsMode(t *testing.T) {
	there := filepath.Join(t.TempDir(), "tmp")
	require.NoError(t, os.Mkdir(there, 0o700))
	require.NoError(t, os.Chmod(there, 0o777|os.ModeSticky))
	p, err := openPlace(there, true)
	require.NoError(t, err)
	require.Equal(t, 0o777|os.ModeSticky, modeOf(t, there))
	require.Equal(t, os.FileMode(0o711), modeOf(t, p.dir))
	require.Equal(t, os.FileMode(0o711), modeOf(t, filepath.Dir(p.dir)))
	require.Equal(t, there, filepath.Dir(filepath.Dir(p.dir)))
	require.NoError(t, p.close())
	left, err := os.ReadDir(there)
	require.NoError(t, err)
	require.Empty(t, left)

	made := filepath.Join(there, "a", "b")
	p, err = openPlace(made, true)
	require.NoError(t, err)
	for _, dir := range []string{made, filepath.Dir(made), p.dir} {
		require.Equal(t, os.FileMode(0o711), modeOf(t, dir))
	}
	require.NoError(t, p.close())

	p, err = openPlace(filepath.Join(there, "own"), false)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), modeOf(t, p.dir), "who is not root has PostgreSQL run as himself")
	require.NoError(t, p.close())
}

func TestTheSystemsDirectoryForTemporaryFiles(t *testing.T) {
	system := t.TempDir()
	t.Setenv("TMPDIR", system)
	before := modeOf(t, system)
	p, err := openPlace("", true)
	require.NoError(t, err)
	other, err := openPlace("", true)
	require.NoError(t, err)
	require.NotEqual(t, p.own, other.own, "each has its own, whose name nobody knows before")
	require.Equal(t, before, modeOf(t, system))
	require.NoError(t, p.close())
	require.NoError(t, other.close())
	left, err := os.ReadDir(system)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestAPlaceThatIsNoDirectory(t *testing.T) {
	dir := t.TempDir()
	link, file := filepath.Join(dir, "link"), filepath.Join(dir, "file")
	require.NoError(t, os.Symlink(t.TempDir(), link))
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, base := range []string{link, file, filepath.Join(file, "below")} {
		_, err := openPlace(base, true)
		require.ErrorContains(t, err, "scratch directory: ")
	}
	target, err := os.Readlink(link)
	require.NoError(t, err)
	left, err := os.ReadDir(target)
	require.NoError(t, err)
	require.Empty(t, left)
}
