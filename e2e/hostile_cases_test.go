package e2e

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

func greatDocument(t *testing.T, a *attack) {
	got := a.imports(t, a.write(t, "great.json", advisory("EXC-GREAT", maxDocument)), 0)
	require.Equal(t, 1, got.Accepted)
	got = a.imports(t, a.write(t, "greater.json", advisory("EXC-GREATER", maxDocument+1)), 2)
	require.Contains(t, got.Rejections[0].Reason, "67108864")
	for _, name := range []string{"great.json", "greater.json"} {
		require.NoError(t, os.Remove(filepath.Join(a.dir, name)))
	}
}

func deepDocument(t *testing.T, a *attack) {
	const deep = 100_000
	for name, doc := range map[string]string{
		"lists.json":   `{"id":"EXC-DEEP","modified":"2026-01-01T00:00:00Z","affected":` + strings.Repeat("[", deep) + strings.Repeat("]", deep) + "}",
		"objects.json": `{"id":"EXC-DEEP","modified":"2026-01-01T00:00:00Z","database_specific":` + strings.Repeat(`{"a":`, deep) + "1" + strings.Repeat("}", deep) + "}",
		"open.json":    strings.Repeat("[", deep),
	} {
		got := a.imports(t, a.write(t, name, doc), 2)
		require.Equal(t, 1, got.Rejected)
		require.NotEmpty(t, got.Rejections[0].Reason)
		rejections, last := a.posts(t, "application/x-ndjson", strings.NewReader(anImportRecord(doc)+anImportRecord(advisory("EXC-BEHIND-"+name, 100))))
		require.Len(t, rejections, 1, name)
		require.Contains(t, last, "summary")
	}
	// Also what is around the documents has levels.
	rejections, _ := a.posts(t, "application/x-ndjson", strings.NewReader(strings.Repeat(`{"bytes":`, deep)+"\n"+anImportRecord(advisory("EXC-BEHIND", 100))))
	require.Len(t, rejections, 1)
}

func anImportRecord(doc string) string {
	return `{"source":"osv","stream":"hostile","bytes":"` + base64.StdEncoding.EncodeToString([]byte(doc)) + `"}` + "\n"
}

func manyInTar(t *testing.T, a *attack) {
	path := a.path("many.tar.zst")
	out, err := os.Create(path)
	require.NoError(t, err)
	defer out.Close()
	packed, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedFastest))
	require.NoError(t, err)
	doc := advisory("EXC-MANY", 100)
	w := tar.NewWriter(packed)
	for i := range maxMembers + 1 {
		name := fmt.Sprintf("d%d/%07d.json", i%100, i)
		if i < maxMembers-50_000 {
			name = fmt.Sprintf(".hidden/%07d.json", i) // counted and passed over, or this would be a test of patience
		}
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(doc))}))
		_, err := io.WriteString(w, doc)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, packed.Close())
	got := a.imports(t, path, 2)
	require.Equal(t, 50_001, got.Read)
	require.Equal(t, 1, got.Accepted, "they are all the same")
	require.Equal(t, 1, got.Rejected)
	require.Contains(t, got.Rejections[0].Reason, "1000000")
}

func manyInZip(t *testing.T, a *attack) {
	path := a.path("many.zip")
	out, err := os.Create(path)
	require.NoError(t, err)
	defer out.Close()
	w := zip.NewWriter(out)
	doc := advisory("EXC-MANY-ZIPPED", 100)
	const refused = 200_000
	for i := range maxMembers {
		name := fmt.Sprintf(".hidden/%07d", i)
		switch {
		case i == maxMembers-1:
			name = "last.json"
		case i < refused:
			name = fmt.Sprintf("notes-%07d.txt", i)
		}
		member, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		require.NoError(t, err)
		if name == "last.json" {
			_, err = io.WriteString(member, doc)
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	got := a.imports(t, path, 2)
	require.Equal(t, 1, got.Accepted)
	require.Equal(t, refused, got.Rejected)
}

func bombs(t *testing.T, a *attack) {
	const expanded = 2 << 30
	zeros := func(name, before string) string {
		path := a.path(name)
		out, err := os.Create(path)
		require.NoError(t, err)
		defer out.Close()
		packed, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedFastest))
		require.NoError(t, err)
		_, err = io.WriteString(packed, before)
		require.NoError(t, err)
		block := make([]byte, 1<<20)
		for range expanded / len(block) {
			_, err = packed.Write(block)
			require.NoError(t, err)
		}
		require.NoError(t, packed.Close())
		info, err := out.Stat()
		require.NoError(t, err)
		require.Less(t, info.Size(), int64(expanded/1000), "not a bomb")
		return path
	}
	header := tarHeader(t, "bomb.json", expanded)
	for _, path := range []string{zeros("bomb.jsonl.zst", ""), zeros("bomb.tar.zst", header)} {
		got := a.imports(t, path, 2)
		require.Zero(t, got.Accepted)
		require.NotEmpty(t, got.Rejections)
		var reasons []string
		for _, r := range got.Rejections {
			reasons = append(reasons, r.Reason)
		}
		require.Regexp(t, "expands to more than|a document may have|longer than|at most", strings.Join(reasons, "; "))
	}
}

// tarHeader is the block before a member that claims to have size bytes.
func tarHeader(t *testing.T, name string, size int64) string {
	var b bytes.Buffer
	require.NoError(t, tar.NewWriter(&b).WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: size}))
	return b.String()
}

// escapes are names that lead out of a folder, seen from dir.
func escapes(dir string) []string {
	return []string{"../escaped.json", "../../../../../../../../escaped-root.json", filepath.Join(dir, "absolute.json"),
		"a/../../escaped-2.json", "./././escaped-3.json", `a\..\..\escaped-4.json`, "C:\\escaped-5.json", "\x00.json", "nul\x00.json",
		strings.Repeat("d/", 200) + "escaped-6.json"}
}

func treacherousNames(t *testing.T, a *attack) {
	victim := filepath.Join(a.dir, "victim")
	require.NoError(t, os.WriteFile(victim, []byte("precious"), 0o600))
	a.files = append(a.files, victim)
	var plain bytes.Buffer
	w := tar.NewWriter(&plain)
	wanted := 0
	for _, name := range escapes(a.dir) {
		doc := advisory(fmt.Sprintf("EXC-NAME-%d", wanted), 100)
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o777, Size: int64(len(doc))}); err != nil {
			continue // a name that a tar cannot have
		}
		wanted++
		_, err := io.WriteString(w, doc)
		require.NoError(t, err)
	}
	refused := 0
	for _, header := range []tar.Header{
		{Name: "link.json", Typeflag: tar.TypeSymlink, Linkname: victim},
		{Name: "hard.json", Typeflag: tar.TypeLink, Linkname: "../" + filepath.Base(victim)},
		{Name: "dir.json", Typeflag: tar.TypeSymlink, Linkname: "/etc"},
		{Name: "disk.json", Typeflag: tar.TypeBlock, Devmajor: 8},
		{Name: "terminal.json", Typeflag: tar.TypeChar, Devmajor: 5},
		{Name: "pipe.json", Typeflag: tar.TypeFifo},
	} {
		refused++
		require.NoError(t, w.WriteHeader(&header))
	}
	doc := advisory("EXC-THROUGH", 100) // through the link above, if that were made
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "dir.json/through.json", Mode: 0o644, Size: int64(len(doc))}))
	_, err := io.WriteString(w, doc)
	require.NoError(t, err)
	require.NoError(t, w.Close())

	got := a.imports(t, a.write(t, "names.tar", plain.String()), 2)
	require.Equal(t, wanted+1, got.Accepted+got.Unchanged, "%v", got)
	require.Equal(t, refused, got.Rejected)
	rejections, last := a.posts(t, "application/x-tar", &plain)
	require.Len(t, rejections, refused)
	summary, ok := last["summary"].(map[string]any)
	require.True(t, ok, "%v", last)
	require.EqualValues(t, wanted+1, summary["accepted"].(float64)+summary["unchanged"].(float64))
	content, err := os.ReadFile(victim)
	require.NoError(t, err)
	require.Equal(t, "precious", string(content))
}

// cutArchives are archives that promise more than they have.
func cutArchives(t *testing.T, a *attack) {
	doc := advisory("EXC-CUT", 100)
	claims := tarHeader(t, "claims.json", 8<<30) + doc
	got := a.imports(t, a.write(t, "claims.tar", claims), 2)
	require.Zero(t, got.Accepted)
	rejections, _ := a.posts(t, "application/x-tar", strings.NewReader(claims))
	require.NotEmpty(t, rejections)
	// A pax record of 1 GiB, of which nothing comes.
	pax := []byte(tarHeader(t, "PaxHeaders/x", 1<<30))
	pax[156] = tar.TypeXHeader
	rejections, _ = a.posts(t, "application/x-tar", bytes.NewReader(checksummed(pax)))
	require.NotEmpty(t, rejections)
}

// checksummed gives a tar header the checksum of its bytes (POSIX.1-2017 pax,
// "ustar Interchange Format").
func checksummed(header []byte) []byte {
	copy(header[148:156], "        ")
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return header
}

func brokenRecords(t *testing.T, a *attack) {
	for name, body := range map[string]string{
		"a line that never ends": `{"bytes":"` + strings.Repeat("A", 100<<20),
		"not JSON":               strings.Repeat("\x00\xff[[[\n", 50_000),
		"numbers":                `{"bytes":` + strings.Repeat("9", 1<<20) + "}\n",
		"many members":           "{" + strings.Repeat(`"a":1,`, 500_000) + `"b":1}` + "\n",
	} {
		status, lines := a.answer(t, "application/x-ndjson", strings.NewReader(body))
		require.Contains(t, []int{200, 400, 413}, status, name)
		require.NotEmpty(t, lines, name)
		require.NotContains(t, fmt.Sprint(lines[len(lines)-1]), "ERR_EXPORT_INTERNAL", name)
	}
}
