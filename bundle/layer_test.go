package bundle_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
)

func layerOf(t testing.TB, metadata, database string) []byte {
	t.Helper()
	var out bytes.Buffer
	layer, err := bundle.WriteLayer(&out, []byte(metadata), "trivy.db", strings.NewReader(database), int64(len(database)))
	require.NoError(t, err)
	require.Equal(t, bundle.DigestOf([]byte(database)), layer.Content)
	return out.Bytes()
}

func TestLayerComesBack(t *testing.T) {
	for _, database := range []string{"a", strings.Repeat("page ", 100), strings.Repeat("x", 512), strings.Repeat("0123456789", 100_000)} {
		stored := layerOf(t, `{"Version":2}`, database)
		var got bytes.Buffer
		layer, err := bundle.ReadLayer(bytes.NewReader(stored), int64(len(database)), &got)
		require.NoError(t, err)
		require.Equal(t, database, got.String())
		require.Equal(t, "trivy.db", layer.Name)
		require.Equal(t, `{"Version":2}`, string(layer.Metadata))
		require.Equal(t, bundle.DigestOf([]byte(database)), layer.Content)
		require.EqualValues(t, len(database), layer.Size)
		require.Equal(t, stored, layerOf(t, `{"Version":2}`, database), "the same again")
	}
}

func TestLayerIsReadByOthers(t *testing.T) {
	packed, err := gzip.NewReader(bytes.NewReader(layerOf(t, `{}`, "database")))
	require.NoError(t, err)
	tar, err := io.ReadAll(packed)
	require.NoError(t, err)
	require.Len(t, tar, 4*512+1024)
	require.Equal(t, "database", string(tar[3*512:3*512+8]))
}

func TestLayerOfOtherLength(t *testing.T) {
	for _, size := range []int64{7, 9} {
		_, err := bundle.WriteLayer(io.Discard, []byte(`{}`), "trivy.db", strings.NewReader("database"), size)
		require.ErrorContains(t, err, "has other than")
	}
	stored := layerOf(t, `{}`, "database")
	_, err := bundle.ReadLayer(bytes.NewReader(stored), 7, io.Discard)
	require.ErrorIs(t, err, bundle.ErrLayer)
}

// regzip packs a changed archive again.
func regzip(t testing.TB, stored []byte, change func(tar []byte) []byte, header func(*gzip.Writer)) []byte {
	t.Helper()
	packed, err := gzip.NewReader(bytes.NewReader(stored))
	require.NoError(t, err)
	tar, err := io.ReadAll(packed)
	require.NoError(t, err)
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if header != nil {
		header(w)
	}
	_, err = w.Write(change(tar))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return out.Bytes()
}

func TestLayersOfOtherForms(t *testing.T) {
	good := layerOf(t, `{"Version":2}`, "database")
	same := func(tar []byte) []byte { return tar }
	for name, bad := range map[string][]byte{
		"empty":              {},
		"not gzip":           []byte("database"),
		"cut":                good[:len(good)-1],
		"byte behind":        append(bytes.Clone(good), 0),
		"second gzip member": append(bytes.Clone(good), good...),
		"gzip name":          regzip(t, good, same, func(w *gzip.Writer) { w.Name = "x" }),
		"gzip time":          regzip(t, good, same, func(w *gzip.Writer) { w.ModTime = time.Unix(1, 0) }),
		"gzip comment":       regzip(t, good, same, func(w *gzip.Writer) { w.Comment = "x" }),
		"gzip extra":         regzip(t, good, same, func(w *gzip.Writer) { w.Extra = []byte("xx") }),
		"third block":        regzip(t, good, func(tar []byte) []byte { return append(tar, make([]byte, 512)...) }, nil),
		"one block less":     regzip(t, good, func(tar []byte) []byte { return tar[:len(tar)-512] }, nil),
		"padding":            regzip(t, good, func(tar []byte) []byte { tar[4*512-1] = 1; return tar }, nil),
		"trailer":            regzip(t, good, func(tar []byte) []byte { tar[len(tar)-1] = 1; return tar }, nil),
		"mode":               regzip(t, good, func(tar []byte) []byte { tar[104] = '5'; return tar }, nil),
		"entry first":        regzip(t, good, func(tar []byte) []byte { return append(tar[1024:2048:2048], tar[2048:]...) }, nil),
		"three entries":      regzip(t, good, func(tar []byte) []byte { return append(bytes.Clone(tar[:1024]), tar...) }, nil),
	} {
		_, err := bundle.ReadLayer(bytes.NewReader(bad), 1<<20, io.Discard)
		require.Error(t, err, name)
		require.ErrorIs(t, err, bundle.ErrLayer, name)
	}
}

// TestLayerEncoderIsPinned holds the digest of a layer: another version of the
// encoder may give another, and then the manifest must name that version.
func TestLayerEncoderIsPinned(t *testing.T) {
	database := strings.Repeat("pages of a database, some alike, ", 5000)
	require.Equal(t, pinnedLayer, bundle.DigestOf(layerOf(t, `{"Version":2}`, database)).String())
	mod, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	module, version, _ := strings.Cut(strings.Replace(bundle.NewContent(bundle.TrivyDBPath, bundle.PayloadInfo{}).Encoder, "/gzip@", "@", 1), "@")
	require.Contains(t, string(mod), "\t"+module+" "+version+"\n", "the manifest must name the pinned version")
}

const pinnedLayer = "sha256:c03dc797c5edbbc4c1764f9b2f6de9f327a0ed6d8fb4f00c177d5f8dc235383a"

func FuzzReadLayer(f *testing.F) {
	f.Add(layerOf(f, `{}`, "database"))
	f.Fuzz(func(t *testing.T, stored []byte) {
		var database bytes.Buffer
		layer, err := bundle.ReadLayer(bytes.NewReader(stored), 1<<16, &database)
		if database.Len() > 1<<16 {
			t.Fatal("more than the limit came out")
		}
		if err == nil && layer.Content != bundle.DigestOf(database.Bytes()) {
			t.Fatal("the digest is of something else")
		}
	})
}
