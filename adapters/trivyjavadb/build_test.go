package trivyjavadb_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/adaptertest"
	"github.com/stella-ops/exportcenter/adapters/trivyjavadb"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/testkit"
)

func TestSuite(t *testing.T) { adaptertest.Run(t, subject(t)) }

// TestEveryBitCounts flips bits of a signed bundle of this kind.
func TestEveryBitCounts(t *testing.T) { adaptertest.Flips(t, subject(t)) }

func subject(t *testing.T) adaptertest.Subject {
	t.Helper()
	return adaptertest.Subject{
		Work: adaptertest.Work{Adapter: trivyjavadb.Adapter{}, Documents: adaptertest.Lines(t, world(t)...)},
		Read: func(t *testing.T, r adaptertest.Result) map[string]int64 {
			return map[string]int64{bundle.TrivyJavaPath: int64(len(open(t, r).rows))}
		},
		Refused: map[string]export.Options{"a redaction cannot be followed": {Redaction: &export.Redaction{PolicyID: "p"}}, "makes databases of schema 1, not 2": {SchemaVersion: 2}},
	}
}

func TestWhatDocumentsNameIsInTheDatabase(t *testing.T) {
	r := build(t, adaptertest.Lines(t, world(t)...))
	d := open(t, r)
	require.Equal(t, []row{
		{sha1Of(1), "org.a", "a", "1", "jar"},
		{sha1Of(2), "org.b", "b", "1", "jar"}, // two lists against one
		{sha1Of(3), "y", "y", "1", "aar"},     // one against one: the bytewise first
		{sha1Of(9), "org.a", "a", "2", "jar"},
		{sha1Of(12), "org.c", "c", "7", "jar"},
	}, d.rows)
	require.EqualValues(t, 4, d.artifacts)
	require.Equal(t, map[string]any{"Version": 1.0, "UpdatedAt": "2026-11-22T08:00:00Z", "NextUpdate": "2026-11-23T08:00:00Z", "DownloadedAt": "0001-01-01T00:00:00Z"}, d.metadata)
	require.Equal(t, trivyjavadb.Summary{
		Database: "trivy-java.db", SchemaVersion: 1, SQLite: "modernc.org/sqlite@v1.60.1", UpdatedAt: "2026-11-22T08:00:00Z",
		Artifacts: 4, Indices: 5, Conflicts: 2,
		Sources: []trivyjavadb.SourceTally{
			{Kind: "advisory", Source: "osv", Stream: "all", Documents: 1, Newest: "2026-01-01T00:00:00.000000000Z"},
			{Kind: "artifact", Source: "central", Stream: "one", Documents: 2, Records: 2, Newest: "2026-01-03T00:00:00.000000000Z"},
			{Kind: "artifact", Source: "central", Stream: "two", Documents: 1, Records: 1, Newest: "2026-01-03T00:00:00.000000000Z"},
			{Kind: "artifact", Source: "mirror", Stream: "one", Documents: 3, Records: 2, Newest: "2026-01-09T00:00:00.000000000Z"},
			{Kind: "sbom", Source: "ci", Stream: "sboms", Documents: 1, Records: 2, Left: 2, Newest: "2026-02-01T00:00:00.000000000Z"},
		},
	}, summaryOf(t, r))
	require.Equal(t, adapters.SourceCount{Kind: "sbom", Source: "ci", Stream: "sboms", Documents: 1, Records: 2, Newest: "2026-02-01T00:00:00.000000000Z"}, r.Sources[4])
	require.EqualValues(t, 3_000_000, binary.BigEndian.Uint32(d.bytes[96:]))
	require.EqualValues(t, 4096, binary.BigEndian.Uint16(d.bytes[16:]))
}

// The tables and indexes are those of Trivy's own builder, by name and column.
func TestSchema(t *testing.T) {
	content := open(t, build(t, adaptertest.Lines(t, world(t)...))).bytes
	for _, statement := range []string{
		"CREATE TABLE artifacts(id INTEGER PRIMARY KEY, group_id TEXT, artifact_id TEXT)",
		"CREATE TABLE indices(artifact_id INTEGER, version TEXT, sha1 BLOB, archive_type TEXT, foreign key (artifact_id) references artifacts(id))",
		"CREATE UNIQUE INDEX artifacts_idx ON artifacts(artifact_id, group_id)",
		"CREATE INDEX indices_artifact_idx ON indices(artifact_id)",
		"CREATE UNIQUE INDEX indices_sha1_idx ON indices(sha1)",
	} {
		require.Contains(t, string(content), statement)
	}
}

func TestSchemaIsTheOneThatRunsMayAskFor(t *testing.T) {
	require.Equal(t, trivyjavadb.Schema, export.DatabaseSchema(trivyjavadb.Adapter{}.Profile()))
}

func TestNothingToName(t *testing.T) {
	r := build(t, adaptertest.Lines(t, adaptertest.Sample(t)...))
	require.Empty(t, open(t, r).rows)
	require.Zero(t, summaryOf(t, r).Indices)
}

// The library that the summary names is the one that is linked.
func TestLibraryIsTheOneOfGoMod(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(testkit.Root(t), "go.mod"))
	require.NoError(t, err)
	name := summaryOf(t, build(t, adaptertest.Lines(t, world(t)...))).SQLite
	require.Contains(t, string(text), "\t"+strings.Replace(name, "@", " ", 1)+"\n")
}

// The real list gives each of its lines, whether it comes as one document or as
// many, and whether as a list or as the SBOMs it was taken from.
func TestRealArtifacts(t *testing.T) {
	path := filepath.Join(testkit.Root(t), "..", "shared", "data", "java", "sha1-gav.jsonl.zst")
	packed, err := os.ReadFile(path)
	if err != nil {
		t.Skipf("missing: real artifacts, ../shared/data/java/sha1-gav.jsonl.zst")
	}
	decoder, err := zstd.NewReader(bytes.NewReader(packed))
	require.NoError(t, err)
	defer decoder.Close()
	var all []gav
	var want, inSBOMs []row
	lines := json.NewDecoder(decoder)
	for lines.More() {
		var line struct {
			SHA1    string `json:"sha1"`
			Group   string `json:"group_id"`
			Name    string `json:"artifact_id"`
			Version string
			Type    string `json:"archive_type"`
			Purl    string
			From    string `json:"source_bom"`
		}
		require.NoError(t, lines.Decode(&line))
		all = append(all, gav{line.SHA1, line.Group, line.Name, line.Version, line.Type})
		if archive := strings.HasSuffix(line.Purl, "jar"); archive && !strings.HasPrefix(line.From, "VEX/") {
			inSBOMs = append(inSBOMs, row{line.SHA1, line.Group, line.Name, line.Version, line.Type})
		}
		want = append(want, row{line.SHA1, line.Group, line.Name, line.Version, line.Type})
	}
	require.Len(t, want, 1058)
	var many []adaptertest.Entry
	for i := 0; i < len(all); i += 100 {
		many = append(many, list(t, "real", "many", "part"+sha1Of(i), all[i:min(i+100, len(all))]...))
	}
	one := open(t, build(t, adaptertest.Lines(t, list(t, "real", "one", "all", all...))))
	require.Equal(t, want, one.rows)
	parts := open(t, build(t, adaptertest.Lines(t, many...)))
	require.Equal(t, one.bytes, parts.bytes, "where a name came from leaves no trace in the database")

	var sboms []adaptertest.Entry
	for _, file := range testkit.RealFiles(t, "sbom/cyclonedx-bom-examples.tar.zst") {
		if strings.Contains(string(file.Content[:min(len(file.Content), 4096)]), "bomFormat") {
			sboms = append(sboms, adaptertest.Entry{Source: "examples", Text: file.Content})
		}
	}
	found := open(t, build(t, adaptertest.Lines(t, sboms...)))
	var missing []row
	require.Greater(t, len(inSBOMs), 1000)
	for _, one := range inSBOMs {
		if !slices.Contains(found.rows, one) {
			missing = append(missing, one)
		}
	}
	require.Empty(t, missing)
}
