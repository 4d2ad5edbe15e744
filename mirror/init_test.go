package mirror_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/mirror"
)

// A directory that is begun anew knows no generation but the one that the caller names.
func TestAMirrorIsNotBegunWithAnOlderOne(t *testing.T) {
	s := newStory(t)
	dir := filepath.Join(t.TempDir(), "site")
	o := trust(t)
	o.Mirror.NewerThan = 2
	_, err := mirror.Init(t.Context(), dir, written(t, "second", s.fulls[1]), o)
	refusedFor(t, err, mirror.ReasonRollback, "is of generation 2; one after 2 was asked for")
	require.NoDirExists(t, dir)
	_, err = mirror.Init(t.Context(), dir, written(t, "third", s.fulls[2]), o)
	require.NoError(t, err)
	requireHolds(t, dir, s.fulls[2])

	// What says that a mirror is to be made anew says so.
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "generations")))
	_, err = mirror.Look(t.Context(), dir, true, trust(t))
	refusedFor(t, err, mirror.ReasonContent, "not older (stella mirror init --newer-than GENERATION)")
}

// A file system without symbolic links is told before anything is unpacked on it.
func TestAFileSystemWithoutSymbolicLinks(t *testing.T) {
	s := newStory(t)
	full := written(t, "full", s.fulls[0])
	for _, cause := range []error{syscall.EPERM, syscall.EOPNOTSUPP, syscall.ENOSYS} {
		dir := filepath.Join(t.TempDir(), "site")
		_, err := mirror.Init(t.Context(), dir, full, trust(t).Disturbed(func(effect string) error {
			require.NotEqual(t, "create", effect, "it unpacks")
			if effect == "symlink" {
				return cause
			}
			return nil
		}))
		refusedFor(t, err, mirror.ReasonOther, "takes no symbolic links, and a mirror needs one")
		require.NotContains(t, err.Error(), "the mirror stays as it is")
		require.NoDirExists(t, dir)
	}
}

// The root of a new ext4 file system is not empty, and is as good as that.
func TestANewFileSystem(t *testing.T) {
	s := newStory(t)
	full := written(t, "full", s.fulls[0])
	dir := t.TempDir()
	kept := filepath.Join(dir, "lost+found", "#12")
	require.NoError(t, os.MkdirAll(filepath.Dir(kept), 0o700))
	require.NoError(t, os.WriteFile(kept, []byte("found"), 0o600))
	_, err := mirror.Init(t.Context(), dir, full, trust(t).Disturbed(func(effect string) error {
		if effect == "settle" {
			return errKilled
		}
		return nil
	}))
	require.ErrorIs(t, err, errKilled)
	_, err = mirror.Init(t.Context(), dir, full, trust(t))
	require.NoError(t, err)
	_, err = mirror.Apply(t.Context(), dir, []string{s.names["12"]}, trust(t))
	require.NoError(t, err)
	_, err = mirror.Look(t.Context(), dir, true, trust(t))
	require.NoError(t, err)
	require.FileExists(t, kept)

	file := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(file, "lost+found"), nil, 0o600))
	_, err = mirror.Init(t.Context(), file, full, trust(t))
	refusedFor(t, err, mirror.ReasonMirror, "is not empty")
}

// Where files reach the disk one by one, so do the directories that name them.
func TestWhatReachesTheDisk(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a", "b", "c"), nil, 0o644))
	require.NoError(t, os.Symlink("nowhere", filepath.Join(dir, "a", "link")))
	var found []string
	require.NoError(t, mirror.EachBelow(dir, func(path string) error {
		found = append(found, path)
		return nil
	}))
	require.Equal(t, []string{dir, filepath.Join(dir, "a"), filepath.Join(dir, "a", "b"), filepath.Join(dir, "a", "b", "c")}, found)
}
