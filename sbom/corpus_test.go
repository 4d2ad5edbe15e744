package sbom_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/cyclonedx"
	"github.com/stella-ops/exportcenter/ledger/detect"
	"github.com/stella-ops/exportcenter/ledger/spdx"
	"github.com/stella-ops/exportcenter/sbom"
)

// counts are what the standard library finds in documents, and what is read.
type counts struct{ documents, components, purls, sha1 int }

// Every component of every real SBOM that the ledger takes in is read, with its
// package URL and hashes.
func TestRealCorpus(t *testing.T) {
	var got, want counts
	parse := detect.Reader(detect.Format{Name: cyclonedx.Format, Recognise: cyclonedx.Recognise, Parse: cyclonedx.Parse},
		detect.Format{Name: spdx.Format, Recognise: spdx.Recognise, Parse: spdx.Parse})
	for _, file := range testkit.RealFiles(t, "sbom/*.tar.zst") {
		o, err := parse(ledger.Entry{Bytes: file.Content})
		if err != nil {
			continue
		}
		read, err := sbom.Read(o.Format, o.Canonical)
		require.NoError(t, err, file.Name)
		got.documents++
		for _, c := range read.Components {
			got.add(c.Purl, c.Hashes["sha1"])
		}
		want.documents++
		want.addWanted(t, o.Canonical)
		require.Equal(t, want, got, "%s: %q", file.Name, read.Unread)
	}
	require.Equal(t, counts{213, 19420, 18943, 4606}, got)
}

func (c *counts) add(purl, sha1 string) {
	c.components++
	if purl != "" {
		c.purls++
	}
	if sha1 != "" {
		c.sha1++
	}
}

type component struct {
	Purl       string
	Hashes     []struct{ Alg string }
	Components []component
}

func (c *counts) addComponents(all []component) {
	for _, one := range all {
		sha1 := ""
		for _, h := range one.Hashes {
			if h.Alg == "SHA-1" {
				sha1 = h.Alg
			}
		}
		c.add(one.Purl, sha1)
		c.addComponents(one.Components)
	}
}

func (c *counts) addWanted(t *testing.T, canonical []byte) {
	t.Helper()
	var doc struct {
		Metadata   struct{ Component *component }
		Components []component
		Packages   []struct {
			ExternalRefs []struct{ ReferenceType string }
			Checksums    []struct{ Algorithm string }
		}
		Graph []struct {
			Type               string
			PackageURL         string                                    `json:"software_packageUrl"`
			ExternalIdentifier []struct{ ExternalIdentifierType string } `json:"externalIdentifier"`
			VerifiedUsing      []struct{ Algorithm string }              `json:"verifiedUsing"`
		} `json:"@graph"`
	}
	require.NoError(t, json.Unmarshal(canonical, &doc))
	if doc.Metadata.Component != nil {
		c.addComponents([]component{*doc.Metadata.Component})
	}
	c.addComponents(doc.Components)
	for _, p := range doc.Packages {
		purl, sha1, more := "", "", 0
		for _, r := range p.ExternalRefs {
			if r.ReferenceType == "purl" {
				purl = "x"
				more++
			}
		}
		for _, h := range p.Checksums {
			if h.Algorithm == "SHA1" {
				sha1 = "x"
			}
		}
		for range max(1, more) {
			c.add(purl, sha1)
		}
	}
	for _, e := range doc.Graph {
		if e.Type != "software_Package" && e.Type != "ai_AIPackage" && e.Type != "dataset_DatasetPackage" {
			continue
		}
		purl, sha1 := e.PackageURL, ""
		for _, x := range e.ExternalIdentifier {
			if x.ExternalIdentifierType == "packageUrl" {
				purl = "x"
			}
		}
		for _, h := range e.VerifiedUsing {
			if h.Algorithm == "sha1" {
				sha1 = "x"
			}
		}
		c.add(purl, sha1)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(uint8(0), []byte(cyclonedxDocument))
	f.Add(uint8(1), []byte(spdxDocument))
	f.Add(uint8(1), []byte(graphDocument))
	f.Fuzz(func(t *testing.T, which uint8, raw []byte) {
		format := sbom.Formats[int(which)%len(sbom.Formats)]
		_, _ = sbom.Read(format, raw) // whatever it is, it does not panic
		canonical, err := bundle.Canonical(raw)
		if err != nil {
			return
		}
		i, err := sbom.Read(format, canonical)
		if err != nil {
			require.Less(t, len(err.Error()), 1000)
			return
		}
		for _, c := range i.Components {
			for algorithm, digest := range c.Hashes {
				require.NotEmpty(t, algorithm)
				require.Regexp(t, `^[0-9a-f]+$`, digest)
			}
		}
		again, err := sbom.Read(format, canonical)
		require.NoError(t, err)
		require.Equal(t, i, again)
	})
}
