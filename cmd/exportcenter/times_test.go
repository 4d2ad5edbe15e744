package main

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters/jsonraw"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// oneLine keeps what an adapter writes.
type oneLine struct{ text []byte }

func (l *oneLine) WriteLine(parts ...[]byte) error {
	for _, part := range parts {
		l.text = append(l.text, part...)
	}
	return nil
}

// The same moment is the same text in every line, however its author wrote it;
// inside the evidence it stays as it was.
func TestTimesOfLinesAreUTC(t *testing.T) {
	packer, err := jsonraw.Adapter{}.Packer(export.Options{})
	require.NoError(t, err)
	for format, doc := range map[string]string{
		"osv":       `{"id":"X","published":%[1]q,"modified":%[1]q}`,
		"openvex":   `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","timestamp":%q,"statements":[]}`,
		"csaf":      `{"document":{"csaf_version":"2.0","category":"csaf_vex","publisher":{"namespace":"https://p.example"},"tracking":{"id":"A","current_release_date":%q}}}`,
		"cyclonedx": `{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"timestamp":%q}}`,
		"spdx":      `{"spdxVersion":"SPDX-2.3","name":"n","creationInfo":{"created":%q}}`,
		"spdx 3":    `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[{"type":"CreationInfo","created":%q}]}`,
	} {
		for written, want := range map[string]string{
			"2026-03-01T01:30:00.25+02:00":        "2026-02-28T23:30:00.250000000Z",
			"2026-02-28T15:00:00.250-08:30":       "2026-02-28T23:30:00.250000000Z",
			"2026-02-28T23:30:00.250000000+00:00": "2026-02-28T23:30:00.250000000Z",
			"2026-02-28T23:30:00-00:00":           "2026-02-28T23:30:00.000000000Z",
			"2026-12-31T23:59:59.999999999-12:00": "2027-01-01T11:59:59.999999999Z",
		} {
			o, err := parseEvidence(ledger.Entry{Bytes: fmt.Appendf(nil, doc, written)})
			require.NoError(t, err, "%s %s", format, written)
			var out oneLine
			_, err = packer.Write(&out, ledger.Line{Row: ledger.Row{Kind: o.Kind, UpstreamID: o.UpstreamID, Source: o.Source, Stream: o.Stream},
				Format: o.Format, Modified: o.Modified, Canonical: o.Canonical})
			require.NoError(t, err)
			var line struct {
				Content  struct{ Raw json.RawMessage }
				Modified string
			}
			require.NoError(t, json.Unmarshal(out.text, &line))
			require.Equal(t, want, line.Modified, format)
			require.Contains(t, string(line.Content.Raw), `"`+written+`"`, format)
		}
	}
}
