package feed_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/feed"
)

// part is a member of an archive made for a test.
type part struct {
	name, content string
	kind          byte // of tar; 0 = a file
}

func makeTar(t testing.TB, parts ...part) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, p := range parts {
		h := &tar.Header{Name: p.name, Mode: 0o644, Size: int64(len(p.content)), Typeflag: p.kind}
		if p.kind == tar.TypeSymlink || p.kind == tar.TypeLink {
			h.Linkname, h.Size = "/etc/passwd", 0
		}
		require.NoError(t, w.WriteHeader(h))
		if h.Size > 0 {
			_, err := w.Write([]byte(p.content))
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	return b.String()
}

func makeZip(t testing.TB, parts ...part) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, p := range parts {
		h := &zip.FileHeader{Name: p.name, Method: zip.Deflate}
		if p.kind == tar.TypeSymlink {
			h.SetMode(os.ModeSymlink | 0o777)
		}
		if p.kind == tar.TypeFifo {
			h.SetMode(os.ModeNamedPipe | 0o644)
		}
		out, err := w.CreateHeader(h)
		require.NoError(t, err)
		_, err = out.Write([]byte(p.content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return b.String()
}

func gzipped(t testing.TB, content string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(content))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

// readFileOf reads one file with the given content.
func readFileOf(t testing.TB, name, content string) (entries, rejections []string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
	return read(t, feed.Reader{}, path)
}

func TestArchivesOfEveryKind(t *testing.T) {
	parts := []part{
		{name: "b.json", content: "{ }\r\n"}, {name: "a/deep/er/c.JSON", content: "1"}, {name: "b.json", content: "again"},
		{name: "l.jsonl", content: "one\n\ntwo"}, {name: ".git/x.json", content: "no"}, {name: "__MACOSX/._b.json", content: "no"},
		{name: "README.md", content: "text"}, {name: "s.spdx", content: "x"}, {name: "in.tar.gz", content: "x"}, {name: "s.cdx.xml", content: "<"},
	}
	plain := makeTar(t, append(parts, part{name: "dir/", kind: tar.TypeDir})...)
	for name, content := range map[string]string{
		"my set.tar": plain, "my set.tar.gz": gzipped(t, plain), "my set.tgz": gzipped(t, plain), "my set.tar.zst": compress(t, plain),
		"my set.zip": makeZip(t, append(parts, part{name: "dir/"})...),
	} {
		t.Run(name, func(t *testing.T) {
			entries, rejections := readFileOf(t, name, content)
			require.Equal(t, []string{
				name + "|b.json|my-set|{ }\r\n", name + "|a/deep/er/c.JSON|my-set|1", name + "|b.json|my-set|again",
				name + "|l.jsonl, line 1|my-set|one", name + "|l.jsonl, line 3|my-set|two",
			}, entries)
			require.Len(t, rejections, 4)
			require.Contains(t, rejections[0], "|README.md|not a .json or .jsonl file")
			require.Contains(t, rejections[1], "|s.spdx|SPDX tag-value")
			require.Contains(t, rejections[2], "|in.tar.gz|an archive")
			require.Contains(t, rejections[3], "|s.cdx.xml|XML is not")
		})
	}
}

func TestNamesAreLabels(t *testing.T) {
	names := []string{"../../up.json", "/abs.json", "a/../../b.json", `c:\d.json`, "e\nf\x1b[31m.json", strings.Repeat("l", 2000) + ".json"}
	var parts []part
	for _, name := range names {
		parts = append(parts, part{name: name, content: "x"})
	}
	for name, content := range map[string]string{"x.tar": makeTar(t, parts...), "x.zip": makeZip(t, parts...)} {
		entries, rejections := readFileOf(t, name, content)
		require.Len(t, entries, len(names))
		require.Empty(t, rejections)
		for _, e := range entries {
			require.NotContains(t, e, "\n")
			require.NotContains(t, e, "\x1b")
			require.Less(t, len(e), 600)
		}
	}
}

func TestLinksDevicesAndSparseFilesAreRefused(t *testing.T) {
	good := part{name: "z.json", content: "z"}
	entries, rejections := readFileOf(t, "x.tar", makeTar(t, part{name: "a.json", kind: tar.TypeSymlink}, part{name: "b.json", kind: tar.TypeLink},
		part{name: "c.json", kind: tar.TypeFifo}, part{name: "d.json", kind: tar.TypeChar}, part{name: "e.json", kind: tar.TypeBlock}, good))
	require.Equal(t, []string{"x.tar|z.json|x|z"}, entries)
	require.Len(t, rejections, 5)
	for i, r := range rejections {
		require.Contains(t, r, []string{"link", "link", "pipe", "device", "device"}[i])
	}
	entries, rejections = readFileOf(t, "x.zip", makeZip(t, part{name: "a.json", content: "/etc/passwd", kind: tar.TypeSymlink}, part{name: "p.json", kind: tar.TypeFifo}, good))
	require.Equal(t, []string{"x.zip|z.json|x|z"}, entries)
	require.Len(t, rejections, 2)

	var b bytes.Buffer // PAX form 1.0: one hole of a terabyte
	w := tar.NewWriter(&b)
	block := fmt.Sprintf("%-512s", "")
	pax := ""
	for _, kv := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=s.json", "GNU.sparse.realsize=1099511627776"} {
		pax += fmt.Sprintf("%d %s\n", len(kv)+4, kv)
	}
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "z.json", Mode: 0o644, Size: 1}))
	_, err := w.Write([]byte("z"))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	content := rawTarHeader("PaxHeaders/s", 'x', len(pax)) + pax + block[len(pax):] + rawTarHeader("GNUSparseFile.0/s.json", '0', 512) + "0\n" + strings.Repeat("\x00", 510) + b.String()
	entries, rejections = readFileOf(t, "x.tar", content)
	require.Equal(t, []string{"x.tar|z.json|x|z"}, entries)
	require.Len(t, rejections, 1)
	require.Contains(t, rejections[0], "sparse")
}

// rawTarHeader makes a header that no writer of the library makes.
func rawTarHeader(name string, kind byte, size int) string {
	h := make([]byte, 512)
	copy(h, name)
	copy(h[100:], "0000644\x000000000\x000000000\x00")
	copy(h[124:], fmt.Sprintf("%011o\x00%011o\x00", size, 0))
	h[156] = kind
	copy(h[257:], "ustar\x0000")
	copy(h[148:], "        ")
	sum := 0
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	return string(h)
}

func TestDamagedArchives(t *testing.T) {
	parts := []part{{name: "a.json", content: strings.Repeat("a", 3000)}, {name: "b.json", content: strings.Repeat("b", 3000)}}
	tape, zipped := makeTar(t, parts...), makeZip(t, parts...)
	body := strings.Index(zipped, "a.json") + len("a.json")
	for name, tt := range map[string]struct {
		file, content string
		entries       int
		want          string
	}{
		"tar cut in a member":     {"x.tar", tape[:1000], 0, "a.json|cannot be read"},
		"tar cut between members": {"x.tar", tape[:512+3072], 1, "after a.json|ends without the mark"},
		"empty tar":               {"x.tar", "", 0, "ends without the mark"},
		"no tar":                  {"x.tar", strings.Repeat("no tar", 200), 0, "cannot be read"},
		"gzip cut":                {"x.tgz", gzipped(t, tape)[:60], 1, "cannot be read"},
		"no gzip":                 {"x.tgz", "nonsense", 0, "cannot be read"},
		"gzip checksum":           {"x.tgz", flip(gzipped(t, tape), -6), 2, "after b.json|cannot be read"},
		"zstd cut":                {"x.tar.zst", compress(t, tape)[:20], 0, "cannot be read"},
		"zip cut":                 {"x.zip", zipped[:len(zipped)-10], 0, "cut off"},
		"no zip":                  {"x.zip", "PK", 0, "not a zip archive"},
		"zip content":             {"x.zip", flip(zipped, body+4), 1, "a.json|cannot be read"},
		"zip index":               {"x.zip", strings.Replace(zipped, "PK\x01\x02", "PK\x01\x03", 1), 0, "index"},
		"zip with fewer counted":  {"x.zip", zipped[:len(zipped)-12] + "\x01\x00" + zipped[len(zipped)-10:], 1, "holds more"},
	} {
		t.Run(name, func(t *testing.T) {
			entries, rejections := readFileOf(t, tt.file, tt.content)
			require.LessOrEqual(t, len(entries), max(tt.entries, 1))
			require.NotEmpty(t, rejections)
			require.Contains(t, strings.Join(rejections, "\n"), tt.want)
			for _, e := range entries { // what is given is whole
				require.Contains(t, e, strings.Repeat(e[len(e)-1:], 40))
			}
		})
	}
}

func flip(s string, at int) string {
	b := []byte(s)
	b[(at+len(b))%len(b)] ^= 0xff
	return string(b)
}

// bomb makes a file of a header and n empty lines, compressed while it is made.
func bomb(t *testing.T, name string, wrap func(io.Writer) io.WriteCloser, header string, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	out, err := os.Create(path)
	require.NoError(t, err)
	w := wrap(out)
	_, err = io.WriteString(w, header)
	require.NoError(t, err)
	chunk := bytes.Repeat([]byte("\n"), 1<<20)
	for range n >> 20 {
		_, err = w.Write(chunk)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, out.Close())
	return path
}

func TestBombs(t *testing.T) {
	zst := func(w io.Writer) io.WriteCloser {
		enc, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
		require.NoError(t, err)
		return enc
	}
	gz := func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
	lines := rawTarHeader("x.jsonl", '0', 96<<20)
	paths := []string{
		bomb(t, "a.tar.gz", gz, lines, 96<<20), bomb(t, "b.tar.zst", zst, lines, 96<<20), bomb(t, "c.jsonl.zst", zst, "", 96<<20),
		bomb(t, "d.tar.zst", zst, rawTarHeader("big.json", '0', 96<<20), 96<<20),
	}
	zipped := filepath.Join(t.TempDir(), "e.zip")
	out, err := os.Create(zipped)
	require.NoError(t, err)
	w := zip.NewWriter(out)
	member, err := w.Create("x.jsonl")
	require.NoError(t, err)
	for range 96 {
		_, err = member.Write(bytes.Repeat([]byte("\n"), 1<<20))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, out.Close())
	for _, path := range append(paths, zipped) {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		entries, rejections := read(t, feed.Reader{}, path)
		runtime.ReadMemStats(&after)
		require.Empty(t, entries, path)
		require.Contains(t, strings.Join(rejections, "\n"), "expands to more than", path)
		require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20), path)
	}
}

func TestManyEntries(t *testing.T) {
	if testing.Short() {
		t.Skip("a million entries are left out with -short")
	}
	const limit = 1_000_000
	tape := filepath.Join(t.TempDir(), "many.tar.zst")
	zipped := filepath.Join(t.TempDir(), "many.zip")
	writeTarOf(t, tape, limit+1)
	writeZipOf(t, zipped, limit)
	for path, want := range map[string]int{tape: 1, zipped: 0} {
		entries, peak := 0, uint64(0)
		var rejections []ledger.Rejection
		require.NoError(t, feed.Reader{
			Entry: func(ledger.Entry) error {
				if entries++; entries%200_000 == 0 {
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					peak = max(peak, m.HeapInuse)
				}
				return nil
			},
			Reject: func(r ledger.Rejection) error { rejections = append(rejections, r); return nil },
		}.Read(t.Context(), path))
		require.Equal(t, limit, entries, path)
		require.Len(t, rejections, want, path)
		require.Less(t, peak, uint64(128<<20), path)
	}
}

// An index that counts more than is read is refused before it is read.
func TestIndexThatCountsTooMuch(t *testing.T) {
	wide := make([]byte, 56)
	copy(wide, "PK\x06\x06")
	binary.LittleEndian.PutUint64(wide[32:], 1_000_001)
	end := "PK\x06\x07" + strings.Repeat("\x00", 16) + "PK\x05\x06" + strings.Repeat("\x00", 4) + strings.Repeat("\xff", 12) + "\x00\x00"
	_, rejections := readFileOf(t, "x.zip", string(wide)+end)
	require.Len(t, rejections, 1)
	require.Contains(t, rejections[0], "has 1000001 entries, at most 1000000 are read")
}

func writeTarOf(t *testing.T, path string, n int) {
	t.Helper()
	out, err := os.Create(path)
	require.NoError(t, err)
	enc, err := zstd.NewWriter(out, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	require.NoError(t, err)
	w := tar.NewWriter(enc)
	for i := range n {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: fmt.Sprintf("%d.json", i), Mode: 0o644, Format: tar.FormatUSTAR}))
	}
	require.NoError(t, w.Close())
	require.NoError(t, enc.Close())
	require.NoError(t, out.Close())
}

func writeZipOf(t *testing.T, path string, n int) {
	t.Helper()
	out, err := os.Create(path)
	require.NoError(t, err)
	w := zip.NewWriter(out)
	for i := range n {
		_, err := w.CreateRaw(&zip.FileHeader{Name: fmt.Sprintf("%d.json", i)})
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, out.Close())
}

func TestALargeDocumentInAnArchive(t *testing.T) {
	for extra, want := range map[int]int{0: 1, 1: 0} {
		content := strings.Repeat("x", ledger.MaxDocument+extra)
		for name, archive := range map[string]string{
			"x.tar": makeTar(t, part{name: "a.json", content: content}, part{name: "b.json", content: "b"}),
			"x.zip": makeZip(t, part{name: "a.json", content: content}, part{name: "b.json", content: "b"}),
		} {
			if name == "x.zip" && extra == 0 {
				continue // one letter 67 million times is a bomb
			}
			entries, rejections := readFileOf(t, name, archive)
			require.Len(t, entries, want+1, name)
			require.Len(t, rejections, extra, name)
		}
	}
}

func FuzzArchive(f *testing.F) {
	parts := []part{{name: "a.json", content: "{}"}, {name: "b.jsonl", content: "1\n2"}, {name: "c.json", kind: tar.TypeSymlink}}
	tape := makeTar(f, parts...)
	for i, seed := range []string{tape, gzipped(f, tape), compress(f, tape), makeZip(f, parts...), "{}\n", tape} {
		f.Add(uint8(i), []byte(seed))
	}
	ends := []string{".tar", ".tar.gz", ".tar.zst", ".zip"}
	f.Fuzz(func(t *testing.T, kind uint8, content []byte) {
		path := "-"
		if int(kind) < len(ends) {
			path = filepath.Join(t.TempDir(), "x"+ends[kind])
			require.NoError(t, os.WriteFile(path, content, 0o644))
		}
		total := 0
		require.NoError(t, feed.Reader{
			Stdin: bytes.NewReader(content),
			Entry: func(e ledger.Entry) error {
				if total += len(e.Bytes); strings.ContainsAny(e.Name, "\n\x1b\x00") {
					t.Fatalf("a name with control characters: %q", e.Name)
				}
				return nil
			},
			Reject: func(r ledger.Rejection) error { require.NotEmpty(t, r.Reason); return nil },
		}.Read(t.Context(), path))
		if total > 64<<20+1100*(len(content)+1) {
			t.Fatalf("%d bytes became %d", len(content), total)
		}
	})
}
