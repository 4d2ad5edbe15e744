package testkit

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// RealAdvisories gives the lines of the real advisories beside the project, or
// skips the test and says what is missing.
func RealAdvisories(t testing.TB) (documents [][]byte) {
	t.Helper()
	pattern := filepath.Join(Root(t), "..", "shared", "data", "osv", "*.jsonl.zst")
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skip("missing: real advisories, ../shared/data/osv/*.jsonl.zst")
	}
	for _, file := range files {
		for line := range bytes.Lines(unpacked(t, file)) {
			documents = append(documents, bytes.TrimSuffix(line, []byte("\n")))
		}
	}
	return documents
}

func unpacked(t testing.TB, file string) []byte {
	t.Helper()
	stored, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer stored.Close() //nolint:errcheck // only read
	decoder, err := zstd.NewReader(stored)
	if err != nil {
		t.Fatal(err)
	}
	defer decoder.Close()
	content, err := io.ReadAll(decoder)
	if err != nil {
		t.Fatal(err)
	}
	return content
}
