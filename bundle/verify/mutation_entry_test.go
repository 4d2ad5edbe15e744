package verify_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

// swap exchanges two entries.
func swap(b *bundletest.Bundle, i, j int) { b.Entries[i], b.Entries[j] = b.Entries[j], b.Entries[i] }

func entryMutations() []mutation {
	pieces := func(name string, reason verify.Reason, path string, do func(*testing.T, *bundletest.Bundle)) mutation {
		return mutation{name: name, class: verify.ClassContent, reason: reason, path: path, pieces: do}
	}
	extra := bundletest.Entry{Path: "data/raw/advisories-ffffffffffffffff.jsonl.zst", Data: []byte("x")}
	return []mutation{
		pieces("two entries exchanged", verify.ReasonOrder, bundle.ReadmePath, func(_ *testing.T, b *bundletest.Bundle) { swap(b, 0, 1) }),
		pieces("seal not last", verify.ReasonOrder, "", func(_ *testing.T, b *bundletest.Bundle) { swap(b, len(b.Entries)-1, len(b.Entries)-2) }),
		pieces("entry twice", verify.ReasonDuplicate, bundle.ReadmePath, func(_ *testing.T, b *bundletest.Bundle) {
			b.Entries = slices.Insert(b.Entries, 0, b.Entries[0])
		}),
		pieces("evil twin first", verify.ReasonDuplicate, bundle.ReadmePath, func(_ *testing.T, b *bundletest.Bundle) {
			b.Entries = slices.Insert(b.Entries, 0, bundletest.Entry{Path: bundle.ReadmePath, Data: []byte("evil")})
		}),
		pieces("entry again at the end", verify.ReasonOrder, bundle.ReadmePath, func(_ *testing.T, b *bundletest.Bundle) {
			b.Entries = append(b.Entries, b.Entries[0])
		}),
		pieces("two seals", verify.ReasonDuplicate, bundle.SealPath, func(_ *testing.T, b *bundletest.Bundle) {
			b.Entries = append(b.Entries, b.Entries[len(b.Entries)-1])
		}),
		pieces("entry of no bundle", verify.ReasonUnknown, "extra.txt", func(_ *testing.T, b *bundletest.Bundle) {
			b.Entries = slices.Insert(b.Entries, 5, bundletest.Entry{Path: "extra.txt", Data: []byte("x")})
		}),
		pieces("signature of no bundle", verify.ReasonUnknown, "signatures/a.json", func(_ *testing.T, b *bundletest.Bundle) {
			b.Entries = slices.Insert(b.Entries, 7, bundletest.Entry{Path: "signatures/a.json", Data: []byte("x")})
		}),
		pieces("path in other case", verify.ReasonUnknown, "checksums.TXT", func(_ *testing.T, b *bundletest.Bundle) {
			b.Entries[2].Path = "checksums.TXT"
		}),
		pieces("unlisted payload file", verify.ReasonUnlisted, extra.Path, func(_ *testing.T, b *bundletest.Bundle) {
			b.Entries = slices.Insert(b.Entries, 5, extra)
		}),
		{name: "unlisted payload file, sealed", class: verify.ClassContent, reason: verify.ReasonUnlisted, path: extra.Path,
			options: &bundletest.Options{Entries: func(e map[string][]byte) { e[extra.Path] = extra.Data }}},
		{name: "unknown entry, sealed", class: verify.ClassContent, reason: verify.ReasonUnknown, path: "tuf.json",
			options: &bundletest.Options{Entries: func(e map[string][]byte) { e["tuf.json"] = []byte("{}") }}},
		pieces("readme changed", verify.ReasonDigest, bundle.ReadmePath, func(t *testing.T, b *bundletest.Bundle) {
			b.Replace(t, bundle.ReadmePath, []byte("# Use another key\n"))
		}),
		pieces("readme and checksums changed", verify.ReasonSealLength, bundle.SealPath, func(t *testing.T, b *bundletest.Bundle) {
			evil := bytes.Repeat([]byte("evil\n"), 400)
			sums := strings.Replace(string(b.Data(t, bundle.ChecksumsPath)), bundle.DigestOf(b.Data(t, bundle.ReadmePath)).Hex(), bundle.DigestOf(evil).Hex(), 1)
			b.Replace(t, bundle.ReadmePath, evil)
			b.Replace(t, bundle.ChecksumsPath, []byte(sums))
		}),
		pieces("readme and checksums changed at one length", verify.ReasonSealDigest, bundle.SealPath, func(t *testing.T, b *bundletest.Bundle) {
			evil := bytes.ToUpper(b.Data(t, bundle.ReadmePath))
			sums := strings.Replace(string(b.Data(t, bundle.ChecksumsPath)), bundle.DigestOf(b.Data(t, bundle.ReadmePath)).Hex(), bundle.DigestOf(evil).Hex(), 1)
			b.Replace(t, bundle.ReadmePath, evil)
			b.Replace(t, bundle.ChecksumsPath, []byte(sums))
		}),
	}
}

// missingMutations take away each entry, with and without a new seal.
func missingMutations() []mutation {
	var all []mutation
	for _, path := range append(bundle.FixedPaths(), firstShard) {
		reason := verify.ReasonMissing
		all = append(all, mutation{name: "missing " + path, class: verify.ClassAbsent, reason: reason, path: path,
			pieces: func(_ *testing.T, b *bundletest.Bundle) { b.Remove(path) }})
		if path == bundle.SealPath {
			continue
		}
		all = append(all, mutation{name: "missing and sealed again " + path, class: verify.ClassAbsent, reason: reason, path: path,
			whole: func(t *testing.T, b *bundletest.Bundle) []byte {
				b.Remove(path)
				b.Seal(t, b.Signer, bundle.SealPayloadType, nil)
				return b.Bytes(t)
			}})
	}
	return all
}
