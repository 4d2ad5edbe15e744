package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/feed"
)

const realData = "../../../shared/data"

// outcome is what becomes of an archive: documents by format and kind, by the
// severities they give, and rejections by class of reason.
type outcome struct {
	Read     int            `json:"read"`
	Accepted map[string]int `json:"accepted"`
	// Severities counts documents by each severity they give, "" without one.
	Severities map[string]int `json:"severities"`
	Rejected   map[string]int `json:"rejected"`
}

var particulars = regexp.MustCompile(`"(?:[^"\\]|\\.)*"|\[\d+\]|\d+ |: its fields are .*`)

// classOf is a reason without what differs from document to document.
func classOf(reason string) string {
	return strings.TrimSpace(particulars.ReplaceAllStringFunc(reason, func(part string) string {
		if part[0] == '[' {
			return "[]"
		}
		return ""
	}))
}

// Every real archive gives the counts that are written down, and every original
// is in the ledger as it is in the archive. UPDATE=1 writes them down anew.
func TestRealArchives(t *testing.T) {
	if _, err := os.Stat(realData); err != nil {
		t.Skipf("real data is missing: %s", realData)
	}
	const table = "testdata/archives.json"
	want := map[string]outcome{}
	if written, err := os.ReadFile(table); err == nil {
		require.NoError(t, json.Unmarshal(written, &want))
	}
	got := map[string]outcome{}
	for _, folder := range []string{"osv", "vex", "sbom"} {
		paths, err := filepath.Glob(filepath.Join(realData, folder, "*.zst"))
		require.NoError(t, err)
		require.NotEmpty(t, paths)
		for _, path := range paths {
			name := folder + "/" + filepath.Base(path)
			got[name] = importArchive(t, path)
			if os.Getenv("UPDATE") == "" {
				require.Equal(t, want[name], got[name], name)
			}
		}
	}
	if os.Getenv("UPDATE") != "" {
		text, err := json.MarshalIndent(got, "", "  ")
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(table, append(text, '\n'), 0o644))
	}
}

func importArchive(t *testing.T, path string) outcome {
	t.Helper()
	o := outcome{Accepted: map[string]int{}, Severities: map[string]int{}, Rejected: map[string]int{}}
	originals := digestsOf(t, path)
	require.NoError(t, feed.Reader{
		Entry: func(e ledger.Entry) error {
			o.Read++
			doc, err := parseEvidence(e)
			if err != nil {
				o.Rejected[classOf(err.Error())]++
				return nil
			}
			require.NoError(t, doc.Validate())
			require.Equal(t, doc.Format, doc.Source)
			require.Positive(t, originals[bundle.DigestOf(doc.Raw)], "%s of %s is not as it was", e.Name, path)
			o.Accepted[doc.Format+" "+string(doc.Kind)]++
			for _, severity := range doc.Severities {
				o.Severities[severity]++
			}
			if len(doc.Severities) == 0 {
				o.Severities[""]++
			}
			return nil
		},
		Reject: func(r ledger.Rejection) error { o.Read++; o.Rejected[classOf(r.Reason)]++; return nil },
	}.Read(t.Context(), path))
	return o
}

// digestsOf reads an archive with other means than ours.
func digestsOf(t *testing.T, path string) map[bundle.Digest]int {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	dec, err := zstd.NewReader(file)
	require.NoError(t, err)
	defer dec.Close()
	digests := map[bundle.Digest]int{}
	if strings.HasSuffix(path, ".jsonl.zst") {
		all, err := io.ReadAll(dec)
		require.NoError(t, err)
		for line := range bytes.SplitSeq(all, []byte("\n")) {
			digests[bundle.DigestOf(line)]++
		}
		return digests
	}
	for in := tar.NewReader(dec); ; {
		_, err := in.Next()
		if errors.Is(err, io.EOF) {
			return digests
		}
		require.NoError(t, err)
		content, err := io.ReadAll(in)
		require.NoError(t, err)
		digests[bundle.DigestOf(content)]++
	}
}

// A document of the greatest size goes through in bounded time, one byte more
// is refused, and depth is refused whatever its size.
func TestExtremeDocuments(t *testing.T) {
	const head = `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[{"name":"a","purl":"pkg:npm/a@1"}`
	const one = `,{"name":"a","purl":"pkg:npm/a@1","description":"some more text of the usual kind"}`
	doc := head + strings.Repeat(one, (ledger.MaxDocument-len(head)-2)/len(one)) + "]"
	doc += strings.Repeat(" ", ledger.MaxDocument-len(doc)-1) + "}"
	require.Len(t, doc, ledger.MaxDocument)
	o, err := parseEvidence(ledger.Entry{Bytes: []byte(doc)})
	require.NoError(t, err)
	require.Equal(t, []string{"pkg:npm/a@1"}, o.Products)
	_, err = parseEvidence(ledger.Entry{Bytes: []byte(doc + " ")})
	require.ErrorContains(t, err, "at most")
	deep := head + `],"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + "}"
	_, err = parseEvidence(ledger.Entry{Bytes: []byte(deep)})
	require.ErrorContains(t, err, "nested deeper")
}

// Formats of our own may have an id and a time, and are no advisories for it.
func TestOurOwnFormatsAreNoAdvisories(t *testing.T) {
	for doc, want := range map[string]string{
		`{"format":"stellaops.gav-list/v1","id":"a","modified":"2026-01-01T00:00:00Z","artifacts":[]}`:                                    "gav-list",
		`{"format":"stellaops.findings/v1","id":"a","modified":"2026-01-01T00:00:00Z","policy":{"name":"a","version":"1"},"findings":[]}`: "findings",
	} {
		o, err := parseEvidence(ledger.Entry{Bytes: []byte(doc)})
		require.NoError(t, err, doc)
		require.Equal(t, want, o.Format)
	}
}
