package verify_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

func payloadMutations() []mutation {
	payload := func(name string, reason verify.Reason, change func([]byte) []byte) mutation {
		return mutation{name: "signed payload: " + name, class: verify.ClassContent, reason: reason, path: firstShard,
			options: &bundletest.Options{Payload: func(path string, stored []byte) []byte {
				if path != firstShard {
					return stored
				}
				return change(stored)
			}}}
	}
	content := func(name string, reason verify.Reason, change func(*bundle.Content)) mutation {
		return mutation{name: "signed contents: " + name, class: verify.ClassContent, reason: reason, path: firstShard,
			options: &bundletest.Options{Manifest: func(m *bundle.Manifest) {
				contents := slices.Clone(m.Contents)
				slices.SortFunc(contents, func(a, b bundle.Content) int { return a.Order - b.Order })
				for i := range contents {
					if contents[i].Path == firstShard {
						change(&contents[i])
					}
				}
				if err := m.SetContents(contents); err != nil {
					panic(err)
				}
			}}}
	}
	return []mutation{
		{name: "payload byte changed", class: verify.ClassContent, reason: verify.ReasonPayloadDigest, path: firstShard,
			raw: func(t *testing.T, a []byte) []byte { a[headerOf(t, a, firstShard)+bundle.BlockSize+20] ^= 1; return a }},
		{name: "payload files exchanged", class: verify.ClassContent, reason: verify.ReasonPayloadSize,
			pieces: func(t *testing.T, b *bundletest.Bundle) {
				b.Entries[3].Data, b.Entries[4].Data = b.Entries[4].Data, b.Entries[3].Data
			}},
		payload("second frame", verify.ReasonFrame, func(b []byte) []byte { return append(b, b...) }),
		payload("skippable frame after", verify.ReasonFrame, func(b []byte) []byte { return append(b, 0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0) }),
		payload("skippable frame before", verify.ReasonFrame, func(b []byte) []byte { return append([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, b...) }),
		payload("trailing byte", verify.ReasonFrame, func(b []byte) []byte { return append(b, 0) }),
		payload("cut", verify.ReasonFrame, func(b []byte) []byte { return b[:len(b)-1] }),
		payload("no checksum", verify.ReasonFrame, func(b []byte) []byte { return recompress(b, zstd.WithEncoderCRC(false)) }),
		payload("dictionary", verify.ReasonFrame, func(b []byte) []byte {
			return recompress(b, zstd.WithEncoderDictRaw(7, bytes.Repeat([]byte(`{"id":"GO-`), 100)))
		}),
		payload("not zstd", verify.ReasonFrame, func([]byte) []byte { return []byte("{}\n") }),
		payload("wrong checksum", verify.ReasonFrame, func(b []byte) []byte { b[len(b)-1] ^= 1; return b }),
		payload("bomb", verify.ReasonContentSize, func([]byte) []byte { return compress(make([]byte, 64<<20)) }),
		payload("other lines", verify.ReasonContent, func(b []byte) []byte { return compress(bytes.ToLower(decompress(b))) }),
		payload("no line feed at the end", verify.ReasonFrame, func(b []byte) []byte { c := decompress(b); return compress(c[:len(c)-1]) }),
		payload("empty line", verify.ReasonFrame, func(b []byte) []byte { c := decompress(b); return compress(append([]byte("\n"), c[1:]...)) }),
		payload("empty line at the end", verify.ReasonFrame, func(b []byte) []byte {
			c := decompress(b)
			c[len(c)-2] = '\n'
			return compress(c)
		}),
		content("fewer records", verify.ReasonRecords, func(c *bundle.Content) { c.Records-- }),
		content("fewer bytes", verify.ReasonContentSize, func(c *bundle.Content) { c.ContentBytes-- }),
		content("more bytes", verify.ReasonContentSize, func(c *bundle.Content) { c.ContentBytes++ }),
		content("other content", verify.ReasonContent, func(c *bundle.Content) { c.ContentDigest[0] ^= 1 }),
		content("other digest", verify.ReasonPayloadDigest, func(c *bundle.Content) { c.Digest[0] ^= 1 }),
		content("other size", verify.ReasonPayloadSize, func(c *bundle.Content) { c.Bytes++ }),
	}
}

func decompress(b []byte) []byte {
	decoder, err := zstd.NewReader(nil)
	if err != nil {
		panic(err)
	}
	defer decoder.Close()
	out, err := decoder.DecodeAll(b, nil)
	if err != nil {
		panic(err)
	}
	return out
}

func compress(content []byte, options ...zstd.EOption) []byte {
	encoder, err := zstd.NewWriter(nil, options...)
	if err != nil {
		panic(err)
	}
	return encoder.EncodeAll(content, nil)
}

func recompress(b []byte, options ...zstd.EOption) []byte { return compress(decompress(b), options...) }
