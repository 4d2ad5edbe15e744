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

// smallEvidence writes a few hundred advisories, which make one range.
func smallEvidence(t testing.TB) string {
	return replicas(t, 25, "")
}

// wideEvidence writes advisories of almost a megabyte: nearly each is a shard
// of its own, and more than eight shards are several ranges.
func wideEvidence(t testing.TB) string {
	return replicas(t, 2, strings.Repeat("wide ", 190_000))
}

// replicas writes our own samples n times under other ids, with words added to
// what they say.
func replicas(t testing.TB, n int, words string) string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(repository, "ledger/sample/osv/*.json"))
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	var lines bytes.Buffer
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		id := filepath.Base(path[:len(path)-len(".json")])
		for i := range n {
			var advisory map[string]any
			require.NoError(t, json.Unmarshal(bytes.ReplaceAll(raw, []byte(id), fmt.Appendf(nil, "%s-%d", id, i)), &advisory))
			if words != "" {
				advisory["details"] = words
			}
			line, err := json.Marshal(advisory)
			require.NoError(t, err)
			lines.Write(append(line, '\n'))
		}
	}
	path := filepath.Join(t.TempDir(), "evidence.jsonl")
	require.NoError(t, os.WriteFile(path, lines.Bytes(), 0o644))
	return path
}
