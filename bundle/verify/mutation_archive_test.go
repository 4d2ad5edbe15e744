package verify_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
	"github.com/stella-ops/exportcenter/bundle/verify"
)

// headerOf finds the header of the entry at path.
func headerOf(t *testing.T, archive []byte, path string) int {
	t.Helper()
	for at := 0; at+bundle.BlockSize <= len(archive); {
		name, size, err := bundle.ParseHeader([bundle.BlockSize]byte(archive[at:]))
		require.NoError(t, err)
		if name == path {
			return at
		}
		at += int(bundle.EntrySize(size))
	}
	t.Fatalf("no entry %s", path)
	return 0
}

// patchHeader changes a header and puts its sum right again.
func patchHeader(t *testing.T, archive []byte, path string, change func(header []byte)) []byte {
	at := headerOf(t, archive, path)
	header := archive[at : at+bundle.BlockSize]
	change(header)
	copy(header[148:156], "        ")
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	copy(header[148:], []byte{byte('0' + sum>>15&7), byte('0' + sum>>12&7), byte('0' + sum>>9&7), byte('0' + sum>>6&7), byte('0' + sum>>3&7), byte('0' + sum&7), 0, ' '})
	return archive
}

func archiveMutations() []mutation {
	content := func(name string, reason verify.Reason, raw func(*testing.T, []byte) []byte) mutation {
		return mutation{name: name, class: verify.ClassContent, reason: reason, raw: raw}
	}
	patch := func(name string, change func([]byte)) mutation {
		return content(name, verify.ReasonHeader, func(t *testing.T, a []byte) []byte {
			return patchHeader(t, a, bundle.ManifestPath, change)
		})
	}
	return []mutation{
		content("one byte after the end", verify.ReasonTrailing, func(_ *testing.T, a []byte) []byte { return append(a, 0) }),
		content("a block after the end", verify.ReasonTrailing, func(_ *testing.T, a []byte) []byte { return append(a, make([]byte, 512)...) }),
		content("10 KiB records as GNU tar pads them", verify.ReasonTrailing, func(_ *testing.T, a []byte) []byte {
			return append(a, make([]byte, 10240-len(a)%10240)...)
		}),
		content("a second archive after the end", verify.ReasonTrailing, func(_ *testing.T, a []byte) []byte { return append(a, a...) }),
		content("text after the end", verify.ReasonTrailing, func(_ *testing.T, a []byte) []byte { return append(a, "x"...) }),
		content("bytes before the start", verify.ReasonHeader, func(_ *testing.T, a []byte) []byte { return append([]byte("x"), a...) }),
		content("no end blocks", verify.ReasonTruncated, func(_ *testing.T, a []byte) []byte { return a[:len(a)-1024] }),
		content("one end block", verify.ReasonTruncated, func(_ *testing.T, a []byte) []byte { return a[:len(a)-512] }),
		content("end blocks first", verify.ReasonTrailing, func(_ *testing.T, a []byte) []byte { return append(make([]byte, 1024), a...) }),
		content("empty file", verify.ReasonTruncated, func(_ *testing.T, a []byte) []byte { return nil }),
		content("only zeros", verify.ReasonTrailing, func(_ *testing.T, a []byte) []byte { return make([]byte, len(a)) }),
		content("padding not zero", verify.ReasonPadding, func(t *testing.T, a []byte) []byte {
			a[headerOf(t, a, bundle.ReadmePath)+bundle.BlockSize+len(bundletest.New(t, bundletest.Options{}).Data(t, bundle.ReadmePath))] = 1
			return a
		}),
		patch("mode changed", func(h []byte) { copy(h[100:], "0000755") }),
		patch("set user id", func(h []byte) { copy(h[100:], "0004755") }),
		patch("mode with spaces", func(h []byte) { copy(h[100:], "000644 ") }),
		patch("owner changed", func(h []byte) { copy(h[108:], "0001750") }),
		patch("owner's name", func(h []byte) { copy(h[265:], "root") }),
		patch("time changed", func(h []byte) { h[146] ^= 1 }),
		patch("symbolic link", func(h []byte) { h[156] = '2'; copy(h[157:], "/etc/passwd") }),
		patch("hard link", func(h []byte) { h[156] = '1'; copy(h[157:], "README.md") }),
		patch("device", func(h []byte) { h[156] = '3' }),
		patch("directory", func(h []byte) { h[156] = '5' }),
		patch("PAX header", func(h []byte) { h[156] = 'x' }),
		patch("old type of a file", func(h []byte) { h[156] = 0 }),
		patch("GNU magic", func(h []byte) { copy(h[257:], "ustar  \x00") }),
		patch("link name of a file", func(h []byte) { copy(h[157:], "x") }),
		patch("bytes after the name's end", func(h []byte) { h[99] = 'x' }),
		patch("bytes after the header's end", func(h []byte) { h[511] = 1 }),
		patch("prefix that says the same", func(h []byte) { clear(h[:100]); copy(h, "export.json"); copy(h[345:], "manifests") }),
		patch("absolute path", func(h []byte) { copy(h, "/etc/passwd\x00\x00\x00\x00\x00\x00\x00\x00\x00") }),
		patch("path out of the archive", func(h []byte) { copy(h, "../../etc/passwd\x00\x00\x00\x00") }),
		patch("path with a dot", func(h []byte) { copy(h, "manifests/./x.json") }),
		patch("size in base 256", func(h []byte) { h[124] = 0x80 }),
		patch("size beyond the archive", func(h []byte) { h[124] = 'x' }),
		content("wrong header sum", verify.ReasonHeader, func(t *testing.T, a []byte) []byte {
			a[headerOf(t, a, bundle.ManifestPath)+150] ^= 1
			return a
		}),
		content("entry of 8 GiB", verify.ReasonTruncated, func(t *testing.T, a []byte) []byte {
			return patchHeader(t, a, bundle.ManifestPath, func(h []byte) { copy(h[124:], "77777777777") })
		}),
	}
}
