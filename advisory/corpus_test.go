package advisory_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/advisory"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/testkit"
)

// Every affected entry of the real advisories is read or named, with every
// version and event that the standard library finds in it.
func TestRealCorpusOSV(t *testing.T) {
	type count struct{ documents, affected, unread, versions, events, aliases, withdrawn, vectors int }
	var got, want count
	broken := 0
	for _, raw := range testkit.RealAdvisories(t) {
		canonical, err := bundle.Canonical(raw)
		require.NoError(t, err)
		a, err := advisory.Read("osv", canonical)
		require.NoError(t, err, "%.200s", raw)
		got.documents++
		got.affected += len(a.Affected)
		got.aliases += len(a.Aliases)
		if a.Withdrawn != "" {
			got.withdrawn++
		}
		for _, s := range a.Severities {
			if s.Vector != "" {
				got.vectors++
			}
		}
		for _, note := range a.Unread {
			if strings.HasSuffix(note, "is neither a CVSS vector nor a severity") {
				broken++ // "I:U"
				continue
			}
			require.Regexp(t, `^affected\[\d+\]: (ranges of type GIT only|neither ranges nor versions|\d+ ranges of type GIT)$`, note, a.ID)
			if !strings.Contains(note, " ranges of type GIT") {
				got.unread++
			}
		}
		for _, entry := range a.Affected {
			require.NotEmpty(t, entry.Purl, "%s %s", entry.Ecosystem, entry.Name)
			got.versions += len(entry.Versions)
			for _, r := range entry.Ranges {
				got.events += len(r.Events)
			}
		}
		addWanted(t, raw, &want.documents, &want.affected, &want.versions, &want.events, &want.aliases, &want.withdrawn)
	}
	require.Equal(t, 8993, got.documents)
	require.Equal(t, 11384, want.affected)
	want.unread = 1 // of PyPI, with neither ranges nor versions
	want.affected -= want.unread
	require.Equal(t, 1, broken)
	want.vectors = got.vectors
	require.Equal(t, 1422, got.vectors, "1,423 severities, one of them broken")
	require.Equal(t, want, got)
}

func addWanted(t *testing.T, raw []byte, documents, affected, versions, events, aliases, withdrawn *int) {
	t.Helper()
	var doc struct {
		Aliases   []string
		Withdrawn *string
		Affected  []struct {
			Versions []string
			Ranges   []struct {
				Type   string
				Events []map[string]string
			}
			DatabaseSpecific map[string]any `json:"database_specific"`
		}
	}
	require.NoError(t, json.Unmarshal(raw, &doc))
	*documents++
	*affected += len(doc.Affected)
	unique := map[string]bool{}
	for _, alias := range doc.Aliases {
		unique[alias] = true
	}
	*aliases += len(unique)
	if doc.Withdrawn != nil {
		*withdrawn++
	}
	for _, entry := range doc.Affected {
		*versions += len(entry.Versions)
		_, bounded := entry.DatabaseSpecific["last_known_affected_version_range"]
		for _, r := range entry.Ranges {
			if r.Type == "GIT" {
				continue
			}
			open := true
			for _, e := range r.Events {
				*events += len(e)
				open = open && e["introduced"] != ""
			}
			if open && bounded {
				*events++
			}
		}
	}
}

// Every product of the real documents of Red Hat is read or named.
func TestRealCorpusCSAF(t *testing.T) {
	documents, products := 0, 0
	for _, file := range testkit.RealFiles(t, "vex/csaf-redhat.tar.zst") {
		canonical, err := bundle.Canonical(file.Content)
		require.NoError(t, err)
		a, err := advisory.Read("csaf", canonical)
		require.NoError(t, err, file.Name)
		documents++
		require.Equal(t, productsOf(t, file.Content), triples(a), file.Name)
		products += len(triples(a))
		require.NotEmpty(t, a.Affected, file.Name)
		for _, one := range a.Split() {
			require.Regexp(t, `^CVE-`, one.ID)
			require.NotEmpty(t, one.Severities, one.ID)
			require.NotEmpty(t, one.CWEs, one.ID)
		}
		for _, note := range a.Unread {
			require.Contains(t, file.Name, "/happy/", note) // of a test's own making
		}
	}
	require.Equal(t, 10, documents)
	require.Greater(t, products, 1000)
}

// triples are what a document says, as "CVE ecosystem name fixed arch".
func triples(a advisory.Advisory) map[string]bool {
	all := map[string]bool{}
	for _, entry := range a.Affected {
		fixed := ""
		for _, e := range entry.Ranges[0].Events {
			fixed += e.Fixed
		}
		arches := entry.Arches
		if arches == nil {
			arches = []string{""}
		}
		for _, arch := range arches {
			all[strings.Join([]string{entry.Vulnerability, entry.Ecosystem, entry.Name, fixed, arch}, " ")] = true
		}
	}
	return all
}

// productsOf reads the same another way: through the standard library, and the
// ids of products, which Red Hat makes of platform, name, version and arch.
func productsOf(t *testing.T, raw []byte) map[string]bool {
	t.Helper()
	var doc struct {
		ProductTree struct {
			Branches      []branch
			Relationships []struct {
				FullProductName struct {
					ProductID string `json:"product_id"`
				} `json:"full_product_name"`
				ProductReference string `json:"product_reference"`
				RelatesTo        string `json:"relates_to_product_reference"`
			}
		} `json:"product_tree"`
		Vulnerabilities []struct {
			CVE           string
			ProductStatus map[string][]string `json:"product_status"`
			Remediations  []struct {
				Category   string
				ProductIDs []string `json:"product_ids"`
			}
		}
	}
	require.NoError(t, json.Unmarshal(raw, &doc))
	helpers := map[string]map[string]string{}
	var walk func([]branch)
	walk = func(all []branch) {
		for _, b := range all {
			helpers[b.Product.ID] = b.Product.Helper
			walk(b.Branches)
		}
	}
	walk(doc.ProductTree.Branches)
	made := map[string][2]string{}
	for _, r := range doc.ProductTree.Relationships {
		made[r.FullProductName.ProductID] = [2]string{r.ProductReference, r.RelatesTo}
	}
	all := map[string]bool{}
	say := func(cve, id string, fixed bool) {
		package_, cpe := helpers[made[id][0]]["purl"], helpers[made[id][1]]["cpe"]
		if !strings.HasPrefix(package_, "pkg:rpm/redhat/") || cpe == "" {
			return
		}
		rest := strings.TrimPrefix(package_, "pkg:rpm/redhat/")
		rest, query, _ := strings.Cut(rest, "?")
		name, version, _ := strings.Cut(rest, "@")
		epoch, arch := "0", ""
		for _, q := range strings.Split(query, "&") {
			if v, ok := strings.CutPrefix(q, "epoch="); ok {
				epoch = v
			}
			if v, ok := strings.CutPrefix(q, "arch="); ok {
				arch = v
			}
		}
		version = epoch + ":" + strings.ReplaceAll(version, "%2B", "+")
		if !fixed {
			version = ""
		}
		all[strings.Join([]string{cve, "Red Hat:" + strings.SplitN(cpe, ":redhat:", 2)[1], name, version, arch}, " ")] = true
	}
	for _, v := range doc.Vulnerabilities {
		for status, ids := range v.ProductStatus {
			for _, id := range ids {
				if status == "fixed" || status == "known_affected" {
					say(v.CVE, id, status == "fixed")
				}
			}
		}
		if v.ProductStatus != nil {
			continue
		}
		for _, r := range v.Remediations {
			for _, id := range r.ProductIDs {
				if r.Category != "workaround" {
					say(v.CVE, id, r.Category == "vendor_fix")
				}
			}
		}
	}
	return all
}

type branch struct {
	Branches []branch
	Product  struct {
		ID     string            `json:"product_id"`
		Helper map[string]string `json:"product_identification_helper"`
	}
}

func FuzzRead(f *testing.F) {
	f.Add(uint8(1), []byte(osvDocument))
	f.Add(uint8(0), []byte(csafDocument))
	samples, err := filepath.Glob("../ledger/sample/osv/*.json")
	require.NoError(f, err)
	for _, name := range samples {
		raw, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(uint8(1), raw)
	}
	f.Fuzz(func(t *testing.T, which uint8, raw []byte) {
		format := advisory.Formats[int(which)%len(advisory.Formats)]
		_, _ = advisory.Read(format, raw) // whatever it is, it does not panic
		canonical, err := bundle.Canonical(raw)
		if err != nil {
			return
		}
		a, err := advisory.Read(format, canonical)
		if err != nil {
			require.Less(t, len(err.Error()), 1000)
			return
		}
		require.NotEmpty(t, a.ID)
		require.LessOrEqual(t, len(a.Unread), 101)
		for _, entry := range a.Affected {
			require.NotEmpty(t, entry.Name)
			require.NotEmpty(t, entry.Ecosystem)
			require.NotZero(t, len(entry.Ranges)+len(entry.Versions))
		}
		again, err := advisory.Read(format, canonical)
		require.NoError(t, err)
		require.Equal(t, a, again)
		require.NotEmpty(t, a.Split())
	})
}

func BenchmarkReadOSV(b *testing.B) {
	var all [][]byte
	for _, raw := range testkit.RealAdvisories(b) {
		canonical, err := bundle.Canonical(raw)
		require.NoError(b, err)
		all = append(all, canonical)
	}
	for b.Loop() {
		for _, canonical := range all {
			if _, err := advisory.Read("osv", canonical); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(all)), "ns/doc")
}
