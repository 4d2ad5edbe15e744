package spdx_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/spdx"
)

const full = ` {"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"n","documentNamespace":"https://s.example/1",
 "creationInfo":{"created":"2026-01-01T00:00:00Z","creators":["Tool: t"]},
 "packages":[{"name":"","SPDXID":"SPDXRef-a","externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:golang/a@v1"},
  {"referenceCategory":"SECURITY","referenceType":"cpe23Type","referenceLocator":"cpe:2.3:a"}]}]} `

func parse(t *testing.T, doc string) ledger.Observation {
	t.Helper()
	o, err := spdx.Parse(ledger.Entry{Bytes: []byte(doc)})
	require.NoError(t, err)
	require.Equal(t, doc, string(o.Raw), "the original is kept")
	return o
}

const (
	head  = `{"spdxVersion":"SPDX-2.3","name":"n","creationInfo":{"created":"2026-01-01T00:00:00Z"}`
	graph = `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[`
)

var seeds = []string{
	graph + `{"type":"software_Package","name":"p","software_packageUrl":"pkg:pypi/p@1","externalIdentifier":[{"externalIdentifierType":"packageUrl","identifier":"pkg:npm/p"}]},
  {"type":"security_Vulnerability","externalIdentifier":[{"externalIdentifierType":"cve","identifier":"CVE-1"}]},
  {"type":"SpdxDocument","spdxId":"https://s.example/doc","name":"d","creationInfo":"_:c"},
  {"type":"CreationInfo","@id":"_:b","created":"2026-02-01T00:00:00Z"},{"type":"CreationInfo","@id":"_:c","created":"2026-01-01T00:00:00Z"}]}`,
	graph + `{"type":"SpdxDocument","spdxId":"_:d","name":"d","creationInfo":{"type":"CreationInfo","created":"2026-01-01T00:00:00Z"}}]}`,
	head + `}`,
}

func TestParseTakesWhatSelectionNeeds(t *testing.T) {
	canonical, err := bundle.Canonical([]byte(full))
	require.NoError(t, err)
	require.Equal(t, ledger.Observation{
		Kind: ledger.KindSBOM, Format: "spdx", Source: "spdx", Stream: "default", UpstreamID: "https://s.example/1",
		Modified: "2026-01-01T00:00:00.000000000Z", Digest: bundle.DigestOf([]byte(full)), Raw: []byte(full), Canonical: canonical,
		Subject: "pkg:golang/a@v1", Ecosystems: []string{"Go"}, Products: []string{"pkg:golang/a@v1"},
	}, parse(t, full))
	bare := parse(t, seeds[2])
	require.Equal(t, bare.Digest.Hex(), bare.UpstreamID)
	require.Equal(t, "n", bare.Subject)
}

func TestGraphs(t *testing.T) {
	o := parse(t, seeds[0])
	require.Equal(t, "https://s.example/doc", o.UpstreamID)
	require.Equal(t, "2026-01-01T00:00:00.000000000Z", o.Modified)
	require.Equal(t, []string{"pkg:npm/p", "pkg:pypi/p@1"}, o.Products)
	require.Equal(t, []string{"CVE-1"}, o.Aliases)
	local := parse(t, seeds[1])
	require.Equal(t, local.Digest.Hex(), local.UpstreamID, "a blank node names nothing outside its file")
}

func TestSeveritiesOfAssessments(t *testing.T) {
	require.Equal(t, []string{"critical", "high", "medium"}, parse(t, graph+`
  {"type":"security_CvssV3VulnAssessmentRelationship","security_score":9.8,"security_severity":"critical","security_vectorString":"CVSS:3.1/AV:N"},
  {"type":"security_CvssV2VulnAssessmentRelationship","security_score":9.3,"security_vectorString":"AV:N/AC:M/Au:N/C:C/I:C/A:C"},
  {"type":"security_CvssV4VulnAssessmentRelationship","security_score":5.1},
  {"type":"security_EpssVulnAssessmentRelationship","security_score":1}]}`).Severities)
	require.Empty(t, parse(t, full).Severities, "SPDX 2 has no field for it")
}

func TestTheFieldAtFaultIsNamed(t *testing.T) {
	for _, tt := range []struct{ doc, want string }{
		{`{}`, "spdxVersion is missing"},
		{`{"spdxVersion":"SPDX-2.1"}`, "spdxVersion"},
		{`{"spdxVersion":"SPDX-2.2"}`, "name is missing"},
		{`{"spdxVersion":"SPDX-2.2","name":"n"}`, "creationInfo is missing"},
		{`{"spdxVersion":"SPDX-2.2","name":"n","creationInfo":{"created":"x"}}`, "creationInfo.created"},
		{head + `,"packages":[{}]}`, "packages[0].name is missing"},
		{head + `,"packages":[{"name":"a","externalRefs":[{"referenceType":"purl","referenceLocator":"x"}]}]}`, "packages[0].externalRefs[0].referenceLocator"},
		{`{"@context":"https://spdx.org/rdf/3.1.0/spdx-context.jsonld"}`, "@context"},
		{graph + `]}`, "@graph is empty"},
		{graph + `{}]}`, "@graph[0].@type is missing"},
		{graph + `{"type":"CreationInfo"}]}`, "@graph[0].created is missing"},
		{graph + `{"type":"software_Package","software_packageUrl":"x"}]}`, "@graph[0].software_packageUrl"},
		{`{`, "not a JSON document"},
		{`[]`, "not an SPDX document: the document is not an object"},
		{strings.Repeat(`{"a":`, 100_000) + `1` + strings.Repeat(`}`, 100_000), "nested deeper"},
	} {
		_, err := spdx.Parse(ledger.Entry{Bytes: []byte(tt.doc)})
		require.ErrorContains(t, err, tt.want, "%.200s", tt.doc)
		require.Less(t, len(err.Error()), 300, "an error is a line, not a document")
	}
	_, err := spdx.Parse(ledger.Entry{Bytes: make([]byte, ledger.MaxDocument+1)})
	require.ErrorContains(t, err, "at most")
}

func FuzzParse(f *testing.F) {
	for _, doc := range append(seeds, full) {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := spdx.Parse(ledger.Entry{Bytes: raw})
		if err != nil {
			return
		}
		require.NoError(t, o.Validate())
		again, err := spdx.Parse(ledger.Entry{Bytes: o.Canonical})
		require.NoError(t, err, "the canonical form is the same document")
		again.Raw, again.Digest = o.Raw, o.Digest
		if o.UpstreamID == o.Digest.Hex() {
			again.UpstreamID = o.UpstreamID
		}
		require.Equal(t, o, again)
	})
}
