package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/testkit"
)

// TestMainJob walks the real corpus the whole way: imported, exported,
// downloaded, and believed by programs we did not write.
func TestMainJob(t *testing.T) {
	t.Parallel() // a house of its own, which mostly waits
	documents := realCorpus(t)
	h := openHouse(t)

	var first, again counts
	h.must(t, &first, "ledger", "import", documents)
	require.Equal(t, counts{Read: corpusDocuments, Accepted: corpusDocuments, Rejections: first.Rejections}, first)
	require.Empty(t, first.Rejections)
	h.must(t, &again, "ledger", "import", documents)
	require.Equal(t, corpusDocuments, again.Unchanged, "the same evidence again changes nothing")

	archive := filepath.Join(t.TempDir(), "bundle.tar")
	var run exported
	h.must(t, &run, "export", "run", "json:raw", "--wait", "--output", archive)
	require.Equal(t, "succeeded", run.Status)
	unpacked := unpack(t, archive)

	t.Run("stella verifies", func(t *testing.T) {
		_, code := h.stella(t, "verify", archive, "--trust", h.env["STELLA_TRUST"])
		require.Zero(t, code)
	})
	t.Run("every document is there once", func(t *testing.T) { countLines(t, unpacked) })
	t.Run("every original byte is recoverable by digest", func(t *testing.T) { h.recoverOriginals(t, documents, unpacked) })
	t.Run("sha256sum and zstd agree", func(t *testing.T) {
		requireRuns(t, unpacked, "sha256sum", "--strict", "--quiet", "-c", "checksums.txt")
		files, err := filepath.Glob(filepath.Join(unpacked, "data/raw/*.zst"))
		require.NoError(t, err)
		require.NotEmpty(t, files)
		requireRuns(t, unpacked, testkit.Tool(t, "zstd"), append([]string{"-t", "-q"}, files...)...)
	})
	t.Run("cosign agrees and sees one changed byte", func(t *testing.T) { cosignAgrees(t, unpacked, h.env["STELLA_TRUST"]) })
	t.Run("a foreign tenant sees nothing", func(t *testing.T) { h.foreignTenantSeesNothing(t, run.RunID) })
	t.Run("rejections are explained", func(t *testing.T) { h.explainsRejections(t) })
}

// unpack unpacks an archive with the machine's own tar.
func unpack(t testing.TB, archive string) string {
	t.Helper()
	dir := t.TempDir()
	requireRuns(t, dir, "tar", "-xf", archive)
	return dir
}

func requireRuns(t testing.TB, dir, name string, args ...string) {
	t.Helper()
	out, err := runIn(dir, name, args...)
	require.NoError(t, err, "%s %v\n%s", name, args, out)
}

func runIn(dir, name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir) // no configuration or cache of the person who runs the test
	return cmd.CombinedOutput()
}

// countLines counts as a stranger would: zstd -dc data/raw/* | wc -l.
func countLines(t *testing.T, unpacked string) {
	testkit.Tool(t, "zstd")
	out, err := runIn(unpacked, "sh", "-c", "zstd -dc data/raw/* | wc -l")
	require.NoError(t, err, "%s", out)
	require.Equal(t, "8993", strings.TrimSpace(string(out)))
}

// recoverOriginals asks the ledger for the bytes of every document that the
// bundle names, and compares the set with the files that were imported.
func (h *house) recoverOriginals(t *testing.T, documents, unpacked string) {
	want := digestsOfCorpus(t, documents)
	files, err := filepath.Glob(filepath.Join(unpacked, "data/raw/*.zst"))
	require.NoError(t, err)
	for _, file := range files {
		eachLine(t, file, func(line []byte) {
			var doc struct{ Original struct{ Digest string } }
			require.NoError(t, json.Unmarshal(line, &doc))
			digest := strings.TrimPrefix(doc.Original.Digest, "sha256:")
			require.Contains(t, want, digest, "the bundle names bytes nobody imported")
			require.Equal(t, digest, h.digestOfOriginal(t, doc.Original.Digest))
			delete(want, digest)
		})
	}
	require.Empty(t, want, "imported documents that the bundle does not name")
}

// digestOfOriginal downloads a document's original bytes and hashes them.
func (h *house) digestOfOriginal(t *testing.T, digest string) string {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, h.env["STELLA_SERVER"]+"/api/ledger/documents/"+digest, nil)
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+h.env["STELLA_TOKEN"])
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	require.Equal(t, http.StatusOK, answer.StatusCode)
	sum := sha256.New()
	_, err = io.Copy(sum, answer.Body)
	require.NoError(t, err)
	return hex.EncodeToString(sum.Sum(nil))
}

func digestsOfCorpus(t *testing.T, documents string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(documents, "*.jsonl.zst"))
	require.NoError(t, err)
	digests := map[string]bool{}
	for _, file := range files {
		eachLine(t, file, func(line []byte) {
			sum := sha256.Sum256(line)
			digests[hex.EncodeToString(sum[:])] = true
		})
	}
	require.Len(t, digests, corpusDocuments)
	return digests
}

// eachLine calls yield with each line of a zstd file.
func eachLine(t testing.TB, path string, yield func([]byte)) {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	plain, err := zstd.NewReader(file)
	require.NoError(t, err)
	defer plain.Close()
	lines := bufio.NewScanner(plain)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		yield(lines.Bytes())
	}
	require.NoError(t, lines.Err())
}

// cosignAgrees runs the commands of VERIFY.md with the trusted key alone, then
// changes one byte and runs them again.
func cosignAgrees(t *testing.T, unpacked, trust string) {
	cosign := testkit.Tool(t, "cosign")
	keys, err := filepath.Glob(filepath.Join(trust, "*.pub"))
	require.NoError(t, err)
	require.Len(t, keys, 1)
	blob := []string{"verify-blob", "--key", keys[0], "--bundle", "signatures/export.sigstore.json",
		"--insecure-ignore-tlog", "manifests/export.json"}
	attestation := []string{"verify-blob-attestation", "--key", keys[0], "--bundle", "signatures/provenance.sigstore.json",
		"--insecure-ignore-tlog", "--type", "slsaprovenance1", "manifests/export.json"}
	requireRuns(t, unpacked, cosign, blob...)
	requireRuns(t, unpacked, cosign, attestation...)

	path := filepath.Join(unpacked, "manifests/export.json")
	manifest, err := os.ReadFile(path)
	require.NoError(t, err)
	manifest[len(manifest)/2] ^= 1
	require.NoError(t, os.WriteFile(path, manifest, 0o644))
	for _, args := range [][]string{blob, attestation} {
		out, err := runIn(unpacked, cosign, args...)
		require.Error(t, err, "cosign accepted a changed manifest: %s", out)
	}
}

// foreignTenantSeesNothing compares the answers for an existing run of another
// tenant with those for an id that nobody has.
func (h *house) foreignTenantSeesNothing(t *testing.T, runID string) {
	token := h.tokenFor(t, "stranger")
	const nobody = "0190c0de-dead-7000-8000-000000000000"
	for _, path := range []string{"", "/download", "/manifest", "/provenance", "/cancel"} {
		method := http.MethodGet
		if path == "/cancel" {
			method = http.MethodPost
		}
		status, header, body := h.ask(t, token, method, "/api/export/runs/"+runID+path)
		wantStatus, wantHeader, wantBody := h.ask(t, token, method, "/api/export/runs/"+nobody+path)
		require.Equal(t, http.StatusNotFound, status, "%s %s", method, path)
		require.Equal(t, wantStatus, status)
		require.Equal(t, wantHeader, header)
		require.Equal(t, strings.ReplaceAll(wantBody, nobody, "ID"), strings.ReplaceAll(body, runID, "ID"))
	}
}

// ask sends a request and gives the answer without what differs every time.
func (h *house) ask(t *testing.T, token, method, path string) (int, http.Header, string) {
	t.Helper()
	request, err := http.NewRequest(method, h.env["STELLA_SERVER"]+path, strings.NewReader("{}"))
	require.NoError(t, err)
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	var problem map[string]any
	require.NoError(t, json.Unmarshal(raw, &problem), "%s", raw)
	delete(problem, "traceId")
	delete(problem, "timestamp")
	body, err := json.Marshal(problem)
	require.NoError(t, err)
	header := answer.Header.Clone()
	for _, name := range []string{"Date", "Traceparent", "X-Trace-Id", "X-Stella-Request-Id", "Content-Length"} {
		header.Del(name)
	}
	return answer.StatusCode, header, string(body)
}

func (h *house) tokenFor(t testing.TB, tenant string) string {
	t.Helper()
	out, err := exec.Command(program(t, "exportcenter"), "token", "--data", h.dir, "--tenant", tenant).Output()
	require.NoError(t, err)
	return string(bytes.TrimSpace(out))
}

// explainsRejections imports files with one defect each.
func (h *house) explainsRejections(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	good := `{"id":"EXC-1","modified":"2026-01-01T00:00:00Z","affected":[]}`
	write("good.json", good)
	write("broken.jsonl", good[:20]+"\n"+`{"modified":"2026-01-01T00:00:00Z"}`+"\n"+`{"id":"EXC-2","id":"EXC-3","modified":"2026-01-01T00:00:00Z"}`+"\n")
	write("notes.txt", "not evidence")
	write("cut.jsonl.zst", "\x28\xb5\x2f\xfd\x00")

	out, code := h.stella(t, "ledger", "import", dir, "--format", "json")
	require.Equal(t, 2, code, "an import with rejections must not exit 0")
	var got counts
	require.NoError(t, json.Unmarshal(out, &got), "%s", out)
	require.Equal(t, got.Read, got.Accepted+got.Unchanged+got.Superseded+got.Rejected)
	require.Equal(t, 1, got.Accepted)
	require.Len(t, got.Rejections, got.Rejected)
	reasons := map[string]string{}
	for _, r := range got.Rejections {
		require.NotEmpty(t, r.Reason)
		reasons[filepath.Base(r.File)+" "+r.Entry] = r.Reason
	}
	for _, entry := range []string{"broken.jsonl line 1", "broken.jsonl line 2", "broken.jsonl line 3"} {
		require.Contains(t, reasons, entry)
	}
}
