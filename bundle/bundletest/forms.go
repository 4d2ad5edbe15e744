package bundletest

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
)

// Forms are payload files of every form that is not evidence: decisions and the
// policy behind them, two databases, and what counts them.
func Forms(t testing.TB) []File {
	t.Helper()
	pack := stored(bundle.PolicyPackPath, "not a pack that anybody reads", 1)
	snapshot, err := bundle.MarshalCanonical(map[string]any{"snapshotId": "policy-test", "policyVersion": "1", "packDigest": pack.Info.ContentDigest,
		"inputsHash": bundle.DigestOf([]byte("inputs")), "decisionTrace": bundle.DigestOf([]byte("trace")), "schema": "more"})
	require.NoError(t, err)
	return []File{
		stored(bundle.PolicySnapshotPath, string(snapshot), 1), pack,
		LinesFile(t, bundle.PolicyShardPath("findings", "", true), `{"action":"block"}`, `{"action":"warn"}`),
		LinesFile(t, bundle.PolicyShardPath("decision-traces", "", true), `{"rules":["a"]}`),
		layer(t, bundle.TrivyDBPath, "trivy.db", strings.Repeat("page of a database ", 400)),
		layer(t, bundle.TrivyJavaPath, "trivy-java.db", "another"),
		stored(bundle.TrivySummaryPath, `{"packages":{}}`, 0),
	}
}

func stored(path, text string, records int64) File {
	return File{Path: path, Stored: []byte(text),
		Info: bundle.PayloadInfo{Records: records, ContentDigest: bundle.DigestOf([]byte(text)), ContentSize: int64(len(text))}}
}

// LinesFile is a payload file of lines.
func LinesFile(t testing.TB, path string, texts ...string) File {
	t.Helper()
	var out bytes.Buffer
	w, err := bundle.NewPayloadWriter(&out)
	require.NoError(t, err)
	for _, text := range texts {
		require.NoError(t, w.WriteLine([]byte(text)))
	}
	info, err := w.Close()
	require.NoError(t, err)
	return File{Path: path, Stored: out.Bytes(), Info: info}
}

func layer(t testing.TB, path, name, database string) File {
	t.Helper()
	var out bytes.Buffer
	written, err := bundle.WriteLayer(&out, []byte(`{"Version":2}`), name, strings.NewReader(database), int64(len(database)))
	require.NoError(t, err)
	return File{Path: path, Stored: out.Bytes(), Info: bundle.PayloadInfo{Records: 7, ContentDigest: written.Content, ContentSize: written.Size}}
}
