package files_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

func survey(t *testing.T, dir string) *files.Survey {
	t.Helper()
	s, err := files.OpenSurvey(dir)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestSurveyTellsWhatIsThereAndChangesNothing(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, time.Now())
	want := map[string]int64{}
	for i := range 300 {
		content := strings.Repeat("x", i)
		want[storagetest.Put(t, s, "acme", []byte(content)).Hex()] = int64(i)
	}
	storagetest.Put(t, s, "globex", []byte("of globex"))
	staged, err := s.Stage(t.Context(), "acme")
	require.NoError(t, err)
	_, err = staged.Write([]byte("half"))
	require.NoError(t, err)
	old := time.Now().Add(-48 * time.Hour).Truncate(time.Second)
	namespace := storage.Namespace("acme")
	half, err := filepath.Glob(filepath.Join(dir, namespace, "staging", "*"))
	require.NoError(t, err)
	require.Len(t, half, 1)
	require.NoError(t, os.Chtimes(half[0], old, old))
	require.NoError(t, os.Mkdir(filepath.Join(dir, "lost+found"), 0o700))
	before := tree(t, dir)

	look := survey(t, dir)
	namespaces, err := look.Namespaces(t.Context())
	require.NoError(t, err)
	expected := []string{namespace, storage.Namespace("globex")}
	slices.Sort(expected)
	require.Equal(t, expected, namespaces)
	var digests []string
	require.NoError(t, look.Blobs(t.Context(), namespace, func(f storage.BlobFile) error {
		require.Equal(t, want[f.Digest.Hex()], f.Size)
		digests = append(digests, f.Digest.Hex())
		return nil
	}))
	require.Len(t, digests, len(want))
	require.IsIncreasing(t, digests)
	require.NoError(t, look.Staged(t.Context(), func(f storage.BlobFile) error {
		require.Equal(t, filepath.Join(dir, filepath.FromSlash(f.Path)), half[0])
		require.Equal(t, int64(4), f.Size)
		require.True(t, old.Equal(f.Modified))
		return nil
	}))
	require.NoError(t, look.Foreign(t.Context(), func(f storage.BlobFile) error { return errors.New(f.Path) }))
	require.Equal(t, before, tree(t, dir), "also what is old is left")
	stop := errors.New("enough")
	require.ErrorIs(t, look.Blobs(t.Context(), namespace, func(storage.BlobFile) error { return stop }), stop)
}

func TestSurveyTellsForeignThings(t *testing.T) {
	dir := t.TempDir()
	digest := storagetest.Put(t, open(t, dir, time.Now()), "acme", []byte("hello"))
	in := func(parts ...string) string {
		return filepath.Join(append([]string{dir, storage.Namespace("acme")}, parts...)...)
	}
	foreign := []string{
		filepath.Join(dir, "README"), filepath.Join(dir, "probe"), in("sha512"), in("sha256", "zz"), in("sha256", "ab"),
		in("sha256", digest.Hex()[:2], strings.ToUpper(digest.Hex())), in("sha256", digest.Hex()[:2], digest.Hex()+".tmp"),
		in("sha256", digest.Hex()[:2], strings.Repeat("0", 64)),
	}
	for _, path := range foreign {
		require.NoError(t, os.WriteFile(path, nil, 0o600))
	}
	link := in("sha256", digest.Hex()[:2], digest.Hex()[:2]+strings.Repeat("0", 62))
	require.NoError(t, os.Symlink("/etc/passwd", link))
	foreign = append(foreign, link)
	require.NoError(t, os.MkdirAll(in("staging", "deep"), 0o700))
	foreign = append(foreign, in("staging", "deep"))

	var found []string
	require.NoError(t, survey(t, dir).Foreign(t.Context(), func(f storage.BlobFile) error {
		found = append(found, filepath.Join(dir, filepath.FromSlash(f.Path)))
		return nil
	}))
	require.ElementsMatch(t, foreign, found)
	blobs := 0
	require.NoError(t, survey(t, dir).Blobs(t.Context(), storage.Namespace("acme"), func(f storage.BlobFile) error {
		require.Equal(t, digest, f.Digest)
		blobs++
		return nil
	}))
	require.Equal(t, 1, blobs)
}

func TestSurveyStat(t *testing.T) {
	dir := t.TempDir()
	digest := storagetest.Put(t, open(t, dir, time.Now()), "acme", []byte("hello"))
	look := survey(t, dir)
	size, there, err := look.Stat(t.Context(), storage.Namespace("acme"), digest)
	require.NoError(t, err)
	require.True(t, there)
	require.Equal(t, int64(5), size)
	_, there, err = look.Stat(t.Context(), storage.Namespace("globex"), digest)
	require.NoError(t, err)
	require.False(t, there)
	_, err = look.Open(t.Context(), storage.Namespace("globex"), bundle.Digest{})
	require.ErrorIs(t, err, storage.ErrNotFound)
	_, err = files.OpenSurvey(filepath.Join(dir, "absent"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
