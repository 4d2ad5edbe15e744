package bundle_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
)

// written is an archive of entries, with the zeros behind them that end one.
func written(t *testing.T, paths ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := bundle.NewEntryWriter(&out)
	for _, path := range paths {
		require.NoError(t, w.Entry(path, int64(len(path)), bytes.NewReader([]byte(path))))
	}
	return append(out.Bytes(), make([]byte, 2*bundle.BlockSize)...)
}

func TestWalkSaysWhereEntriesAre(t *testing.T) {
	archive := written(t, "data/raw/a", "data/raw/b", "manifests/export.json")
	var paths []string
	require.NoError(t, bundle.Walk(bytes.NewReader(archive), func(path string, from, size int64) error {
		require.Equal(t, path, string(archive[from:from+size]))
		paths = append(paths, path)
		return nil
	}))
	require.Equal(t, []string{"data/raw/a", "data/raw/b", "manifests/export.json"}, paths)
	err := bundle.Walk(bytes.NewReader(archive), func(string, int64, int64) error { return io.ErrClosedPipe })
	require.ErrorIs(t, err, io.ErrClosedPipe)
}

// TestWalkOfACutArchive: wherever an archive ends before its zeros, that is an error.
func TestWalkOfACutArchive(t *testing.T) {
	archive := written(t, "data/raw/a", "data/raw/b")
	entries := len(archive) - 2*bundle.BlockSize
	for end := range entries + bundle.BlockSize {
		err := bundle.Walk(bytes.NewReader(archive[:end]), func(string, int64, int64) error { return nil })
		require.ErrorIs(t, err, io.ErrUnexpectedEOF, "cut at %d", end)
	}
}

func TestSaysEncrypted(t *testing.T) {
	for _, c := range []struct {
		archive []byte
		want    bool
	}{
		{written(t, "data/raw/a.age", bundle.EncryptionPath), true},
		{written(t, "data/raw/a", "manifests/export.json"), false},
		{written(t, "data/raw/a.age", bundle.EncryptionPath)[:bundle.BlockSize], false},
		{[]byte("no archive"), false},
		{nil, false},
	} {
		require.Equal(t, c.want, bundle.SaysEncrypted(bytes.NewReader(c.archive)))
	}
}
