package mirror_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/mirror"
	"github.com/stella-ops/exportcenter/signing"
)

// packed makes a payload file of lines, each given in parts.
func packed(t testing.TB, lines ...[][]byte) []byte {
	t.Helper()
	var stored bytes.Buffer
	w, err := bundle.NewPayloadWriter(&stored)
	require.NoError(t, err)
	for _, parts := range lines {
		require.NoError(t, w.WriteLine(parts...))
	}
	_, err = w.Close()
	require.NoError(t, err)
	return stored.Bytes()
}

// bomb is a line of 256 MiB, in a few KiB.
func bomb(t testing.TB, begins string) []byte {
	t.Helper()
	line, part := [][]byte{[]byte(begins)}, bytes.Repeat([]byte{'x'}, 1<<20)
	for range 256 {
		line = append(line, part)
	}
	return packed(t, line)
}

// allocated is how many bytes of memory do takes, those that it gives back too.
func allocated(do func()) int64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return int64(after.TotalAlloc - before.TotalAlloc)
}

// replaced puts other content into files of the mirror in dir: those with a prefix.
func replaced(t testing.TB, dir, prefix string, content []byte) {
	t.Helper()
	tree := filepath.Join(dir, "current", "tree")
	for name := range filesOf(t, tree) {
		if strings.HasPrefix(name, prefix) {
			path := filepath.Join(tree, filepath.FromSlash(name))
			require.NoError(t, os.Remove(path))
			require.NoError(t, os.WriteFile(path, content, 0o644))
		}
	}
}

// A small file in the directory does not take the memory of the machine: its lines are
// read no further than the manifest and the form of a line allow.
func TestASmallFileThatHoldsMuch(t *testing.T) {
	s := newStory(t)
	const room = 64 << 20
	refusedWithin := func(says string, do func() error) {
		t.Helper()
		var err error
		took := allocated(func() { err = do() })
		refusedFor(t, err, mirror.ReasonContent, says)
		require.Less(t, took, int64(room))
	}
	apply := func(dir string) func() error {
		return func() error {
			_, err := mirror.Apply(t.Context(), dir, []string{s.names["12"]}, trust(t))
			return err
		}
	}
	look := func(dir string) func() error {
		return func() error {
			_, err := mirror.Look(t.Context(), dir, true, trust(t))
			return err
		}
	}
	lists, shards := s.at(t), s.at(t)
	replaced(t, lists, "indexes/originals-", bomb(t, ""))
	replaced(t, shards, "data/raw/", bomb(t, `{"content":{"raw":`))
	before := everything(t, lists)
	refusedWithin("more than", look(lists))
	refusedWithin("more than", apply(lists))
	require.Equal(t, before, everything(t, lists))

	// A manifest that nobody signed allows nothing.
	longer(t, lists, nil)
	took := allocated(func() {
		var failure *verify.Error
		require.ErrorAs(t, look(lists)(), &failure)
		require.Equal(t, verify.ReasonSignedOther, failure.Reason)
		require.ErrorAs(t, apply(lists)(), &failure)
	})
	require.Less(t, took, int64(room))
	longer(t, lists, bundletest.Key(t, 1))
	refusedWithin("more than 1024 bytes", look(lists))

	before = everything(t, shards)
	refusedWithin("its lines have more than the", apply(shards))
	require.Equal(t, before, everything(t, shards))
}

// A list whose manifest allows it to be long names no kinds without end.
func TestOriginalsOfTooManyKinds(t *testing.T) {
	dir := newStory(t).at(t)
	var lines [][][]byte
	for i := range 300 {
		kind := fmt.Sprintf("%c%c", 'a'+rune(i/26), 'a'+rune(i%26))
		lines = append(lines, [][]byte{bundle.Original{Path: bundle.OriginalPath(kind, bundle.Digest{}), Bytes: 1}.Append(nil)})
	}
	replaced(t, dir, "indexes/originals-", packed(t, lines...))
	longer(t, dir, bundletest.Key(t, 1))
	_, err := mirror.Look(t.Context(), dir, true, trust(t))
	refusedFor(t, err, mirror.ReasonContent, "of more than 100 kinds")
}

// longer has the manifest of a directory allow its lists of originals any length, and
// signs it again with a key, if there is one.
func longer(t testing.TB, dir string, signer signing.Signer) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "current", "tree", filepath.FromSlash(bundle.ManifestPath)))
	require.NoError(t, err)
	m, err := bundle.ParseManifest(text)
	require.NoError(t, err)
	for i := range m.Contents {
		if bundle.IsOriginalsIndex(m.Contents[i].Path) {
			m.Contents[i].ContentBytes = 1 << 40
		}
	}
	text, err = m.Encode()
	require.NoError(t, err)
	replaced(t, dir, bundle.ManifestPath, text)
	if signer != nil {
		envelope, err := signing.SignEnvelope(t.Context(), signer, bundle.ManifestPayloadType, text)
		require.NoError(t, err)
		replaced(t, dir, bundle.ManifestEnvelopePath, envelope)
	}
}
