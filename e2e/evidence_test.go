package e2e

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stella-ops/exportcenter/bundle"
)

// realArchives gives every archive of real evidence by its name in the table of
// counts, and the table.
func realArchives(t testing.TB) (paths []string, table map[string]archiveCounts) {
	t.Helper()
	realCorpus(t)
	raw, err := os.ReadFile(filepath.Join(repository, "cmd/exportcenter/testdata/archives.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &table))
	for _, folder := range []string{"osv", "vex", "sbom"} {
		found, err := filepath.Glob(filepath.Join(filepath.Dir(corpus), folder, "*.zst"))
		require.NoError(t, err)
		require.NotEmpty(t, found, folder)
		paths = append(paths, found...)
	}
	require.Len(t, paths, len(table))
	return paths, table
}

// archiveCounts are what is written down of an archive: documents by format and
// kind, rejections by class of reason.
type archiveCounts struct {
	Read               int
	Accepted, Rejected map[string]int
}

func total(counts map[string]int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}

// TestEveryFormat walks all real evidence the whole way: each archive gives the
// counts that are written down, the bundle verifies and names nothing that was not
// imported, and every document that was taken comes back byte for byte, no other.
func TestEveryFormat(t *testing.T) {
	t.Parallel() // a house of its own, which mostly waits
	paths, table := realArchives(t)
	h := openHouse(t)
	rejected := 0
	want := map[bundle.Digest]int{} // every entry of every archive
	for _, path := range paths {
		name := filepath.Base(filepath.Dir(path)) + "/" + filepath.Base(path)
		var got counts
		out, code := h.stella(t, "ledger", "import", path, "--format", "json")
		require.NoError(t, json.Unmarshal(out, &got), "%s", out)
		require.Equal(t, table[name].Read, got.Read, name)
		require.Equal(t, total(table[name].Accepted), got.Accepted+got.Unchanged+got.Superseded, name)
		require.Equal(t, total(table[name].Rejected), got.Rejected, name)
		require.Equal(t, got.Rejected > 0, code == 2, "%s ended with %d", name, code)
		for _, r := range got.Rejections {
			require.NotEmpty(t, r.Reason, "%s %s", name, r.Entry)
		}
		rejected += got.Rejected
		entriesOf(t, path, func(entry []byte) { want[bundle.DigestOf(entry)]++ })
	}

	archive := filepath.Join(t.TempDir(), "bundle.tar")
	var run exported
	h.must(t, &run, "export", "run", "json:raw", "--wait", "--output", archive)
	require.Equal(t, "succeeded", run.Status)
	_, code := h.stella(t, "verify", archive, "--trust", h.env["STELLA_TRUST"])
	require.Zero(t, code)

	held, refused := h.originals(t, want)
	require.Equal(t, rejected, refused, "entries whose bytes the ledger does not have")
	kinds := map[string]int{}
	files, err := filepath.Glob(filepath.Join(unpack(t, archive), "data/raw/*.zst"))
	require.NoError(t, err)
	for _, file := range files {
		kind, _, _ := strings.Cut(filepath.Base(file), "-")
		eachLine(t, file, func(line []byte) {
			var doc struct{ Original struct{ Digest string } }
			require.NoError(t, json.Unmarshal(line, &doc))
			digest, err := bundle.ParseDigest(doc.Original.Digest)
			require.NoError(t, err)
			require.True(t, held[digest], "the bundle names %s, which nobody imported", digest)
			kinds[kind]++
		})
	}
	t.Logf("%d distinct documents, %d entries rejected, in the bundle: %v", len(held), refused, kinds)
	require.Len(t, kinds, 3, "advisories, VEX and SBOMs")
	h.downloads(t, run.RunID, archive)
}

// originals asks the ledger for the bytes of every entry. It gives those that are
// there, and counts the entries that are not.
func (h *house) originals(t *testing.T, entries map[bundle.Digest]int) (held map[bundle.Digest]bool, missing int) {
	t.Helper()
	held = map[bundle.Digest]bool{}
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(4)
	for digest, times := range entries {
		group.Go(func() error {
			status, err := h.original(digest)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				return err
			case status == http.StatusOK:
				held[digest] = true
			case status == http.StatusNotFound:
				missing += times
			default:
				return fmt.Errorf("%s: status %d", digest, status)
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	return held, missing
}

// original downloads a document and compares it with its digest.
func (h *house) original(digest bundle.Digest) (int, error) {
	request, err := http.NewRequest(http.MethodGet, h.env["STELLA_SERVER"]+"/api/ledger/documents/"+digest.String(), nil)
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+h.env["STELLA_TOKEN"])
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode == http.StatusOK && bundle.DigestOf(raw) != digest {
		err = fmt.Errorf("%s: other bytes came back", digest)
	}
	return answer.StatusCode, err
}

// entriesOf reads an archive with other means than ours.
func entriesOf(t testing.TB, path string, yield func([]byte)) {
	t.Helper()
	if strings.HasSuffix(path, ".jsonl.zst") {
		eachLine(t, path, func(line []byte) { yield(bytes.Clone(line)) })
		return
	}
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	plain, err := zstd.NewReader(file)
	require.NoError(t, err)
	defer plain.Close()
	for in := tar.NewReader(plain); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		if header.Typeflag == tar.TypeReg {
			content, err := io.ReadAll(in)
			require.NoError(t, err)
			yield(content)
		}
	}
}
