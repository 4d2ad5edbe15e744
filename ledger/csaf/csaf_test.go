package csaf_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/csaf"
)

const full = ` {"document":{"csaf_version":"2.0","category":"csaf_vex","title":"t","publisher":{"name":"p","namespace":"https://p.example"},
 "tracking":{"id":"A-1","version":"2","current_release_date":"2026-01-01T00:00:00+00:00"}},
 "product_tree":{"branches":[{"category":"vendor","name":"v","branches":[{"category":"product_version","name":"1",
  "product":{"name":"lib 1","product_id":"L","product_identification_helper":{"purl":"pkg:rpm/redhat/lib@1"}}}]}],
  "full_product_names":[{"name":"Plain","product_id":"P"}],
  "relationships":[{"category":"x","full_product_name":{"name":"lib in Plain","product_id":"P:L"}}]},
 "vulnerabilities":[{"cve":"CVE-1","ids":[{"system_name":"s","text":"B-7"}]}]} `

func parse(t *testing.T, doc string) ledger.Observation {
	t.Helper()
	o, err := csaf.Parse(ledger.Entry{Bytes: []byte(doc)})
	require.NoError(t, err)
	require.Equal(t, doc, string(o.Raw), "the original is kept")
	return o
}

const head = `{"document":{"csaf_version":"2.0","category":"csaf_vex","publisher":{"namespace":"https://p.example"},"tracking":{"id":"A-1","current_release_date":"2026-01-01T00:00:00Z"}}`

var seeds = []string{head + `}`, strings.Replace(head, "csaf_vex", "csaf_base", 1) + `,"product_tree":{"full_product_names":[{"name":"a","product_id":"b"}]}}`}

func TestParseTakesWhatSelectionNeeds(t *testing.T) {
	canonical, err := bundle.Canonical([]byte(full))
	require.NoError(t, err)
	require.Equal(t, ledger.Observation{
		Kind: ledger.KindVEX, Format: "csaf", Source: "csaf", Stream: "default", UpstreamID: "https://p.example#A-1",
		Modified: "2026-01-01T00:00:00.000000000Z", Digest: bundle.DigestOf([]byte(full)), Raw: []byte(full), Canonical: canonical,
		Subject: "pkg:rpm/redhat/lib@1", Ecosystems: []string{"Red Hat"}, Aliases: []string{"A-1", "B-7", "CVE-1"},
		Products: []string{"Plain", "lib in Plain", "pkg:rpm/redhat/lib@1"},
	}, parse(t, full))
	require.Equal(t, ledger.KindAdvisory, parse(t, seeds[1]).Kind)
}

func TestSeveritiesOfEveryPlace(t *testing.T) {
	for vulnerability, want := range map[string][]string{
		`{"scores":[{"cvss_v3":{"baseScore":9.1,"baseSeverity":"HIGH","version":"3.1"},"products":["P"]}]}`:      {"high"}, // its own word counts
		`{"scores":[{"cvss_v3":{"baseScore":9.1,"version":"3.1"}}]}`:                                             {"critical"},
		`{"scores":[{"cvss_v2":{"baseScore":9.1,"version":"2.0"}}]}`:                                             {"high"},
		`{"scores":[{"cvss_v3":{"vectorString":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}}]}`:               {"critical"},
		`{"threats":[{"category":"impact","details":"Moderate"},{"category":"exploit_status","details":"Low"}]}`: {"medium"},
		`{"threats":[{"category":"impact","details":"Low, unless the moon is full."}],"scores":[{"cvss_v3":7}]}`: nil,
	} {
		require.Equal(t, want, parse(t, head+`,"vulnerabilities":[`+vulnerability+`]}`).Severities, vulnerability)
	}
	aggregate := strings.Replace(head, `"category"`, `"aggregate_severity":{"namespace":"https://access.redhat.com/security/updates/classification/","text":"Important"},"category"`, 1)
	require.Equal(t, []string{"high"}, parse(t, aggregate+`}`).Severities)
}

func TestTheFieldAtFaultIsNamed(t *testing.T) {
	for _, tt := range []struct{ doc, want string }{
		{`{}`, "document is missing"},
		{`{"document":{"csaf_version":"1.2"}}`, "document.csaf_version"},
		{`{"document":{"csaf_version":"2.0"}}`, "document.category is missing"},
		{strings.Replace(head, `"namespace"`, `"n"`, 1) + `}`, "document.publisher.namespace is missing"},
		{strings.Replace(head, `"id"`, `"i"`, 1) + `}`, "document.tracking.id is missing"},
		{strings.Replace(head, "2026-01-01T", "2026-13-01T", 1) + `}`, "document.tracking.current_release_date"},
		{head + `,"product_tree":{"branches":[{"product":{"name":"a"}}]}}`, "product_tree.branches[0].product.product_id is missing"},
		{head + `,"product_tree":{"full_product_names":[{"name":"a","product_id":"b","product_identification_helper":{"purl":"x"}}]}}`, "product_identification_helper.purl"},
		{head + `,"product_tree":` + strings.Repeat(`{"branches":[`, 40) + strings.Repeat(`]}`, 40) + `}`, "nested deeper than 32"},
		{head + `,"vulnerabilities":[{"cve":7}]}`, "vulnerabilities[0].cve is not a string"},
		{`{`, "not a JSON document"},
		{`[]`, "not a CSAF document: the document is not an object"},
		{strings.Repeat(`{"a":`, 100_000) + `1` + strings.Repeat(`}`, 100_000), "nested deeper"},
	} {
		_, err := csaf.Parse(ledger.Entry{Bytes: []byte(tt.doc)})
		require.ErrorContains(t, err, tt.want, "%.200s", tt.doc)
		require.Less(t, len(err.Error()), 300, "an error is a line, not a document")
	}
	_, err := csaf.Parse(ledger.Entry{Bytes: make([]byte, ledger.MaxDocument+1)})
	require.ErrorContains(t, err, "at most")
}

func FuzzParse(f *testing.F) {
	for _, doc := range append(seeds, full) {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := csaf.Parse(ledger.Entry{Bytes: raw})
		if err != nil {
			return
		}
		require.NoError(t, o.Validate())
		again, err := csaf.Parse(ledger.Entry{Bytes: o.Canonical})
		require.NoError(t, err, "the canonical form is the same document")
		again.Raw, again.Digest = o.Raw, o.Digest
		if o.UpstreamID == o.Digest.Hex() {
			again.UpstreamID = o.UpstreamID
		}
		require.Equal(t, o, again)
	})
}
