package sbom_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/sbom"
)

func read(t *testing.T, format, doc string) sbom.Inventory {
	t.Helper()
	canonical, err := bundle.Canonical([]byte(doc))
	require.NoError(t, err)
	i, err := sbom.Read(format, canonical)
	require.NoError(t, err)
	return i
}

const cyclonedxDocument = `{"bomFormat":"CycloneDX","specVersion":"1.6","serialNumber":"urn:uuid:1",
 "metadata":{"component":{"bom-ref":"app","group":"g","name":"app","version":"1","components":[{"name":"inside"}]}},
 "components":[{"bom-ref":"a","name":"a","version":"1","purl":"pkg:npm/a@1","hashes":[{"alg":"SHA-1","content":"DA39A3EE5E6B4B0D3255BFEF95601890AFD80709"},{"alg":"SHA3-256","content":"ab"},{"alg":"SHA-1","content":"00"},{"alg":"MD5","content":"zz"},{"alg":"","content":"00"}],
   "components":[{"name":"b","purl":"npm/b"}]},
  {"name":"diffutils","version":"3.3-1+b1","purl":"pkg:deb/debian/diffutils@3.3-1+b1?epoch=1","properties":[{"name":"aquasecurity:trivy:SrcName","value":"diff"},{"name":"aquasecurity:trivy:SrcVersion","value":"3.3"},{"name":"aquasecurity:trivy:SrcRelease","value":"1"},{"name":"aquasecurity:trivy:SrcEpoch","value":"1"}]},
  {"name":"libc6","purl":"pkg:deb/debian/libc6@2.36?upstream=glibc%402.37"},{"name":"x","purl":"pkg:rpm/fedora/x@1?upstream=y-1.src.rpm","properties":[{"name":"aquasecurity:trivy:Modularitylabel","value":"x:1:2:c"}]},
  {"bom-ref":"a","name":"a","version":"1","purl":"pkg:npm/a@1"}]}`

func TestCycloneDX(t *testing.T) {
	require.Equal(t, sbom.Inventory{ID: "urn:uuid:1", Version: "1", Subject: "g/app", Main: "app", Components: []sbom.Component{
		{Ref: "app", Name: "g/app", Version: "1"}, {Name: "inside"},
		{Ref: "a", Purl: "pkg:npm/a@1", Name: "a", Version: "1", Hashes: map[string]string{"sha1": "da39a3ee5e6b4b0d3255bfef95601890afd80709", "sha3-256": "ab"}}, {Name: "b"},
		{Purl: "pkg:deb/debian/diffutils@3.3-1+b1?epoch=1", Name: "diffutils", Version: "3.3-1+b1", SourceName: "diff", SourceVersion: "1:3.3-1"},
		{Purl: "pkg:deb/debian/libc6@2.36?upstream=glibc%402.37", Name: "libc6", SourceName: "glibc", SourceVersion: "2.37"},
		{Purl: "pkg:rpm/fedora/x@1?upstream=y-1.src.rpm", Name: "x", Module: "x:1:2:c"},
		{Ref: "a", Purl: "pkg:npm/a@1", Name: "a", Version: "1"},
	}, Unread: []string{"components[0].hashes[3] is not a hash in hexadecimal", "components[0].hashes[4] is not a hash in hexadecimal",
		`components[0].components[0].purl "npm/b" is not a package URL`}}, read(t, "cyclonedx", cyclonedxDocument))
	require.Equal(t, "pkg:oci/a", read(t, "cyclonedx", `{"bomFormat":"CycloneDX","metadata":{"component":{"name":"a","purl":"pkg:oci/a"}}}`).Subject)
	require.Equal(t, sbom.Inventory{Version: "1"}, read(t, "cyclonedx", `{"bomFormat":"CycloneDX"}`))
	require.Equal(t, "12", read(t, "cyclonedx", `{"bomFormat":"CycloneDX","version":12}`).Version)
	require.Empty(t, read(t, "cyclonedx", `{"bomFormat":"CycloneDX","version":"1"}`).Version)
}

const spdxDocument = `{"spdxVersion":"SPDX-2.3","name":"doc","documentNamespace":"https://x.example/1","relationships":[
  {"spdxElementId":"SPDXRef-a","relationshipType":"DESCRIBES","relatedSpdxElement":"SPDXRef-a"},{"spdxElementId":"SPDXRef-DOCUMENT","relationshipType":"DESCRIBES","relatedSpdxElement":"SPDXRef-b"}],
 "packages":[{"SPDXID":"SPDXRef-a","name":"a","versionInfo":"1","checksums":[{"algorithm":"SHA1","checksumValue":"00"},{"algorithm":"BLAKE2b-256","checksumValue":"01"}],
   "externalRefs":[{"referenceType":"purl","referenceLocator":"pkg:npm/a@1"},{"referenceType":"cpe23Type","referenceLocator":"cpe"},{"referenceType":"purl","referenceLocator":"pkg:npm/aa@1"}]},
  {"SPDXID":"SPDXRef-b","name":"b","sourceInfo":"built package from: bb 2-3"}]}`

func TestSPDX(t *testing.T) {
	hashes := map[string]string{"sha1": "00", "blake2b-256": "01"}
	require.Equal(t, sbom.Inventory{ID: "https://x.example/1", Subject: "b", Components: []sbom.Component{
		{Ref: "SPDXRef-a", Purl: "pkg:npm/a@1", Name: "a", Version: "1", Hashes: hashes}, {Ref: "SPDXRef-a", Purl: "pkg:npm/aa@1", Name: "a", Version: "1", Hashes: hashes},
		{Ref: "SPDXRef-b", Name: "b", SourceName: "bb", SourceVersion: "2-3"},
	}}, read(t, "spdx", spdxDocument))
	require.Equal(t, "pkg:npm/a@1", read(t, "spdx", strings.Replace(spdxDocument, `"name":"doc"`, `"name":"doc","documentDescribes":["SPDXRef-a"]`, 1)).Subject)
	require.Equal(t, "doc", read(t, "spdx", `{"spdxVersion":"SPDX-2.2","name":"doc"}`).Subject)
}

const graphDocument = `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[
 {"type":"software_Package","spdxId":"urn:a","name":"a","software_packageVersion":"1","software_packageUrl":"pkg:npm/a@1","verifiedUsing":[{"type":"Hash","algorithm":"sha3_256","hashValue":"00"},"urn:hash"]},
 {"type":"software_Package","spdxId":"urn:b","name":"b","externalIdentifier":[{"externalIdentifierType":"other","identifier":"x"},{"externalIdentifierType":"packageUrl","identifier":"pkg:npm/b"},"urn:x"]},
 {"type":"software_File","spdxId":"urn:f","name":"f"},
 {"type":"software_Sbom","spdxId":"urn:s","rootElement":["urn:b"]},
 {"type":"SpdxDocument","spdxId":"urn:d","name":"doc","rootElement":["urn:s"]}]}`

func TestSPDXGraph(t *testing.T) {
	require.Equal(t, sbom.Inventory{ID: "urn:d", Subject: "pkg:npm/b", Components: []sbom.Component{
		{Ref: "urn:a", Purl: "pkg:npm/a@1", Name: "a", Version: "1", Hashes: map[string]string{"sha3-256": "00"}}, {Ref: "urn:b", Purl: "pkg:npm/b", Name: "b"},
	}, Unread: []string{"@graph[0].verifiedUsing[1] is not an object", "@graph[1].externalIdentifier[2] is not an object"}}, read(t, "spdx", graphDocument))
	require.Equal(t, "a", read(t, "spdx", `{"@context":"https://spdx.org/rdf/3.0.0/spdx-context.jsonld","@type":"ai_AIPackage","@id":"x","name":"a"}`).Components[0].Name)
}

func TestWhatIsNoSBOMIsRefused(t *testing.T) {
	for _, tt := range []struct{ format, doc, want string }{
		{"osv", `{}`, "cyclonedx, spdx"},
		{"spdx", `[]`, "not an object"},
		{"spdx", `{}`, "neither spdxVersion nor @context"},
		{"spdx", `{"spdxVersion":"SPDX-2.3","packages":[1]}`, "packages[0]"},
		{"cyclonedx", `{}`, "bomFormat"},
		{"cyclonedx", `{"bomFormat":"CycloneDX","components":[{}]}`, "components[0].name is missing"},
		{"cyclonedx", `{"bomFormat":"CycloneDX"` + strings.Repeat(`,"components":[{"name":"a"`, 40) + strings.Repeat(`}]`, 40) + `}`, "nested deeper than 32"},
		{"cyclonedx", `{"bomFormat":"CycloneDX","components":[` + strings.Repeat(`{"name":"a"},`, 1_000_000) + `{"name":"a"}]}`, "at most 1000000"},
	} {
		_, err := sbom.Read(tt.format, []byte(tt.doc))
		require.ErrorContains(t, err, tt.want, "%.100s", tt.doc)
		require.Less(t, len(err.Error()), 300)
	}
}
