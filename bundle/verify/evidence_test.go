package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/bundletest"
)

// lineOf writes a line as the exporter does, of evidence that came as original.
func lineOf(id, raw, original, redaction string) string {
	return fmt.Sprintf(`{"content":{"raw":%s},"format":"osv","kind":"advisory","linkset":{"aliases":[],"ecosystems":[],"products":["pkg:npm/a"]},`+
		`"original":{"bytes":%d,"digest":"%s"},%s"source":"osv","stream":"s","subject":"pkg:npm/a","upstreamId":%q}`,
		raw, len(original), bundle.DigestOf([]byte(original)), redaction, id)
}

func note(n int) string { return fmt.Sprintf(`"redaction":{"droppedFields":%d,"policyId":"p"},`, n) }

func examine(t *testing.T, lines []string, dropped int64) (Report, error) {
	t.Helper()
	signer := bundletest.Key(t, 1)
	options := bundletest.Options{Signer: signer, Shards: []bundletest.Shard{{Type: "advisories", Lines: lines}}}
	if dropped >= 0 {
		options.Manifest = func(m *bundle.Manifest) {
			m.Redaction = &bundle.Redaction{PolicyID: "p", DroppedFields: map[string]int64{"advisories": dropped}}
		}
		options.Provenance = func(p *bundle.Provenance) {
			p.Predicate.BuildDefinition.ExternalParameters.Options = json.RawMessage(`{"redaction":{"allow":{"advisory":["id"]},"policyId":"p"}}`)
		}
	}
	archive := bundletest.Build(t, options)
	trust := Trust{bundletest.Verifier(t, signer)}
	_, err := Reader(context.Background(), bytes.NewReader(archive), int64(len(archive)), trust)
	require.NoError(t, err, "without the lines nothing is wrong")
	return Reader(context.Background(), bytes.NewReader(archive), int64(len(archive)), trust, WithEvidence())
}

func TestEvidenceIsProvedWhereItCanBe(t *testing.T) {
	const doc = `{"a":"{\"}\\","id":"X"}`
	report, err := examine(t, []string{lineOf("1", doc, doc, ""), lineOf("2", doc, " "+doc, ""), lineOf("3", doc, `{"id":"X","a":"{\"}\\"}`, "")}, -1)
	require.NoError(t, err)
	require.Equal(t, &Evidence{Identical: 1, Rewritten: 2}, report.Evidence)

	report, err = examine(t, []string{lineOf("1", `{"id":"X"}`, doc, note(3)), lineOf("2", doc, doc, note(0)), lineOf("3", doc, " "+doc, note(0))}, 3)
	require.NoError(t, err)
	require.Equal(t, &Evidence{Identical: 1, Rewritten: 1, Redacted: 1}, report.Evidence)
}

func TestLinesThatAreNotWhatTheySay(t *testing.T) {
	const doc = `{"id":"X"}`
	good := lineOf("1", doc, doc, "")
	for name, tt := range map[string]struct {
		line    string
		dropped int64
		says    string
	}{
		"redacted in secret":   {lineOf("1", doc, doc, note(1)), -1, "redaction"},
		"redaction not told":   {good, 0, "redaction"},
		"another policy":       {lineOf("1", doc, doc, strings.Replace(note(0), `"p"`, `"q"`, 1)), 0, "redaction"},
		"counts differ":        {lineOf("1", doc, " "+doc, note(2)), 3, "dropped fields of advisories"},
		"fields below zero":    {lineOf("1", doc, doc, note(-1)), 0, "which is no count"},
		"another length":       {strings.Replace(good, `"bytes":10`, `"bytes":11`, 1), -1, "and not 11"},
		"no digest":            {strings.Replace(good, `"digest":"sha256:`, `"digest":"`, 1), -1, "digest"},
		"a member more":        {strings.Replace(good, `"source"`, `"severity":"high","source"`, 1), -1, "severity"},
		"a member less":        {strings.Replace(good, `"source":"osv",`, ``, 1), -1, "one form"},
		"white space":          {strings.Replace(good, `,"source"`, `, "source"`, 1), -1, "one form"},
		"beside the evidence":  {strings.Replace(good, `},"format"`, `,"row":1},"format"`, 1), -1, "beside its evidence"},
		"another start":        {`{"Content"` + good[len(`{"content"`):], -1, "does not begin with"},
		"evidence without end": {`{"content":{"raw":{"a":"`, -1, "has no end"},
		"evidence is a number": {`{"content":{"raw":7},"format":"osv"}`, -1, "line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := examine(t, []string{tt.line}, tt.dropped)
			require.Error(t, err)
			require.Equal(t, ReasonEvidence, report.Failure.Reason)
			require.Equal(t, ClassContent, report.Failure.Class)
			require.Contains(t, report.Failure.Message, tt.says)
			require.Equal(t, StatusFailed, report.Status)
		})
	}
}

// However the content is cut, the same is found in it.
func FuzzLines(f *testing.F) {
	const doc = `{"a":"{\"}\\","id":"X"}`
	f.Add([]byte(lineOf("1", doc, doc, "")+"\n"+lineOf("2", doc, " "+doc, "")+"\n"), 7)
	f.Add([]byte(lineOf("1", doc, doc, note(1))+"\n"), 1)
	f.Add([]byte(rawStart+"7}\n"), 3)
	f.Add([]byte(rawStart+"{}},\n"), 3)
	f.Fuzz(func(t *testing.T, content []byte, cut int) {
		if cut < 1 {
			return
		}
		whole, pieces := newLineReader(""), newLineReader("")
		_, errWhole := whole.Write(content)
		var errPieces error
		for at := 0; at < len(content) && errPieces == nil; at += cut {
			_, errPieces = pieces.Write(content[at:min(at+cut, len(content))])
		}
		require.Equal(t, fmt.Sprint(errWhole), fmt.Sprint(errPieces))
		if errWhole == nil {
			require.Equal(t, whole.found, pieces.found)
			require.Equal(t, fmt.Sprint(whole.whole()), fmt.Sprint(pieces.whole()))
		}
	})
}

// Somebody changes the file between the check of its digests and the reading of
// its lines: what the lines say is then about other bytes, and not told.
func TestLinesOfAFileThatChangesAreNotTold(t *testing.T) {
	signer := bundletest.Key(t, 1)
	build := func(doc string) (*bundletest.Bundle, []byte) {
		b := bundletest.New(t, bundletest.Options{Signer: signer, Shards: []bundletest.Shard{{Type: "advisories", Lines: []string{lineOf("1", doc, doc, "")}}}})
		return b, b.Bytes(t)
	}
	one, archive := build(`{"id":"X"}`)
	path := one.Manifest.Contents[0].Path
	two, _ := build(`{"id":"Y"}`)
	for n := 0; len(two.Data(t, path)) != len(one.Data(t, path)); n++ { // packed to the same length
		require.Less(t, n, 23)
		two, _ = build(fmt.Sprintf(`{"id":"%c"}`, 'A'+n))
	}
	at := bytes.Index(archive, one.Data(t, path))
	report, err := Reader(t.Context(), bytes.NewReader(archive), int64(len(archive)), Trust{bundletest.Verifier(t, signer)}, WithEvidence(),
		WithSteps(func(_ context.Context, step string) {
			if step == "evidence" {
				copy(archive[at:], two.Data(t, path))
			}
		}))
	require.Error(t, err)
	require.Equal(t, ReasonPayloadDigest, report.Failure.Reason)
	require.Equal(t, path, report.Failure.Path)
	require.Nil(t, report.Evidence)
}

// In a full mirror every document has its original, of its kind.
func TestEveryDocumentOfAMirrorHasItsOriginal(t *testing.T) {
	const doc = `{"id":"GO-2026-0002"}`
	signer := bundletest.Key(t, 1)
	examined := func(line string) error {
		options := bundletest.Mirror(t, signer)
		options.Shards = []bundletest.Shard{{Type: "advisories", Lines: []string{line}}}
		archive := bundletest.Build(t, options)
		_, err := Reader(t.Context(), bytes.NewReader(archive), int64(len(archive)), Trust{bundletest.Verifier(t, signer)}, WithEvidence())
		return err
	}
	good := lineOf("1", doc, doc, "")
	require.NoError(t, examined(good))
	for name, line := range map[string]string{
		"another original": lineOf("1", doc, " "+doc, ""),
		"another kind":     strings.Replace(good, `"kind":"advisory"`, `"kind":"vex"`, 1),
	} {
		err := examined(line)
		var failure *Error
		require.ErrorAs(t, err, &failure, name)
		require.Equal(t, ReasonEvidence, failure.Reason, name)
		require.ErrorContains(t, err, "which the mirror does not have", name)
	}
}
