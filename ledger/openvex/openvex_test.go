package openvex_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/openvex"
)

const full = ` {"@context":"https://openvex.dev/ns/v0.2.0", "@id":"https://vex.example/1", "author":"a", "version":1,
 "timestamp":"2026-01-01T00:00:00Z", "last_updated":"2026-01-02T01:00:00+01:00", "statements":[
 {"vulnerability":{"name":"CVE-2", "aliases":["GHSA-x"]}, "status":"not_affected", "justification":"component_not_present",
  "products":[{"@id":"pkg:oci/image@sha256:1", "subcomponents":[{"@id":"pkg:golang/example.com/m@v1"}]},
   {"@id":"urn:product", "identifiers":{"purl":"pkg:deb/debian/x@1"}}, {"@id":"urn:other"}]}]} `

func parse(t *testing.T, doc string) ledger.Observation {
	t.Helper()
	o, err := openvex.Parse(ledger.Entry{Bytes: []byte(doc)})
	require.NoError(t, err)
	require.Equal(t, doc, string(o.Raw), "the original is kept")
	return o
}

var seeds = []string{
	`{"@context":"https://openvex.dev/ns","statements":[{"vulnerability":"CVE-1","products":["pkg:npm/a"],"status":"fixed"}]}`,
	`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","statements":null}`,
}

func TestParseTakesWhatSelectionNeeds(t *testing.T) {
	canonical, err := bundle.Canonical([]byte(full))
	require.NoError(t, err)
	require.Equal(t, ledger.Observation{
		Kind: ledger.KindVEX, Format: "openvex", Source: "openvex", Stream: "default", UpstreamID: "https://vex.example/1",
		Modified: "2026-01-02T00:00:00.000000000Z", Digest: bundle.DigestOf([]byte(full)), Raw: []byte(full), Canonical: canonical,
		Subject: "pkg:deb/debian/x@1", Ecosystems: []string{"Debian", "Go"}, Aliases: []string{"CVE-2", "GHSA-x"},
		Products: []string{"pkg:deb/debian/x@1", "pkg:golang/example.com/m@v1", "pkg:oci/image@sha256:1", "urn:other"},
	}, parse(t, full))
	old := parse(t, seeds[0])
	require.Equal(t, old.Digest.Hex(), old.UpstreamID)
	require.Empty(t, old.Modified)
	require.Equal(t, "pkg:npm/a", old.Subject)
	require.Equal(t, []string{"CVE-1"}, old.Aliases)
}

func TestOpenVEXHasNoFieldForASeverity(t *testing.T) {
	require.Empty(t, parse(t, strings.Replace(seeds[0], `"statements"`, `"severity":"high","statements"`, 1)).Severities)
}

func TestTheFieldAtFaultIsNamed(t *testing.T) {
	for _, tt := range []struct{ doc, want string }{
		{`{}`, "@context is missing"},
		{`{"@context":"https://openvex.dev/nsx"}`, "@context"},
		{`{"@context":"https://openvex.dev/ns/v1.0.0"}`, "@context"},
		{`{"@context":"https://openvex.dev/ns","@id":1}`, "@id is not a string"},
		{`{"@context":"https://openvex.dev/ns","timestamp":"soon"}`, "timestamp"},
		{`{"@context":"https://openvex.dev/ns"}`, "statements is missing"},
		{`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"urn:x","timestamp":"2026-01-01T00:00:00Z","statements":[1]}`, "statements[0] is not an object"},
		{`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"urn:x","timestamp":"2026-01-01T00:00:00Z","statements":[{"status":"odd"}]}`, "statements[0].status"},
		{`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"urn:x","timestamp":"2026-01-01T00:00:00Z","statements":[{"status":"fixed"}]}`, "statements[0].vulnerability is missing"},
		{`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"urn:x","timestamp":"2026-01-01T00:00:00Z","statements":[{"status":"fixed","vulnerability":{}}]}`, "statements[0].vulnerability has neither"},
		{`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"urn:x","timestamp":"2026-01-01T00:00:00Z","statements":[{"status":"fixed","vulnerability":"a","products":[1]}]}`, "statements[0].products[0]"},
		{`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"urn:x","timestamp":"2026-01-01T00:00:00Z","statements":[{"status":"fixed","vulnerability":"a","products":[{"identifiers":{"purl":"x"}}]}]}`, "statements[0].products[0].identifiers.purl"},
		{`{`, "not a JSON document"},
		{`[]`, "not an OpenVEX document: the document is not an object"},
		{strings.Repeat(`{"a":`, 100_000) + `1` + strings.Repeat(`}`, 100_000), "nested deeper"},
	} {
		_, err := openvex.Parse(ledger.Entry{Bytes: []byte(tt.doc)})
		require.ErrorContains(t, err, tt.want, "%.200s", tt.doc)
		require.Less(t, len(err.Error()), 300, "an error is a line, not a document")
	}
	_, err := openvex.Parse(ledger.Entry{Bytes: make([]byte, ledger.MaxDocument+1)})
	require.ErrorContains(t, err, "at most")
}

func FuzzParse(f *testing.F) {
	for _, doc := range append(seeds, full) {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := openvex.Parse(ledger.Entry{Bytes: raw})
		if err != nil {
			return
		}
		require.NoError(t, o.Validate())
		again, err := openvex.Parse(ledger.Entry{Bytes: o.Canonical})
		require.NoError(t, err, "the canonical form is the same document")
		again.Raw, again.Digest = o.Raw, o.Digest
		if o.UpstreamID == o.Digest.Hex() {
			again.UpstreamID = o.UpstreamID
		}
		require.Equal(t, o, again)
	})
}
