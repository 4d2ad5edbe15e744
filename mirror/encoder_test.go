package mirror_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/mirror"
	"github.com/stella-ops/exportcenter/mirror/mirrortest"
)

// otherEncoder packs the same lines into other bytes, as another version may.
type otherEncoder struct {
	to    io.Writer
	lines bytes.Buffer
	info  bundle.PayloadInfo
}

func (e *otherEncoder) WriteLine(parts ...[]byte) error {
	for _, p := range parts {
		e.lines.Write(p)
	}
	e.info.Records++
	return e.lines.WriteByte('\n')
}

func (e *otherEncoder) Close() (bundle.PayloadInfo, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(true), zstd.WithNoEntropyCompression(true))
	if err != nil {
		return e.info, err
	}
	stored := encoder.EncodeAll(e.lines.Bytes(), nil)
	e.info.Digest, e.info.Size = bundle.DigestOf(stored), int64(len(stored))
	e.info.ContentDigest, e.info.ContentSize = bundle.DigestOf(e.lines.Bytes()), int64(e.lines.Len())
	_, err = e.to.Write(stored)
	return e.info, err
}

// Another encoder gives the same content in other bytes: that is accepted, remembered
// and said, and later deltas still lead on.
func TestAnotherEncoder(t *testing.T) {
	s := newStory(t)
	dir := s.at(t)
	other := trust(t).Packed(func(w io.Writer) (mirror.Packer, error) { return &otherEncoder{to: w}, nil })
	outcome, err := mirror.Apply(t.Context(), dir, []string{s.names["12"]}, other)
	require.NoError(t, err)
	require.Positive(t, outcome.Repacked)
	require.Empty(t, outcome.ArchiveDigest)
	status, err := mirror.Look(t.Context(), dir, true, trust(t))
	require.NoError(t, err)
	require.Equal(t, outcome.Repacked, status.Repacked)
	for _, found := range []mirror.Status{outcome.Status, status} {
		require.Equal(t, mirror.StatusSameContent, found.Status, "it is not the published mirror")
		require.False(t, found.Verified)
	}

	// What is in it still counts, bit by bit.
	tree := filepath.Join(dir, "current", "tree")
	for path, content := range filesOf(t, tree) {
		spoilt := []byte(content)
		spoilt[len(spoilt)/2] ^= 4
		at := filepath.Join(tree, filepath.FromSlash(path))
		require.NoError(t, os.Remove(at)) // it may have other names
		require.NoError(t, os.WriteFile(at, spoilt, 0o644))
		_, err := mirror.Look(t.Context(), dir, true, trust(t))
		require.Error(t, err, path)
		require.NoError(t, os.WriteFile(at, []byte(content), 0o644))
	}

	requireRepackedPages(t, dir)

	outcome, err = mirror.Apply(t.Context(), dir, []string{s.names["23"]}, trust(t))
	require.NoError(t, err)
	require.Equal(t, int64(3), outcome.Mirror.Generation)
	_, err = mirror.Look(t.Context(), dir, true, trust(t))
	require.NoError(t, err)
	got, want := filesOf(t, tree), map[string]string{}
	for _, e := range s.fulls[2].Entries {
		want[e.Path] = string(e.Data)
	}
	for path, content := range want {
		if !strings.HasSuffix(path, ".zst") {
			require.Equal(t, content, got[path], path)
			continue
		}
		require.Equal(t, unpacked(t, content), unpacked(t, got[path]), path)
	}
	require.Len(t, got, len(want))
}

// requireRepackedPages wants pages that no seal covers to be held against the manifest:
// checksums.txt is written to fit them.
func requireRepackedPages(t *testing.T, dir string) {
	t.Helper()
	tree := filepath.Join(dir, "current", "tree")
	files := filesOf(t, tree)
	put := func(path, content string) {
		at := filepath.Join(tree, filepath.FromSlash(path))
		require.NoError(t, os.Remove(at)) // it may have other names
		require.NoError(t, os.WriteFile(at, []byte(content), 0o644))
	}
	digest := func(path string) string { return bundle.DigestOf([]byte(files[path])).Hex() }
	shard := ""
	for path := range files {
		if strings.HasPrefix(path, "data/raw/") && strings.Contains(files[bundle.ChecksumsPath], path) && !strings.Contains(files[bundle.ChecksumsPath], digest(path)) {
			shard = path // in other bytes than were signed
		}
	}
	require.NotEmpty(t, shard)
	guide := files[bundle.GuidePath] + "\nTrust any key.\n"
	var forged []string
	for line := range strings.Lines(files[bundle.ChecksumsPath]) {
		if strings.Contains(line, shard) {
			line = digest(shard) + line[64:]
		}
		forged = append(forged, line)
	}
	for says, forge := range map[string]func(){
		bundle.GuidePath: func() {
			put(bundle.GuidePath, guide)
			put(bundle.ChecksumsPath, strings.Replace(files[bundle.ChecksumsPath], digest(bundle.GuidePath), bundle.DigestOf([]byte(guide)).Hex(), 1))
		},
		shard: func() { put(bundle.ChecksumsPath, strings.Join(forged, "")) },
	} {
		forge()
		_, err := mirror.Look(t.Context(), dir, true, trust(t))
		require.ErrorContains(t, err, says)
		put(bundle.GuidePath, files[bundle.GuidePath])
		put(bundle.ChecksumsPath, files[bundle.ChecksumsPath])
	}
	_, err := mirror.Look(t.Context(), dir, true, trust(t))
	require.NoError(t, err)
}

func unpacked(t testing.TB, stored string) string {
	t.Helper()
	content, err := bundle.OpenPayload(strings.NewReader(stored))
	require.NoError(t, err)
	text, err := io.ReadAll(content)
	require.NoError(t, err)
	return string(text)
}

// A delta's size follows the documents that changed, not the shards they are in:
// 20 of 20,000 documents, scattered, take less than a hundredth of the mirror.
func TestADeltaIsAsSmallAsWhatChanged(t *testing.T) {
	t.Parallel()
	const documents, every = 20_000, 1000
	chance := rand.NewChaCha8([32]byte{1})
	text := func(id int) mirrortest.Document {
		random := make([]byte, 300)
		_, err := chance.Read(random)
		require.NoError(t, err)
		name := fmt.Sprintf("GHSA-%05d", id)
		return mirrortest.Document{Kind: kinds[id%len(kinds)], ID: name, Subject: "pkg:npm/" + name, Original: fmt.Sprintf("%s: %x", name, random)}
	}
	all := make([]mirrortest.Document, documents)
	for i := range all {
		all[i] = text(i)
	}
	m := mirrortest.Maker{Signer: bundletest.Key(t, 1), Target: bundle.ShardTarget}
	before := m.Full(t, 1, append([]mirrortest.Document{}, all...)...)
	for i := 0; i < documents; i += every {
		all[i] = text(i)
	}
	after := m.Full(t, 2, all...)
	d := m.Delta(t, before, after)
	require.EqualValues(t, documents/every, d.Manifest.Delta.Changed)
	require.EqualValues(t, documents/every, d.Manifest.Mirror.Originals.Count)
	touched := 0
	for i, c := range after.Manifest.Contents {
		if bundle.IsEvidence(c.Path) && c.ContentDigest != before.Manifest.Contents[i].ContentDigest {
			touched++
		}
	}
	t.Logf("a mirror of %d bytes, %d shards of it touched; a delta of %d bytes, %.2f %%", len(after.Archive), touched, len(d.Archive),
		100*float64(len(d.Archive))/float64(len(after.Archive)))
	require.Greater(t, touched, 10, "scattered changes touch many shards")
	require.Less(t, len(d.Archive)*100, len(after.Archive))
}
