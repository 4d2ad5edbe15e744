package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// corpus is the real evidence some tests read, beside the project.
const corpus = "../../shared/data/osv"

// corpusDocuments is how many documents it has.
const corpusDocuments = 8993

// realCorpus gives the path of the real evidence; it is not part of the
// project, so a checkout without it skips by name also in CI.
func realCorpus(t testing.TB) string {
	t.Helper()
	path, err := filepath.Abs(corpus)
	require.NoError(t, err)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("missing: %s", corpus)
	}
	return path
}

// corpusOrReplicas gives the real evidence, or where that is not there as many
// documents of our own.
func corpusOrReplicas(t testing.TB) string {
	t.Helper()
	if _, err := os.Stat(corpus); err == nil {
		return realCorpus(t)
	}
	return replicas(t, corpusDocuments, "")
}

// smallEvidence writes a few hundred advisories, which make one range.
func smallEvidence(t testing.TB) string {
	t.Helper()
	return replicas(t, 300, "")
}

// wideEvidence writes advisories of almost a megabyte: nearly each is a shard
// of its own, and more than eight shards are several ranges.
func wideEvidence(t testing.TB) string {
	t.Helper()
	return replicas(t, 24, strings.Repeat("wide ", 190_000))
}

// replicas writes n documents into a file, one a line: our own samples again and
// again, each time under other ids, with words for what they say unless "".
func replicas(t testing.TB, n int, words string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(repository, "ledger/sample/osv/*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	var samples [][]byte
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		samples = append(samples, raw)
	}
	var lines bytes.Buffer
	for i := range n {
		id := strings.TrimSuffix(filepath.Base(paths[i%len(paths)]), ".json")
		other := fmt.Appendf(nil, "%s-%d", id, i/len(paths))
		var advisory map[string]any
		require.NoError(t, json.Unmarshal(bytes.ReplaceAll(samples[i%len(samples)], []byte(id), other), &advisory))
		if words != "" {
			advisory["details"] = words
		}
		line, err := json.Marshal(advisory)
		require.NoError(t, err)
		lines.Write(append(line, '\n'))
	}
	path := filepath.Join(t.TempDir(), "replicas.jsonl")
	require.NoError(t, os.WriteFile(path, lines.Bytes(), 0o644))
	return path
}
