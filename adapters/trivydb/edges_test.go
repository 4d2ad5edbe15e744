package trivydb

import (
	"encoding/json"
	"hash/crc32"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/testkit"
)

// edges are packages at the edges of what the documents say: every version that
// begins or ends a range, and a few of those that are listed.
func edges(t testing.TB, documents [][]byte) []component {
	types := map[string]string{}
	for kind, ecosystem := range purlTypes {
		types[ecosystem] = kind
	}
	found, count := map[string]component{}, map[string]int{}
	for _, raw := range documents {
		var doc osvDocument
		require.NoError(t, json.Unmarshal(raw, &doc))
		for _, a := range doc.Affected {
			kind, known := types[a.Package.Ecosystem]
			if !known || a.Package.Name == "" || !probed(a.Package.Name) {
				continue
			}
			versions := slices.Clone(a.Versions[:min(len(a.Versions), 2)])
			if len(a.Versions) > 2 {
				versions = append(versions, a.Versions[len(a.Versions)/2], a.Versions[len(a.Versions)-1])
			}
			for _, r := range a.Ranges {
				for _, event := range r.Events {
					for _, version := range event {
						if r.Type != "GIT" && version != "0" {
							versions = append(versions, version)
						}
					}
				}
			}
			path := a.Package.Name
			if kind == "maven" {
				path = strings.Replace(path, ":", "/", 1)
			}
			for _, version := range versions {
				if count[kind+path]++; count[kind+path] > maxEdges {
					continue
				}
				purl := "pkg:" + kind + "/" + strings.ReplaceAll(url.PathEscape(path), "%2F", "/") + "@" + url.PathEscape(version)
				found[purl] = component{purl, a.Package.Ecosystem, a.Package.Name, version}
			}
		}
	}
	return sorted(found)
}

// probed takes one package of three, and those that oddVersions speaks of:
// Trivy takes half a minute for all.
func probed(name string) bool {
	for line := range oddVersions {
		if strings.Contains(line, "/"+name+"@") {
			return true
		}
	}
	return crc32.ChecksumIEEE([]byte(name))%3 == 0
}

// maxEdges bounds the versions of one package: a few packages have hundreds of
// advisories, which Trivy would all compare with hundreds of versions.
const maxEdges = 8

// TestTrivyAtTheEdges asks Trivy about every version at which an advisory of
// the real ones begins or ends.
func TestTrivyAtTheEdges(t *testing.T) {
	testkit.Tool(t, "trivy")
	documents := testkit.RealAdvisories(t)
	compareWithTrivy(t, documents, edges(t, documents), oddVersions)
}

// noPEP440 is why Trivy misses a version that a document lists by name: it
// compares no version of Python that PEP 440 does not read, whatever the
// database says. The summary names them.
const noPEP440 = "not a version of PEP 440: Trivy compares no such version"

// oddVersions are the packages at the edges on which Trivy and the matcher differ.
var oddVersions = map[string]string{
	"missed pkg:pypi/cherrypy@2.0.0-final":                     noPEP440,
	"missed pkg:pypi/jw.util@-class.-jw.util.version.Version-": noPEP440,
	"missed pkg:pypi/leo@4.11-final":                           noPEP440,
	"missed pkg:pypi/leo@5.0-final":                            noPEP440,
	"missed pkg:pypi/limnoria@2013-01-21T20:33:09+0100":        noPEP440,
	"missed pkg:pypi/limnoria@2013-01-23T17:11:52+0100":        noPEP440,
	"missed pkg:pypi/nltk@2.0.1rc2-git":                        noPEP440,
	"missed pkg:pypi/paramiko@0.1-bulbasaur":                   noPEP440,
	"missed pkg:pypi/paramiko@0.1-charmander":                  noPEP440,
	"missed pkg:pypi/pywps@trunk":                              noPEP440,
	"missed pkg:pypi/rope@0.5m4":                               noPEP440,
	"missed pkg:pypi/supervisor@a3":                            noPEP440,
}
