package files_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/storagetest"
)

func open(t *testing.T, dir string, now time.Time) *files.Store {
	t.Helper()
	s, err := files.Open(dir, clock.Fixed(now), rand.Reader)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func TestFilesIsAStore(t *testing.T) {
	storagetest.Objects(t, func(t *testing.T) storage.Objects { return open(t, t.TempDir(), time.Now()) })
}

// blobFile is where a blob is documented to be.
func blobFile(dir, tenant string, digest bundle.Digest) string {
	return filepath.Join(dir, storage.Namespace(tenant), "sha256", digest.Hex()[:2], digest.Hex())
}

// tree lists the files below dir.
func tree(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			found = append(found, path)
		}
		return err
	}))
	return found
}

func TestLayout(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, time.Now())
	digest := storagetest.Put(t, s, "acme", []byte("hello"))
	storagetest.Put(t, s, "acme", []byte("hello"))
	require.NoError(t, s.Check(t.Context()))
	require.Equal(t, []string{blobFile(dir, "acme", digest)}, tree(t, dir), "nothing staged is left behind")
	info, err := os.Stat(blobFile(dir, "acme", digest))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o444), info.Mode())
	content, err := os.ReadFile(blobFile(dir, "acme", digest))
	require.NoError(t, err)
	require.Equal(t, "hello", string(content))
}

func TestABlobThatWasCutOnDiskIsReplaced(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, time.Now())
	digest := storagetest.Put(t, s, "acme", []byte("complete"))
	path := blobFile(dir, "acme", digest)
	require.NoError(t, os.Chmod(path, 0o600))
	require.NoError(t, os.Truncate(path, 3))
	blob, err := s.Open(t.Context(), "acme", digest)
	require.NoError(t, err)
	require.Equal(t, int64(3), blob.Size(), "the caller compares it with what it expects")
	require.NoError(t, blob.Close())
	storagetest.Put(t, s, "acme", []byte("complete"))
	require.Equal(t, "complete", string(storagetest.Get(t, s, "acme", digest)))
}

func TestOpenRemovesAbandonedFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, time.Now())
	staged, err := s.Stage(t.Context(), "acme")
	require.NoError(t, err)
	_, err = staged.Write([]byte("half a blob"))
	require.NoError(t, err)
	published := storagetest.Put(t, s, "acme", []byte("whole"))
	probe := filepath.Join(dir, "probe", "forgotten")
	require.NoError(t, os.MkdirAll(filepath.Dir(probe), 0o700))
	require.NoError(t, os.WriteFile(probe, nil, 0o600))
	require.Len(t, tree(t, dir), 3)

	left := filepath.Join(dir, storage.Namespace("acme"), "staging", "00000000000000000000000000000000")
	require.NoError(t, os.WriteFile(left, []byte("its writer was killed"), 0o600))

	again := open(t, dir, time.Now().Add(24*time.Hour))
	require.NoFileExists(t, left)
	require.NoFileExists(t, probe)
	require.Len(t, tree(t, dir), 2, "a writer that lives keeps its file, however long it takes")
	require.Equal(t, "whole", string(storagetest.Get(t, again, "acme", published)))
	require.NoError(t, staged.Publish(t.Context()))
	require.Len(t, tree(t, dir), 2)
}

// TestWritersAndSweepsAtTheSameTime stages and publishes while others open the
// store again and again: no sweep may take a file from under its writer.
func TestWritersAndSweepsAtTheSameTime(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, time.Now())
	stop, swept := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			select {
			case <-stop:
				swept <- nil
				return
			default:
			}
			other, err := files.Open(dir, clock.Fixed(time.Now()), rand.Reader)
			if err == nil {
				err = other.Close()
			}
			if err != nil {
				swept <- err
				return
			}
		}
	}()
	for i := range 500 {
		content := fmt.Appendf(nil, "blob %d", i)
		digest := storagetest.Put(t, s, "acme", content)
		require.Equal(t, content, storagetest.Get(t, s, "acme", digest))
	}
	close(stop)
	require.NoError(t, <-swept)
	require.Len(t, tree(t, dir), 500)
}

func TestNothingLeadsOutOfTheRoot(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	s := open(t, dir, time.Now())
	content := []byte("secret")
	digest := bundle.DigestOf(content)
	elsewhere := filepath.Join(outside, digest.Hex())
	require.NoError(t, os.WriteFile(elsewhere, content, 0o600))
	link := blobFile(dir, "acme", digest)
	require.NoError(t, os.MkdirAll(filepath.Dir(link), 0o700))
	require.NoError(t, os.Symlink(elsewhere, link))
	_, err := s.Open(t.Context(), "acme", digest)
	require.Error(t, err)
	storagetest.Put(t, s, "acme", content)
	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.True(t, info.Mode().IsRegular(), "the link is replaced, not followed")
	require.NoError(t, s.Delete(t.Context(), "acme", digest, mayErase))
	require.FileExists(t, elsewhere)

	require.NoError(t, os.Symlink(outside, filepath.Join(dir, storage.Namespace("globex"))))
	_, err = s.Stage(t.Context(), "globex")
	require.Error(t, err)
	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func TestADirectoryIsNoBlob(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, time.Now())
	digest := bundle.DigestOf([]byte("x"))
	require.NoError(t, os.MkdirAll(blobFile(dir, "acme", digest), 0o700))
	_, err := s.Open(t.Context(), "acme", digest)
	require.ErrorIs(t, err, storage.ErrCorrupt)
}

func TestCheckTellsOfAStoreThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, time.Now())
	require.NoError(t, s.Check(t.Context()))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "probe")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "probe"), nil, 0o600))
	require.ErrorContains(t, s.Check(t.Context()), "check blob store")
}

func TestChanceIsAnArgument(t *testing.T) {
	dir := t.TempDir()
	s, err := files.Open(dir, clock.Fixed(time.Now()), bytes.NewReader(bytes.Repeat([]byte{0xab}, 32)))
	require.NoError(t, err)
	defer s.Close() //nolint:errcheck // test
	staged, err := s.Stage(t.Context(), "acme")
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(dir, storage.Namespace("acme"), "staging", "abababababababababababababababab"))
	_, err = s.Stage(t.Context(), "acme")
	require.ErrorIs(t, err, fs.ErrExist, "a name is never used twice")
	_, err = s.Stage(t.Context(), "acme")
	require.ErrorContains(t, err, "choose a name", "no chance left")
	require.NoError(t, errors.Join(staged.Discard(), staged.Discard()))
}

func BenchmarkPublish(b *testing.B) {
	s, err := files.Open(b.TempDir(), clock.System, rand.Reader)
	require.NoError(b, err)
	defer s.Close()                                             //nolint:errcheck // benchmark
	content := bytes.Repeat([]byte("0123456789abcdef"), 16<<10) // 256 KiB
	b.SetBytes(int64(len(content)))
	for i := 0; b.Loop(); i++ {
		content[0], content[1], content[2] = byte(i), byte(i>>8), byte(i>>16)
		storagetest.Put(b, s, "acme", content)
	}
}
