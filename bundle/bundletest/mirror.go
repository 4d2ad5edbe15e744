package bundletest

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/signing"
)

// Mirror says how to make a small full mirror: two files of evidence, three originals
// in two lists and one segment, an index, and a policy pack.
func Mirror(t testing.TB, signer signing.Signer) Options {
	t.Helper()
	texts := []string{`{"id":"GO-2026-0001", "summary":"a"}`, `{"id":"GO-2026-0002"}`, "{\n \"id\": \"GO-2026-0003\"\n}\n"}
	all := Originals(texts...)
	return Options{Signer: signer, Kind: "mirror", Variant: "full", Shards: Small(), Files: []File{
		stored(bundle.PolicyPackPath, "a policy pack", 1),
		stored(bundle.PolicyDocumentPath, `{"id":"policy-baseline"}`, 1),
		stored(bundle.IndexPath("advisories"), `{"shards":[]}`, 2),
		List(t, all[:2], true), List(t, all[2:], false), Segment(t, texts...),
	}}
}

// Originals are the lines of a list of texts, in archive order.
func Originals(texts ...string) (all []bundle.Original) {
	for _, text := range texts {
		all = append(all, bundle.Original{Path: bundle.OriginalPath("advisory", bundle.DigestOf([]byte(text))), Bytes: int64(len(text))})
	}
	slices.SortFunc(all, func(a, b bundle.Original) int { return strings.Compare(a.Path, b.Path) })
	return all
}

// List is a list of originals.
func List(t testing.TB, of []bundle.Original, first bool) File {
	t.Helper()
	lines := make([]string, len(of))
	for i, o := range of {
		lines[i] = string(o.Append(nil))
	}
	return LinesFile(t, bundle.OriginalsIndexPath(of[0].Path, first), lines...)
}

// Segment holds texts as originals, in archive order.
func Segment(t testing.TB, texts ...string) File {
	t.Helper()
	byPath := map[string]string{}
	for _, text := range texts {
		byPath[bundle.OriginalPath("advisory", bundle.DigestOf([]byte(text)))] = text
	}
	var out bytes.Buffer
	w := bundle.NewEntryWriter(&out)
	all := Originals(texts...)
	for _, o := range all {
		require.NoError(t, w.Entry(o.Path, o.Bytes, strings.NewReader(byPath[o.Path])))
	}
	return File{Path: all[0].Path, Stored: out.Bytes()}
}

// ReplaceOriginal puts an entry of originals in place of another, under any name.
func (b *Bundle) ReplaceOriginal(t testing.TB, n int, path string, data []byte) {
	t.Helper()
	for i, e := range b.Entries {
		if bundle.IsOriginal(e.Path) {
			if n == 0 {
				b.Entries[i] = Entry{path, data}
				return
			}
			n--
		}
	}
	t.Fatalf("bundle has no original %d", n)
}
