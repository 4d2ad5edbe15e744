package osv_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/osv"
)

const full = ` {"schema_version":"1.6.0", "modified":"2026-03-01T01:30:00.5+02:00", "id":"EXC-1",
 "aliases":["CVE-2","CVE-1","CVE-2"], "withdrawn":"2026-03-02T00:00:00Z", "severity":[{"type":"X"}],
 "affected":[
  {"package":{"ecosystem":"npm","name":"@scope/zebra"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"},{"fixed":"1.0.0"}]}],"versions":["0.1"]},
  {"package":{"ecosystem":"Odd OS:1","name":"aardvark"}},
  {"package":{"ecosystem":"Maven","name":"g:a","purl":"pkg:maven/g/a"}},
  {"ranges":[{"type":"GIT","repo":"https://x.example","events":[{"introduced":"0"}]}]}]} `

func TestParseTakesWhatSelectionNeeds(t *testing.T) {
	o, err := osv.Parse(ledger.Entry{Stream: "s", Bytes: []byte(full)})
	require.NoError(t, err)
	canonical, err := bundle.Canonical([]byte(full))
	require.NoError(t, err)
	require.Equal(t, ledger.Observation{
		Kind: ledger.KindAdvisory, Format: "osv", Source: "osv", Stream: "s", UpstreamID: "EXC-1",
		Modified: "2026-02-28T23:30:00.500000000Z",
		Digest:   bundle.DigestOf([]byte(full)), Raw: []byte(full), Canonical: canonical,
		Subject:    "pkg:maven/g/a",
		Ecosystems: []string{"Maven", "Odd OS:1", "npm"},
		Products:   []string{"Odd OS:1/aardvark", "pkg:maven/g/a", "pkg:npm/%40scope/zebra"},
		Aliases:    []string{"CVE-1", "CVE-2"},
	}, o)
}

func TestSeveritiesOfEveryPlace(t *testing.T) {
	const head = `{"id":"X","modified":"2026-01-01T00:00:00Z"`
	for doc, want := range map[string][]string{
		`,"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}]}`:                                          {"critical"},
		`,"severity":[{"type":"CVSS_V2","score":"AV:N/AC:L/Au:N/C:P/I:N/A:N"},{"type":"Ubuntu","score":"low"}]}`:                            {"low", "medium"},
		`,"severity":[],"database_specific":{"severity":"MODERATE"}}`:                                                                       {"medium"},
		`,"affected":[{"ecosystem_specific":{"severity":"HIGH"}},{"severity":[{"score":"CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"}]}]}`: {"high", "none"},
		`,"affected":[{"ecosystem_specific":{"imports":[{"severity":"low"}]}}]}`:                                                            nil,
		// What is not understood refuses nothing.
		`,"severity":"high","database_specific":{"severity":9}}`:                nil,
		`,"severity":[{"type":"CVSS_V3","score":"CVSS:3.1/AV:N"},{"score":7}]}`: nil,
	} {
		o, err := osv.Parse(ledger.Entry{Bytes: []byte(head + doc)})
		require.NoError(t, err, doc)
		require.Equal(t, want, o.Severities, doc)
	}
}

func TestDerivedPackageURLs(t *testing.T) {
	tests := []struct{ ecosystem, name, want string }{
		{"Go", "github.com/Masterminds/semver/v3", "pkg:golang/github.com/Masterminds/semver/v3"},
		{"Go", "stdlib", "pkg:golang/stdlib"},
		{"PyPI", "Jw.Util__x", "pkg:pypi/jw-util-x"},
		{"crates.io", "sized-chunks", "pkg:cargo/sized-chunks"},
		{"Maven", "org.example:lib", "pkg:maven/org.example/lib"},
		{"npm", "@scope/name", "pkg:npm/%40scope/name"},
		{"NuGet", "BouncyCastle", "pkg:nuget/BouncyCastle"},
		{"RubyGems", "rails", "pkg:gem/rails"},
		{"Packagist", "Contao/core-bundle", "pkg:composer/contao/core-bundle"},
		{"SwiftURL", "https://github.com/apple/swift-nio.git", "pkg:swift/github.com/apple/swift-nio"},
		{"Debian:12", "g++", "pkg:deb/debian/g%2B%2B"},
		{"Alpine:v3.20", "musl", "pkg:apk/alpine/musl"},
		{"Unheard Of", "a b", "Unheard Of/a b"},
	}
	for _, tt := range tests {
		t.Run(tt.ecosystem+" "+tt.name, func(t *testing.T) {
			raw, err := json.Marshal(map[string]any{"id": "X", "modified": "2026-01-01T00:00:00Z",
				"affected": []any{map[string]any{"package": map[string]any{"ecosystem": tt.ecosystem, "name": tt.name}}}})
			require.NoError(t, err)
			o, err := osv.Parse(ledger.Entry{Bytes: raw})
			require.NoError(t, err)
			require.Equal(t, tt.want, o.Subject)
			require.Equal(t, osv.DefaultStream, o.Stream)
		})
	}
}

func TestParseNamesTheFieldAtFault(t *testing.T) {
	head := `{"id":"X","modified":"2026-01-01T00:00:00Z"`
	affected := func(s string) string { return head + `,"affected":[{},` + s + `]}` }
	tests := []struct{ name, doc, want string }{
		{"no JSON", `id: X`, "not a JSON document"},
		{"cut off", head, "not a JSON document"},
		{"two documents", head + `}{}`, "not a JSON document"},
		{"duplicate key", `{"id":"X","id":"Y"}`, "not a JSON document"},
		{"list", `[]`, "not an OSV document: the document is not an object"},
		{"null", `null`, "the document is not an object"},
		{"other format", `{"@context":"https://openvex.dev/ns"}`, "not an OSV document: id is missing"},
		{"other case", `{"ID":"X","modified":"2026-01-01T00:00:00Z"}`, "id is missing"},
		{"id is a number", `{"id":1}`, "id is not a string"},
		{"empty id", `{"id":""}`, "id is missing"},
		{"no modified", `{"id":"X"}`, "modified is missing"},
		{"modified is a date", `{"id":"X","modified":"2026-01-01"}`, "modified"},
		{"withdrawn", head + `,"withdrawn":"yesterday"}`, "withdrawn"},
		{"schema", head + `,"schema_version":"2.0.0"}`, "schema_version"},
		{"aliases", head + `,"aliases":["a",1]}`, "aliases[1]"},
		{"aliases text", head + `,"aliases":"a"}`, "aliases is not a list"},
		{"control character", `{"id":"X\u0000","modified":"2026-01-01T00:00:00Z"}`, "control character"},
		{"long id", `{"id":"` + strings.Repeat("x", 600) + `","modified":"2026-01-01T00:00:00Z"}`, "at most 512"},
		{"affected", head + `,"affected":{}}`, "affected is not a list"},
		{"entry", affected(`1`), "affected[1] is not an object"},
		{"ecosystem", affected(`{"package":{"name":"a"}}`), "affected[1].package.ecosystem is missing"},
		{"name", affected(`{"package":{"ecosystem":"Go","name":""}}`), "affected[1].package.name is missing"},
		{"purl", affected(`{"package":{"ecosystem":"Go","name":"a","purl":"a"}}`), "affected[1].package.purl"},
		{"range type", affected(`{"ranges":[{"type":"MAYBE","events":[{"fixed":"1"}]}]}`), "affected[1].ranges[0].type"},
		{"range repo", affected(`{"ranges":[{"type":"GIT","events":[{"fixed":"1"}]}]}`), "affected[1].ranges[0].repo is missing"},
		{"no events", affected(`{"ranges":[{"type":"SEMVER"}]}`), "affected[1].ranges[0].events"},
		{"empty event", affected(`{"ranges":[{"type":"SEMVER","events":[{"x":"1"}]}]}`), "affected[1].ranges[0].events[0]"},
		{"versions", affected(`{"versions":[1]}`), "affected[1].versions[0]"},
		{"too many", head + `,"affected":[` + strings.Repeat("{},", 20000) + `{}]}`, "at most 20000"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := osv.Parse(ledger.Entry{Bytes: []byte(tt.doc)})
			require.ErrorContains(t, err, tt.want)
			require.Less(t, len(err.Error()), 300, "an error is a line, not a document")
		})
	}
	_, err := osv.Parse(ledger.Entry{Stream: "../s", Bytes: []byte(full)})
	require.ErrorContains(t, err, "stream")
	_, err = osv.Parse(ledger.Entry{Bytes: make([]byte, ledger.MaxDocument+1)})
	require.ErrorContains(t, err, "at most")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Add([]byte(`{"id":"X","modified":"0001-01-01T00:00:00Z","affected":null,"aliases":null}`))
	f.Add([]byte(`{"id":"X","modified":"9999-12-31T23:59:59-23:59"}`))
	samples, err := filepath.Glob("../sample/osv/*.json")
	require.NoError(f, err)
	for _, name := range samples {
		raw, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := osv.Parse(ledger.Entry{Bytes: raw})
		if err != nil {
			return
		}
		if err := o.Validate(); err != nil {
			t.Fatalf("accepted what the ledger refuses: %v", err)
		}
		// The canonical form is the same document.
		again, err := osv.Parse(ledger.Entry{Bytes: o.Canonical})
		if err != nil {
			t.Fatalf("canonical form refused: %v", err)
		}
		again.Raw, again.Digest = o.Raw, o.Digest
		require.Equal(t, o, again)
	})
}
