package policy

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

func fileOf(content string) File {
	return File{Path: "data/raw/advisories-0000000000000000.jsonl.zst", ContentDigest: bundle.DigestOf([]byte(content)),
		Open: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }}
}

// What is no evidence ends the evaluation, and is named by file and line.
func TestEvidenceThatIsNone(t *testing.T) {
	good := string(line(t, "advisory", "A-1", npm("A-1", "x", "1.0.0", "low"))) + "\n"
	for name, c := range map[string]struct{ content, want string }{
		"not JSON":         {good + "{\n", "line 2"},
		"no line feed":     {good + strings.TrimSuffix(good, "\n"), "line 2: ends without a line feed"},
		"an empty line":    {good + "\n", "line 2"},
		"another object":   {"{}\n", "not a line of json:raw"},
		"redacted":         {strings.Replace(good, `"source"`, `"redaction":{"droppedFields":1,"policyId":"p"},"source"`, 1), "is redacted"},
		"a broken content": {strings.Replace(good, `"raw":{`, `"raw":[{`, 1), "line 1"},
		"another content":  {strings.Replace(good, `"Affected":[`, `"Affected":5,"x":[`, 1), "line 1 (A-1)"},
	} {
		_, err := evaluate(t.Context(), Input{Files: []File{fileOf(c.content)}, Pack: baselinePack(t), Scratch: t.TempDir()}, newShelf(), worldReaders())
		require.ErrorContains(t, err, c.want, name)
		require.ErrorContains(t, err, "data/raw/advisories-", name)
	}
	_, err := Evaluate(t.Context(), Input{Files: []File{fileOf(strings.Replace(good, `"test"`, `"spdx"`, 1))}, Pack: baselinePack(t), Scratch: t.TempDir()}, newShelf())
	require.ErrorContains(t, err, "A-1")
	require.Equal(t, export.CodeValidation, export.CodeOf(err))
	require.ErrorContains(t, err, "selectors")
}

// FuzzEvidence evaluates any lines with the readers of the service.
func FuzzEvidence(f *testing.F) {
	sbom := `{"content":{"raw":{"bomFormat":"CycloneDX","specVersion":"1.5","version":1,"components":[{"name":"x","purl":"pkg:npm/x@1.0.0","type":"library","version":"1.0.0"}]}},"format":"cyclonedx","kind":"sbom","original":{"bytes":1,"digest":"sha256:b"},"source":"s","stream":"","upstreamId":"B"}` + "\n"
	osv := `{"content":{"raw":{"affected":[{"package":{"ecosystem":"npm","name":"x"},"ranges":[{"events":[{"introduced":"0"},{"fixed":"2.0.0"}],"type":"SEMVER"}]}],"id":"A","modified":"2026-01-01T00:00:00Z"}},"format":"osv","kind":"advisory","original":{"bytes":1,"digest":"sha256:a"},"source":"s","stream":"","upstreamId":"A"}` + "\n"
	f.Add([]byte(osv + sbom))
	f.Add([]byte(sbom))
	f.Add([]byte("{}\n"))
	pack, err := ReadPack(baselinePack(f))
	require.NoError(f, err)
	asked, err := newEngine(f.Context(), pack)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, raw []byte) {
		out := newShelf()
		in := Input{Files: []File{fileOf(string(raw))}, Scratch: t.TempDir()}
		result, err := newEvaluation(in, documentReaders(), pack, asked).run(t.Context(), out)
		if err != nil {
			return
		}
		lines := 0
		for _, path := range out.paths("/findings-") {
			lines += bytes.Count(out.files[path], []byte{'\n'})
		}
		require.EqualValues(t, result.Snapshot.Counts.Findings, lines)
	})
}
