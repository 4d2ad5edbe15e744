package main

import (
	"archive/tar"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// archive writes a tar of files, each with its name, packed below data/raw.
func archive(t *testing.T, files [][2]string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "bundle.tar")
	out, err := os.Create(path)
	require.NoError(t, err)
	defer out.Close()
	packer, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	w := tar.NewWriter(out)
	for _, f := range files {
		content := []byte(f[1])
		if filepath.Dir(f[0]) == "data/raw" {
			content = packer.EncodeAll(content, nil)
		}
		require.NoError(t, w.WriteHeader(&tar.Header{Name: f[0], Size: int64(len(content)), Mode: 0o644}))
		_, err := w.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return path
}

func TestPayloadLines(t *testing.T) {
	read, err := openPayload(archive(t, [][2]string{
		{"export.json", "{}\n"}, {"data/raw/a.jsonl.zst", "one\ntwo\n"}, {"data/raw/b.jsonl.zst", ""}, {"data/raw/c.jsonl.zst", "three\n"}, {"seal.json", "{}"},
	}))
	require.NoError(t, err)
	defer read.close()
	var got []any
	for read.Next() {
		values, err := read.Values()
		require.NoError(t, err)
		got = append(got, values...)
		require.Equal(t, values[1], read.Line())
	}
	require.NoError(t, read.Err())
	require.Equal(t, []any{int64(1), "one", int64(2), "two", int64(3), "three"}, got)
	require.EqualValues(t, len("one\ntwo\nthree\n"), read.bytes)
}

func TestALineWithoutEndIsAnError(t *testing.T) {
	read, err := openPayload(archive(t, [][2]string{{"data/raw/a.jsonl.zst", "one\ntwo"}}))
	require.NoError(t, err)
	defer read.close()
	require.True(t, read.Next())
	require.False(t, read.Next())
	require.Error(t, read.Err())
}
