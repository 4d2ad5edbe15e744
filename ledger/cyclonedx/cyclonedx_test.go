package cyclonedx_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/cyclonedx"
)

const full = ` {"bomFormat":"CycloneDX","specVersion":"1.6","serialNumber":"urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79","version":3,
 "metadata":{"timestamp":"2026-01-01T00:00:00Z","component":{"type":"application","name":"app","purl":"pkg:oci/app@1"}},
 "components":[{"type":"library","name":"a","purl":"pkg:npm/a@1","components":[{"type":"library","name":"b","purl":"pkg:maven/g/b@2"}]},{"type":"file","name":"f","purl":""}],
 "vulnerabilities":[{"id":"CVE-1","analysis":{"state":"not_affected"},"affects":[{"ref":"comp-1"}]}]} `

func parse(t *testing.T, doc string) ledger.Observation {
	t.Helper()
	o, err := cyclonedx.Parse(ledger.Entry{Bytes: []byte(doc)})
	require.NoError(t, err)
	require.Equal(t, doc, string(o.Raw), "the original is kept")
	return o
}

const head = `{"bomFormat":"CycloneDX","specVersion":"1.6"`

var seeds = []string{
	head + `,"vulnerabilities":[{"id":"CVE-1","analysis":{},"affects":[{"ref":"urn:cdx:s/1#pkg:npm/%40a/b@1"},{"ref":"urn:cdx:s/1#c"},{"ref":"pkg:pypi/x"}]}]}`,
	head + `,"version":2,"metadata":{"component":{"group":"g","name":"n","version":"v"}}}`,
	head + `,"vulnerabilities":[{"id":"CVE-1"}]}`,
}

func TestParseTakesWhatSelectionNeeds(t *testing.T) {
	canonical, err := bundle.Canonical([]byte(full))
	require.NoError(t, err)
	require.Equal(t, ledger.Observation{
		Kind: ledger.KindSBOM, Format: "cyclonedx", Source: "cyclonedx", Stream: "default",
		UpstreamID: "urn:uuid:3e671687-395b-41f5-a30f-a58921a69b79",
		Modified:   "2026-01-01T00:00:00.000000000Z", Digest: bundle.DigestOf([]byte(full)), Raw: []byte(full), Canonical: canonical,
		Subject: "pkg:maven/g/b@2", Ecosystems: []string{"Maven", "npm"}, Aliases: []string{"CVE-1"},
		Products: []string{"pkg:maven/g/b@2", "pkg:npm/a@1", "pkg:oci/app@1"},
	}, parse(t, full))
}

func TestVEXIsToldFromBOM(t *testing.T) {
	vex := parse(t, seeds[0])
	require.Equal(t, ledger.KindVEX, vex.Kind)
	require.Equal(t, []string{"pkg:npm/%40a/b@1", "pkg:pypi/x", "urn:cdx:s/1#c"}, vex.Products)
	require.Equal(t, ledger.KindSBOM, parse(t, seeds[2]).Kind, "nothing was analysed")
}

func TestSeveritiesOfRatings(t *testing.T) {
	for ratings, want := range map[string][]string{
		`[{"source":{"name":"nvd"},"score":7.5,"severity":"high","method":"CVSSv31"},{"source":{"name":"amazon"},"severity":"medium"}]`: {"high", "medium"},
		`[{"score":9.8,"method":"CVSSv3"},{"severity":"unknown"},{"severity":"info"}]`:                                                  {"critical"},
		`[{"severity":"unknown","vector":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N","method":"CVSSv31"}]`:                           {"none"},
		`[{"score":9,"method":"OWASP"},{"score":5}]`:                                                                                    nil,
		`{}`: nil,
	} {
		require.Equal(t, want, parse(t, head+`,"vulnerabilities":[{"id":"CVE-1","ratings":`+ratings+`}]}`).Severities, ratings)
	}
}

func TestVersionsOrderRevisionsWithoutTime(t *testing.T) {
	second := parse(t, seeds[1])
	require.Equal(t, "g/n@v", second.Subject)
	require.True(t, ledger.Greater(second, parse(t, strings.Replace(seeds[1], `"version":2`, `"version":1`, 1))))
	require.True(t, ledger.Greater(parse(t, strings.Replace(seeds[1], `"version":2`, `"version":10`, 1)), second))
	require.True(t, ledger.Greater(parse(t, full), second), "a real time is later")
}

func TestTheFieldAtFaultIsNamed(t *testing.T) {
	for _, tt := range []struct{ doc, want string }{
		{`{}`, "bomFormat is missing"},
		{`{"bomFormat":"CDX"}`, "bomFormat"},
		{`{"bomFormat":"CycloneDX"}`, "specVersion is missing"},
		{`{"bomFormat":"CycloneDX","specVersion":"1.1"}`, "specVersion"},
		{head + `,"serialNumber":"x"}`, "serialNumber"},
		{head + `,"version":1.5}`, "version"},
		{head + `,"version":-1}`, "version"},
		{head + `,"metadata":{"timestamp":"x"}}`, "metadata.timestamp"},
		{head + `,"components":{}}`, "components is not a list"},
		{head + `,"components":[{"name":"a","components":[{}]}]}`, "components[0].components[0].name is missing"},
		{head + `,"components":[{"name":"a","purl":"x"}]}`, "components[0].purl"},
		{head + strings.Repeat(`,"components":[{"name":"a"`, 40) + strings.Repeat(`}]`, 40) + `}`, "nested deeper than 32"},
		{head + `,"vulnerabilities":[{"affects":[{}]}]}`, "vulnerabilities[0].affects[0].ref is missing"},
		{`{`, "not a JSON document"},
		{`[]`, "not a CycloneDX document: the document is not an object"},
		{strings.Repeat(`{"a":`, 100_000) + `1` + strings.Repeat(`}`, 100_000), "nested deeper"},
	} {
		_, err := cyclonedx.Parse(ledger.Entry{Bytes: []byte(tt.doc)})
		require.ErrorContains(t, err, tt.want, "%.200s", tt.doc)
		require.Less(t, len(err.Error()), 300, "an error is a line, not a document")
	}
	_, err := cyclonedx.Parse(ledger.Entry{Bytes: make([]byte, ledger.MaxDocument+1)})
	require.ErrorContains(t, err, "at most")
}

func FuzzParse(f *testing.F) {
	for _, doc := range append(seeds, full) {
		f.Add([]byte(doc))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := cyclonedx.Parse(ledger.Entry{Bytes: raw})
		if err != nil {
			return
		}
		require.NoError(t, o.Validate())
		again, err := cyclonedx.Parse(ledger.Entry{Bytes: o.Canonical})
		require.NoError(t, err, "the canonical form is the same document")
		again.Raw, again.Digest = o.Raw, o.Digest
		if o.UpstreamID == o.Digest.Hex() {
			again.UpstreamID = o.UpstreamID
		}
		require.Equal(t, o, again)
	})
}
