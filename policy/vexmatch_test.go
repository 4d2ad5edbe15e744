package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/advisory"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/sbom"
	"github.com/stella-ops/exportcenter/vex"
)

// Which products a statement may name to be about a component of an SBOM.
func TestProducts(t *testing.T) {
	c := &subjectItem{Purl: "pkg:deb/debian/libssl3@3.0.11-1?arch=amd64&distro=debian-12", Ref: "r1", Directory: "data/raw", Digest: "sha256:1", SBOMVersion: "1", Main: "app", SBOMID: "urn:uuid:3E671687-395b-41f5-a30f-a58921a69b79", Subject: "pkg:oci/app@sha256%3Aabc?repository_url=example.org/app"}
	const link = "urn:cdx:3e671687-395b-41f5-a30f-a58921a69b79/1"
	for name, s := range map[string]struct {
		products, subcomponents []string
		want                    bool
	}{
		"the component":                   {[]string{c.Purl}, nil, true},
		"without version":                 {[]string{"pkg:deb/debian/libssl3"}, nil, true},
		"with its version":                {[]string{"pkg:deb/debian/libssl3@3.0.11-1"}, nil, true},
		"with another version":            {[]string{"pkg:deb/debian/libssl3@3.0.11-2"}, nil, false},
		"with a qualifier":                {[]string{"pkg:deb/debian/libssl3?arch=amd64"}, nil, true},
		"with another qualifier":          {[]string{"pkg:deb/debian/libssl3?arch=arm64"}, nil, false},
		"with one it has not":             {[]string{"pkg:deb/debian/libssl3?epoch=1"}, nil, false},
		"another distribution":            {[]string{"pkg:deb/ubuntu/libssl3"}, nil, false},
		"another package":                 {[]string{"pkg:deb/debian/libssl"}, nil, false},
		"another type":                    {[]string{"pkg:generic/libssl3"}, nil, false},
		"one of several":                  {[]string{"pkg:npm/x", c.Purl}, nil, true},
		"the subject":                     {[]string{c.Subject}, nil, true},
		"the subject, not versioned":      {[]string{"pkg:oci/app"}, nil, true},
		"another subject":                 {[]string{"pkg:oci/other"}, nil, false},
		"the subject, this part":          {[]string{"pkg:oci/app"}, []string{"pkg:deb/debian/libssl3"}, true},
		"the subject, another part":       {[]string{"pkg:oci/app"}, []string{"pkg:deb/debian/zlib1g"}, false},
		"the part alone":                  {[]string{"pkg:oci/other"}, []string{"pkg:deb/debian/libssl3"}, false},
		"the document":                    {[]string{c.SBOMID}, nil, true},
		"a link to the document":          {[]string{link}, nil, true},
		"a link to the component":         {[]string{link + "#r1"}, nil, true},
		"a link to another":               {[]string{link + "#r2"}, nil, false},
		"a link to it by package URL":     {[]string{link + "#" + c.Purl}, nil, true},
		"a link, written with percents":   {[]string{link + "#pkg%3Adeb/debian/libssl3%403.0.11-1"}, nil, true},
		"a link to another package":       {[]string{link + "#pkg:deb/debian/zlib1g@3.0.11-1"}, nil, false},
		"a link to no version":            {[]string{link + "#pkg:deb/debian/libssl3"}, nil, false},
		"a link to another version":       {[]string{strings.TrimSuffix(link, "1") + "2#r1"}, nil, false},
		"a link to all of a version":      {[]string{strings.TrimSuffix(link, "1") + "2"}, nil, false},
		"a link without a version":        {[]string{strings.TrimSuffix(link, "/1")}, nil, false},
		"a link to the subject":           {[]string{link + "#app"}, nil, true},
		"a link to the subject, a part":   {[]string{link + "#app"}, []string{"pkg:deb/debian/zlib1g"}, false},
		"the package in another document": {[]string{"urn:cdx:00000000-395b-41f5-a30f-a58921a69b79/1#" + c.Purl}, nil, false},
		"the same document's":             {[]string{"#r1"}, nil, true},
		"the same document's package":     {[]string{"#pkg:deb/debian/libssl3@3.0.11-1"}, nil, true},
		"the same document's subject":     {[]string{"#app"}, nil, true},
		"the same document's other":       {[]string{"#r2"}, nil, false},
		"nothing of the same document":    {[]string{"#"}, nil, false},
		"a link to another document":      {[]string{"urn:cdx:00000000-395b-41f5-a30f-a58921a69b79/1#r1"}, nil, false},
		"a bare reference":                {[]string{"r1"}, nil, false},
		"nothing":                         {nil, nil, false},
		"an empty product":                {[]string{""}, nil, false},
	} {
		said := vex.Statement{Products: s.products, Subcomponents: s.subcomponents}
		require.Equal(t, s.want, applies(&statementItem{Document{Directory: "data/raw", Digest: "sha256:1"}, said}, c), name)
		local := len(s.products) == 1 && strings.HasPrefix(s.products[0], vex.Local)
		require.Equal(t, s.want && !local, applies(&statementItem{Document{Directory: "data/raw", Digest: "sha256:2"}, said}, c), "%s, said by another document", name)
		require.False(t, applies(&statementItem{Document{Directory: "data/tenants/x/raw", Digest: "sha256:1"}, said}, c), "%s, said by another tenant", name)
	}
	applies := func(s *vex.Statement, c *subjectItem) bool { return applies(&statementItem{Statement: *s}, c) }
	bare := &subjectItem{}
	for _, product := range []string{"", "urn:cdx:/1", "urn:cdx:#"} {
		require.False(t, applies(&vex.Statement{Products: []string{product}}, bare), product)
	}
	named := &subjectItem{Subject: "server", Purl: "pkg:npm/x@1"}
	require.False(t, applies(&vex.Statement{Products: []string{"server"}}, named), "somebody else's server")
	named.SBOMID = "https://x.example/sbom"
	require.True(t, applies(&vex.Statement{Products: []string{named.SBOMID}}, named))
	python := &subjectItem{Purl: "pkg:pypi/Foo.Bar@1"}
	require.True(t, applies(&vex.Statement{Products: []string{"pkg:pypi/foo-bar"}}, python))
	other := &subjectItem{Purl: "pkg:generic/a/x@1"}
	require.False(t, applies(&vex.Statement{Products: []string{"pkg:generic/b/x@1"}}, other))
}

// The later statement stands; of one time the graver, then the greater digest
// comes last.
func TestPrecedence(t *testing.T) {
	want := []Statement{
		{At: "2026-03-01T00:00:00Z", Status: "not_affected"},
		{At: "2026-02-01T00:00:00.000000001Z", Status: "fixed"},
		{At: "2026-02-01T01:00:00+01:00", Status: "affected"},
		{At: "2026-02-01T00:00:00Z", Status: "under_investigation"},
		{At: "2026-02-01T00:00:00Z", Status: "fixed", Document: Document{Digest: "sha256:a"}},
		{At: "2026-02-01T00:00:00.0Z", Status: "fixed", Document: Document{Digest: "sha256:b"}},
		{At: "2026-02-01T00:00:00Z", Status: "not_affected"},
		{At: "1999-12-31T23:59:59Z", Status: "affected"},
		{At: "", Status: "affected"},
		{At: "soon", Status: "fixed"},
		{At: "", Status: "not_affected"},
	}
	var keys []string
	for i := range want {
		keys = append(keys, string(appendKey(nil, precedence(&want[i])...)))
	}
	require.True(t, sort.StringsAreSorted(keys), "%q", keys)
	require.Len(t, slices.Compact(slices.Clone(keys)), len(keys))
}

func TestStatementsInAWorld(t *testing.T) {
	for name, c := range map[string]struct {
		statements [][]vex.Statement
		action     Action
		status     string
		count      int64
	}{
		"none":                        {nil, Block, "", 0},
		"of another vulnerability":    {[][]vex.Statement{{{Vulnerability: "CVE-OTHER", Products: []string{"pkg:npm/lodash"}, Status: vex.Fixed}}}, Block, "", 0},
		"by alias":                    {[][]vex.Statement{{{Vulnerability: "X", Aliases: []string{"cve-a-1"}, Products: []string{"pkg:npm/lodash"}, Status: vex.Fixed}}}, Suppress, "fixed", 1},
		"by both names, once":         {[][]vex.Statement{{{Vulnerability: "A-1", Aliases: []string{"CVE-A-1"}, Products: []string{"pkg:npm/lodash"}, Status: vex.Fixed}}}, Suppress, "fixed", 1},
		"without a reason":            {[][]vex.Statement{{{Vulnerability: "A-1", Products: []string{"pkg:npm/lodash"}, Status: vex.NotAffected}}}, Warn, "not_affected", 1},
		"with an impact":              {[][]vex.Statement{{{Vulnerability: "A-1", Products: []string{"pkg:npm/lodash"}, Status: vex.NotAffected, Impact: "not called"}}}, Suppress, "not_affected", 1},
		"under investigation":         {[][]vex.Statement{{{Vulnerability: "A-1", Products: []string{"pkg:npm/lodash"}, Status: vex.UnderInvestigation}}}, Warn, "under_investigation", 1},
		"affected":                    {[][]vex.Statement{{{Vulnerability: "A-1", Products: []string{"pkg:npm/lodash"}, Status: vex.Affected}}}, Block, "affected", 1},
		"two documents, the later":    {[][]vex.Statement{{{Vulnerability: "A-1", Products: []string{"pkg:npm/lodash"}, Status: vex.Fixed, At: "2026-01-02T00:00:00Z"}}, {{Vulnerability: "A-1", Products: []string{"pkg:npm/lodash"}, Status: vex.Affected, At: "2026-01-01T00:00:00Z"}}}, Suppress, "fixed", 2},
		"two documents, the same day": {[][]vex.Statement{{{Vulnerability: "A-1", Products: []string{"pkg:npm/lodash"}, Status: vex.Fixed, At: "2026-01-02T00:00:00Z"}}, {{Vulnerability: "A-1", Products: []string{"pkg:npm/lodash"}, Status: vex.Affected, At: "2026-01-02T00:00:00Z"}}}, Block, "affected", 2},
		"more than are shown":         {manyStatements(40), Block, "affected", 40},
	} {
		w := smallWorld()
		w.vex = c.statements
		w.advisories = w.advisories[:1]
		w.sboms[0].Components = w.sboms[0].Components[:1]
		for _, memory := range []int{1 << 10, 1 << 20} {
			out, _ := w.run(t, func(in *Input) { in.Memory = memory })
			trace := out.traces(t)[0]
			require.Equal(t, c.action, trace.Decision.Action, name)
			require.Equal(t, c.status, out.findings(t)[0].VEX, name)
			require.Equal(t, c.count, trace.StatementCount, name)
			require.Len(t, trace.Input.Statements, int(min(c.count, maxStatements)), name)
			require.Equal(t, c.count > 0, trace.Input.VEX != nil, name)
		}
	}
}

// Texts of publishers are cut before they stand with each finding, and the
// built-in pack's reasons stay within their bound whatever they are.
func TestLongTexts(t *testing.T) {
	long := strings.Repeat("é", 40_000)
	w := smallWorld()
	w.advisories[0].Title = long
	for n := range 900 {
		w.advisories[0].Affected[0].Ranges = append(w.advisories[0].Affected[0].Ranges, advisory.Range{Type: "SEMVER", Events: events("i", "0", "f", fmt.Sprintf("9.0.%d", n))})
	}
	out, _ := w.run(t)
	w.vex = [][]vex.Statement{{{Vulnerability: "A-1", Products: []string{"pkg:npm/lodash"}, Status: vex.NotAffected, Impact: long, Action: long}}}
	stated, _ := w.run(t)
	for _, trace := range append(out.traces(t), stated.traces(t)...) {
		require.LessOrEqual(t, len(trace.Decision.Reason), maxReason)
		require.True(t, utf8.ValidString(trace.Input.Advisory.Title))
		require.LessOrEqual(t, len(trace.Input.Advisory.Title), maxText+3)
		for _, s := range trace.Input.Statements {
			require.LessOrEqual(t, len(s.Impact)+len(s.Action), 2*(maxText+3))
		}
	}
}

// manyStatements of one time, the last of which is the gravest.
func manyStatements(count int) (all [][]vex.Statement) {
	for n := range count {
		s := vex.Statement{Vulnerability: "A-1", Products: []string{"pkg:npm/lodash"}, Status: vex.Fixed, Impact: string(rune('a' + n)), At: "2026-01-02T00:00:00Z"}
		if n == count-1 {
			s.Status = vex.Affected
		}
		all = append(all, []vex.Statement{s})
	}
	return all
}

// What is said in an SBOM, or of a component by a link into one, is about that
// SBOM: the same package in another product is not decided by it.
func TestAnAnalysisStaysInItsBOM(t *testing.T) {
	const serial = "3e671687-395b-41f5-a30f-a58921a69b79"
	app := func(name, head, vulnerabilities string) string {
		return fmt.Sprintf(`{"bomFormat":"CycloneDX","specVersion":"1.6",%s"metadata":{"component":{"bom-ref":"app","name":"%s","purl":"pkg:oci/%s@1"}},
		 "components":[{"bom-ref":"log4j","name":"log4j-core","version":"2.14.0","purl":"pkg:maven/org.apache.logging.log4j/log4j-core@2.14.0"}]%s}`, head, name, name, vulnerabilities)
	}
	says := func(ref string) string {
		return fmt.Sprintf(`,"vulnerabilities":[{"id":"CVE-2021-44228","analysis":{"state":"not_affected","justification":"code_not_reachable"},"affects":[{"ref":"%s"}]}]`, ref)
	}
	const numbered = `"serialNumber":"urn:uuid:` + serial + `","version":1,`
	for name, c := range map[string]struct {
		a, vex string
		want   map[string]string
	}{
		"in the SBOM":                        {app("a", numbered, says("log4j")), "", map[string]string{"pkg:oci/a@1": "not_affected"}},
		"in the SBOM, without serial number": {app("a", "", says("log4j")), "", map[string]string{"pkg:oci/a@1": "not_affected"}},
		"in the SBOM, of the product":        {app("a", "", says("app")), "", map[string]string{"pkg:oci/a@1": "not_affected"}},
		"in the SBOM, by package URL":        {app("a", "", says("pkg:maven/org.apache.logging.log4j/log4j-core@2.14.0")), "", map[string]string{"pkg:oci/a@1": "not_affected"}},
		"by a link": {app("a", numbered, ""), `{"bomFormat":"CycloneDX","specVersion":"1.6"` + says("urn:cdx:"+serial+"/1#pkg:maven/org.apache.logging.log4j/log4j-core@2.14.0") + `}`,
			map[string]string{"pkg:oci/a@1": "not_affected"}},
		"by a link to a reference": {app("a", numbered, ""), `{"bomFormat":"CycloneDX","specVersion":"1.6"` + says("urn:cdx:"+serial+"/1#log4j") + `}`, map[string]string{"pkg:oci/a@1": "not_affected"}},
		"by a link, of version 2":  {app("a", numbered, ""), `{"bomFormat":"CycloneDX","specVersion":"1.6"` + says("urn:cdx:"+serial+"/2#log4j") + `}`, nil},
		"of the package itself": {app("a", numbered, ""), `{"bomFormat":"CycloneDX","specVersion":"1.6"` + says("pkg:maven/org.apache.logging.log4j/log4j-core@2.14.0") + `}`,
			map[string]string{"pkg:oci/a@1": "not_affected", "pkg:oci/b@1": "not_affected"}},
	} {
		files := []File{documentsOf(t, ledger.KindAdvisory, "osv", `{"id":"CVE-2021-44228","affected":[{"package":{"ecosystem":"Maven","name":"org.apache.logging.log4j:log4j-core"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}]}]}`),
			documentsOf(t, ledger.KindSBOM, "cyclonedx", c.a, app("b", "", ""))}
		if c.vex != "" {
			files = append(files, documentsOf(t, ledger.KindVEX, "cyclonedx", c.vex))
		}
		out := newShelf()
		_, err := evaluate(t.Context(), Input{Files: files, Pack: baselinePack(t), Scratch: t.TempDir()}, out, documentReaders())
		require.NoError(t, err)
		require.Len(t, out.findings(t), 2, name)
		for _, f := range out.findings(t) {
			require.Equal(t, c.want[f.SBOM.Subject], f.VEX, "%s: %s", name, f.SBOM.Subject)
		}
	}
}

// documentsOf is a file of documents as they were imported.
func documentsOf(t testing.TB, kind ledger.Kind, format string, documents ...string) File {
	var all strings.Builder
	for n, doc := range documents {
		text := string(line(t, kind, fmt.Sprint(n), json.RawMessage(doc)))
		all.WriteString(strings.Replace(text, `"format":"test"`, `"format":"`+format+`"`, 1) + "\n")
	}
	f := fileOf(all.String())
	f.Kind, f.Path = kind, bundle.ShardPath(kind.PayloadType(), "", true)
	return f
}

// A statement about one of several CVEs decides nothing about an advisory that
// is about all of them.
func TestOneOfSeveralCVEs(t *testing.T) {
	for _, c := range []struct {
		id            string
		aliases       []string
		vulnerability string
		want          string
	}{
		{"GHSA-1", []string{"CVE-1"}, "CVE-1", "fixed"},
		{"GHSA-1", []string{"CVE-1", "PYSEC-1"}, "CVE-1", "fixed"},
		{"GHSA-1", []string{"CVE-1", "CVE-2"}, "CVE-1", ""},
		{"GHSA-1", []string{"CVE-1", "cve-2"}, "CVE-2", ""},
		{"GHSA-1", []string{"CVE-1", "CVE-2"}, "GHSA-1", "fixed"},
		{"CVE-1", []string{"CVE-2"}, "CVE-1", "fixed"},
		{"cve-1", []string{"CVE-2"}, "CVE-1", "fixed"},
		{"CVE-1", []string{"CVE-2"}, "CVE-2", ""},
	} {
		a := npm(c.id, "x", "2.0.0", "low")
		a.Aliases = c.aliases
		w := &world{
			advisories: []advisory.Advisory{a},
			sboms:      []sbom.Inventory{{ID: "s", Components: []sbom.Component{{Ref: "1", Purl: "pkg:npm/x@1.0.0"}}}},
			vex:        [][]vex.Statement{{{Vulnerability: c.vulnerability, Products: []string{"pkg:npm/x"}, Status: vex.Fixed}}},
		}
		out, _ := w.run(t)
		require.Equal(t, c.want, out.findings(t)[0].VEX, "%+v", c)
	}
}

// A statement decides about the SBOMs of its own tenant.
func TestStatementsOfAnotherTenant(t *testing.T) {
	for directory, want := range map[string]string{"data/raw": "not_affected", "data/tenants/t1/raw": ""} {
		out, _ := smallWorld().run(t, func(in *Input) {
			last := &in.Files[len(in.Files)-1]
			require.Equal(t, ledger.KindVEX, last.Kind)
			last.Path = strings.Replace(last.Path, "data/raw", directory, 1)
		})
		require.Equal(t, want, out.findings(t)[0].VEX)
	}
}
