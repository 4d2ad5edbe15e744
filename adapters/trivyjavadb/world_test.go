package trivyjavadb_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters/adaptertest"
	"github.com/stella-ops/exportcenter/adapters/trivyjavadb"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
)

// gav is an artifact of a list.
type gav struct {
	SHA1       string `json:"sha1"`
	GroupID    string `json:"groupId"`
	ArtifactID string `json:"artifactId"`
	Version    string `json:"version"`
	Type       string `json:"archiveType,omitempty"`
}

func list(t testing.TB, source, stream, id string, artifacts ...gav) adaptertest.Entry {
	t.Helper()
	if artifacts == nil {
		artifacts = []gav{}
	}
	text, err := json.Marshal(map[string]any{"format": "stellaops.gav-list/v1", "id": id, "modified": "2026-01-0" + fmt.Sprint(1+len(id)%9) + "T00:00:00Z", "artifacts": artifacts})
	require.NoError(t, err)
	return adaptertest.Entry{Source: source, Stream: stream, Text: text}
}

// sha1Of is a made-up SHA-1 of 40 digits.
func sha1Of(n int) string { return fmt.Sprintf("%040x", n) }

// world is a few lists and SBOMs: names that agree, names that do not, components
// that are no archives.
func world(t testing.TB) []adaptertest.Entry {
	a := gav{SHA1: sha1Of(1), GroupID: "org.a", ArtifactID: "a", Version: "1"}
	b := gav{SHA1: sha1Of(2), GroupID: "org.b", ArtifactID: "b", Version: "1"}
	moved := gav{SHA1: sha1Of(2), GroupID: "com.b", ArtifactID: "b", Version: "1"}
	twice := gav{SHA1: sha1Of(3), GroupID: "z", ArtifactID: "z", Version: "1"}
	other := gav{SHA1: sha1Of(3), GroupID: "y", ArtifactID: "y", Version: "1", Type: "aar"}
	return []adaptertest.Entry{
		list(t, "central", "one", "l1", a, b, a), list(t, "central", "one", "l2", b), list(t, "central", "two", "l3", moved, moved, moved, other),
		list(t, "mirror", "one", "l4", a, twice), list(t, "mirror", "one", "l5-empty"), list(t, "mirror", "one", "l6", gav{SHA1: sha1Of(9), GroupID: "org.a", ArtifactID: "a", Version: "2"}),
		{Source: "ci", Stream: "sboms", Text: []byte(`{"bomFormat":"CycloneDX","specVersion":"1.6","serialNumber":"urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79","metadata":{"timestamp":"2026-02-01T00:00:00Z"},"components":[
			{"name":"a","purl":"pkg:maven/org.a/a@1?type=jar","hashes":[{"alg":"SHA-1","content":"` + sha1Of(1) + `"}]},
			{"name":"c","version":"7","purl":"pkg:maven/org.c/c","hashes":[{"alg":"SHA-1","content":"` + sha1Of(12) + `"}]},
			{"name":"w","purl":"pkg:maven/org.c/w@1?type=war","hashes":[{"alg":"SHA-1","content":"` + sha1Of(13) + `"}]},
			{"name":"n","purl":"pkg:npm/n@1","hashes":[{"alg":"SHA-1","content":"` + sha1Of(14) + `"}]},
			{"name":"h","purl":"pkg:maven/org.c/h@1","hashes":[{"alg":"SHA-1","content":"00"}]}]}`)},
		{Source: "osv", Stream: "all", Text: []byte(`{"id":"X-1","modified":"2026-01-01T00:00:00Z"}`)},
	}
}

// row is a file as Trivy sees it.
type row struct{ sha1, group, artifact, version, kind string }

// database is what a layer holds, opened with SQLite.
type database struct {
	rows      []row
	artifacts int64
	metadata  map[string]any
	bytes     []byte
}

func open(t testing.TB, r adaptertest.Result) (d database) {
	t.Helper()
	var content bytes.Buffer
	layer, err := bundle.ReadLayer(bytes.NewReader(r.At(t, bundle.TrivyJavaPath)), 1<<30, &content)
	require.NoError(t, err)
	require.Equal(t, "trivy-java.db", layer.Name)
	require.NoError(t, json.Unmarshal(layer.Metadata, &d.metadata))
	d.bytes = content.Bytes()
	path := filepath.Join(t.TempDir(), layer.Name)
	require.NoError(t, os.WriteFile(path, d.bytes, 0o444))
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()
	var sound string
	require.NoError(t, db.QueryRow("PRAGMA integrity_check").Scan(&sound))
	require.Equal(t, "ok", sound)
	rows, err := db.Query("SELECT lower(hex(i.sha1)), a.group_id, a.artifact_id, i.version, i.archive_type FROM indices i JOIN artifacts a ON a.id = i.artifact_id ORDER BY i.sha1")
	require.NoError(t, err)
	for rows.Next() {
		var one row
		require.NoError(t, rows.Scan(&one.sha1, &one.group, &one.artifact, &one.version, &one.kind))
		d.rows = append(d.rows, one)
	}
	require.NoError(t, rows.Err())
	require.NoError(t, rows.Close())
	require.NoError(t, db.QueryRow("SELECT count(*) FROM artifacts").Scan(&d.artifacts))
	return d
}

func build(t testing.TB, documents []ledger.Line) adaptertest.Result {
	t.Helper()
	r, err := adaptertest.Work{Adapter: trivyjavadb.Adapter{}, Documents: documents}.Do(t, t.Context())
	require.NoError(t, err)
	return r
}

func summaryOf(t testing.TB, r adaptertest.Result) (s trivyjavadb.Summary) {
	t.Helper()
	require.NoError(t, json.Unmarshal(r.At(t, bundle.TrivySummaryPath), &s))
	return s
}
