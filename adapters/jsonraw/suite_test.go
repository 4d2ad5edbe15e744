package jsonraw_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters/adaptertest"
	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
)

func TestAdapterSuite(t *testing.T) { adaptertest.Run(t, subject(t)) }

func subject(t *testing.T) adaptertest.Subject {
	t.Helper()
	return adaptertest.Subject{
		Work: adaptertest.Work{Adapter: jsonraw.Adapter{}, Documents: adaptertest.Lines(t, adaptertest.Sample(t)...)},
		Read: readLines,
		Refused: map[string]export.Options{
			"redaction": {Redaction: &export.Redaction{PolicyID: "p", Allow: map[string][]string{"advisory": {""}}}},
		},
	}
}

// readLines counts lines with the standard library's JSON reader.
func readLines(t *testing.T, r adaptertest.Result) map[string]int64 {
	found := map[string]int64{}
	for _, f := range r.Payload {
		content, err := bundle.OpenPayload(bytes.NewReader(f.Stored))
		require.NoError(t, err)
		for lines := json.NewDecoder(content); lines.More(); found[f.Path]++ {
			var line map[string]any
			require.NoError(t, lines.Decode(&line))
		}
	}
	return found
}
