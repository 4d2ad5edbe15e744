package verify_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
	"github.com/stella-ops/exportcenter/signing"
)

// tarMutations are what archives of others have been attacked with: names that
// lead out, links, devices, sparse files, extended headers and sizes beyond any
// file (the cases of jwilk/traversal-archives and of Go's own CVEs among them).
func tarMutations() []mutation {
	patch := func(name string, change func(h []byte)) mutation {
		return mutation{name: "header: " + name, class: verify.ClassContent, reason: verify.ReasonHeader,
			raw: func(t *testing.T, a []byte) []byte { return patchHeader(t, a, bundle.ManifestPath, change) }}
	}
	called := func(name, path string) mutation {
		return patch("name "+name, func(h []byte) { clear(h[:100]); copy(h[:100], path) })
	}
	kind := func(name string, flag byte) mutation { return patch("type "+name, func(h []byte) { h[156] = flag }) }
	field := func(name string, at int, text string) mutation {
		return patch(name, func(h []byte) { copy(h[at:], text) })
	}
	// before puts what Go's tar writer makes of headers before the manifest.
	before := func(name string, headers ...*tar.Header) mutation {
		return mutation{name: "before the manifest: " + name, class: verify.ClassContent, reason: verify.ReasonHeader,
			raw: func(t *testing.T, a []byte) []byte {
				at := headerOf(t, a, bundle.ManifestPath)
				return slices.Insert(a, at, tarOf(t, headers...)...)
			}}
	}
	sealed := func(name string, reason verify.Reason, path string) mutation {
		return mutation{name: "sealed: " + name, class: verify.ClassContent, reason: reason, path: path,
			options: &bundletest.Options{Entries: func(e map[string][]byte) { e[path] = []byte("x") }}}
	}
	return []mutation{
		kind("block device", '4'), kind("FIFO", '6'), kind("contiguous file", '7'), kind("global PAX header", 'g'),
		kind("GNU long name", 'L'), kind("GNU long link", 'K'), kind("GNU sparse file", 'S'), kind("GNU volume", 'V'), kind("of no standard", 'Z'),
		field("set group id", 100, "0002644"), field("sticky", 100, "0001644"), field("mode of a directory", 100, "0040644"),
		field("group", 116, "0000001"), field("group's name", 297, "wheel"), field("device numbers", 329, "0000010"),
		field("owner with spaces", 108, "      0"), field("time in base 256", 136, "\x80"), field("no version", 263, "\x00\x00"), field("old magic", 257, "\x00\x00\x00\x00\x00"),
		field("size below zero in base 256", 124, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
		field("size beyond 2^63 in base 256", 124, "\x80\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff"),
		field("size with a space", 124, " "), field("size without an end", 135, "0"), field("size with a sign", 124, "-"),
		called("empty", ""), called("of a dot", "."), called("of two dots", ".."), called("that begins with a dot", "./manifests/export.json"),
		called("that leads out", "../manifests/export.json"), called("that leads out behind a folder", "manifests/../../export.json"),
		called("absolute", "/manifests/export.json"), called("absolute with two slashes", "//manifests/export.json"), called("with two slashes", "manifests//export.json"),
		called("with a slash at the end", "manifests/export.json/"), called("with backslashes", `manifests\..\..\export.json`), called("with a drive", "C:export.json"),
		called("with a stream", "manifests/export.json:evil"), called("with a space at the end", "manifests/export.json "), called("with a line feed", "manifests/export.json\n"),
		called("with an escape", "manifests/\x1b[2Jexport.json"), called("in NFC", "manifests/expört.json"), called("in NFD", "manifests/expo\u0308rt.json"),
		called("in full-width letters", "manifests/ｅxport.json"), called("with a zero-width joiner", "manifests/export\u200d.json"), called("that is not UTF-8", "manifests/\xff.json"),
		called("with another behind a NUL", "manifests/export.json\x00/../../evil"),
		patch("prefix that leads out", func(h []byte) { copy(h[345:], "..") }),
		patch("prefix of a slash", func(h []byte) { copy(h[345:], "/") }),
		patch("prefix that is not needed", func(h []byte) { copy(h[345:], "data") }),
		before("PAX header with another path", &tar.Header{Typeflag: tar.TypeReg, Name: strings.Repeat("x/", 200) + "evil.json", Format: tar.FormatPAX}),
		before("PAX header with another size", &tar.Header{Typeflag: tar.TypeReg, Name: "data/x", PAXRecords: map[string]string{"VENDOR.size": "9"}, Format: tar.FormatPAX}),
		before("global PAX header", &tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "g", PAXRecords: map[string]string{"path": "evil"}}),
		before("GNU long name", &tar.Header{Typeflag: tar.TypeReg, Name: strings.Repeat("x/", 200) + "evil.json", Format: tar.FormatGNU}),
		before("symbolic link to a folder and a file through it", &tar.Header{Typeflag: tar.TypeSymlink, Name: "data/out", Linkname: "/etc"},
			&tar.Header{Typeflag: tar.TypeReg, Name: "data/out/passwd", Mode: 0o644}),
		before("hard link to the manifest", &tar.Header{Typeflag: tar.TypeLink, Name: "data/hard", Linkname: bundle.ManifestPath}),
		before("hard link out", &tar.Header{Typeflag: tar.TypeLink, Name: "data/hard", Linkname: "../../etc/passwd"}),
		before("device", &tar.Header{Typeflag: tar.TypeBlock, Name: "data/sda", Devmajor: 8}),
		before("folder", &tar.Header{Typeflag: tar.TypeDir, Name: "data/"}),
		sealed("readme in other case", verify.ReasonUnknown, "readme.md"),
		sealed("payload file in other case", verify.ReasonUnlisted, "data/raw/ADVISORIES-0000000000000000.jsonl.zst"),
		sealed("payload file in a folder of its own", verify.ReasonUnlisted, firstShard+"/x"),
		sealed("key beside the signatures", verify.ReasonUnknown, "signatures/key.pub"),
		sealed("program", verify.ReasonUnknown, "verify.sh"),
		sealed("file beside the payload files", verify.ReasonUnlisted, "data/notes.txt"),
		{name: "65,536 files that nobody lists", class: verify.ClassContent, reason: verify.ReasonUnlisted, path: "data/a/000000", only: signing.ECDSAP256, whole: manyEntries},
	}
}

// tarOf gives the entries of headers as Go's own writer writes them.
func tarOf(t *testing.T, headers ...*tar.Header) []byte {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, h := range headers {
		require.NoError(t, w.WriteHeader(h))
	}
	require.NoError(t, w.Flush())
	return out.Bytes()
}

func manyEntries(t *testing.T, b *bundletest.Bundle) []byte {
	archive := b.Bytes(t)
	var many bytes.Buffer
	for n := range 65_536 {
		header, err := bundle.Header(fmt.Sprintf("data/a/%06d", n), 0)
		require.NoError(t, err)
		many.Write(header[:])
	}
	return slices.Insert(archive, headerOf(t, archive, firstShard), many.Bytes()...)
}
