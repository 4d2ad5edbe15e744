package adapters_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/adapters/adaptertest"
	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

type lines struct{ all [][]byte }

func (l *lines) WriteLine(parts ...[]byte) error {
	l.all = append(l.all, bytes.Join(parts, nil))
	return nil
}

// odd are documents whose texts look like what is searched for.
var odd = []string{
	`{"id":"A","modified":"2026-01-02T03:04:05Z","summary":"\"original\":{\"bytes\":1,\"digest\":\"sha256:"}`,
	`{"id":"B \"},\"source\":\"x","modified":"2026-01-02T03:04:05Z"}`,
	`{"id":"C","modified":"2026-01-02T03:04:05Z","aliases":["\"modified\":\"2026-01-02T03:04:05.000000000Z\","]}`,
	`{"id":"D","original":{"bytes":7,"digest":"sha256:00"},"modified":"2026-01-02T03:04:05Z"}`,
	`{"id":"E\\","modified":"2026-01-02T03:04:05Z","affected":[{"package":{"name":"a\"b","ecosystem":"npm","purl":"pkg:npm/a%22b"}}]}`,
}

// TestEnvelopesAreReadAsLinesAre holds the fast reading against the strict one.
func TestEnvelopesAreReadAsLinesAre(t *testing.T) {
	all := adaptertest.Sample(t)
	for _, text := range odd {
		all = append(all, adaptertest.Entry{Source: "s", Stream: "odd", Text: []byte(text)}, adaptertest.Entry{Source: "osv", Stream: "plain", Text: []byte(text)})
	}
	packer, err := jsonraw.Adapter{}.Packer(export.Options{})
	require.NoError(t, err)
	var packed lines
	for _, doc := range adaptertest.Lines(t, all...) {
		_, err := packer.Write(&packed, doc)
		require.NoError(t, err)
	}
	fast := 0
	for _, line := range packed.all {
		want, err := adapters.ReadRawLine(line)
		require.NoError(t, err, "%s", line)
		have, err := adapters.ReadEnvelope(line)
		require.NoError(t, err)
		require.Equal(t, envelopeOf(want), have, "%s", line)
		require.Equal(t, want.Key(), have.Key(ledger.Kind(want.Kind)))
		if _, ok := adapters.ScanEnvelope(line); ok {
			fast++
		}
	}
	require.Greater(t, fast, len(packed.all)/2, "most are read fast")
	_, err = adapters.ReadEnvelope([]byte(`{"content":{"raw":{},"original":{"bytes":1}}`))
	require.Error(t, err)
	redacted, err := adapters.ReadEnvelope([]byte(strings.Replace(rawLine, `"},"source"`, `"},"redaction":{"droppedFields":1,"policyId":"p"},"source"`, 1)))
	require.NoError(t, err)
	require.True(t, redacted.Redacted)
}

// envelopeOf is what the strict reading of a line says.
func envelopeOf(l adapters.RawLine) adapters.Envelope {
	return adapters.Envelope{Digest: l.Original.Digest, Bytes: l.Original.Bytes, Modified: l.Modified,
		Source: l.Source, Stream: l.Stream, Subject: l.Subject, UpstreamID: l.UpstreamID, Redacted: l.Redaction != nil}
}

func FuzzEnvelope(f *testing.F) {
	for _, text := range odd {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"content":{"raw":{}},"format":"osv","kind":"advisory","linkset":{"aliases":[],"ecosystems":[],"products":[]},"original":{"bytes":2,"digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"},"source":"osv","stream":"s","upstreamId":"x"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if canonical, err := bundle.Canonical(line); err != nil || !bytes.Equal(canonical, line) {
			return // no line is packed so
		}
		fast, ok := adapters.ScanEnvelope(line)
		if slow, err := adapters.ReadRawLine(line); ok && err == nil {
			require.Equal(t, envelopeOf(slow), fast)
		}
	})
}
