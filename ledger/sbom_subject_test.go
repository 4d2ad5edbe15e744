package ledger_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/ledger"
)

func TestSBOMSubjects(t *testing.T) {
	for name, test := range map[string]struct {
		format, doc string
		want        []string
	}{
		"CycloneDX": {"cyclonedx", `{"bomFormat":"CycloneDX","components":[{"name":"lodash","purl":"pkg:npm/lodash@4"}],"metadata":{"component":{
			"group":"acme","hashes":[{"alg":"SHA-256","content":"AB12"},{"alg":"SHA-512","content":"cd"}],"name":"shop","purl":"pkg:oci/shop@sha256%3Aff","version":"2.1"}}}`,
			[]string{"shop", "shop@2.1", "acme/shop", "acme/shop@2.1", "pkg:oci/shop@sha256%3Aff", "sha256:ab12", "sha512:cd"}},
		"an image, as scanners write it": {"cyclonedx", `{"metadata":{"component":{"name":"alpine:3.18","type":"container","version":"sha256:AA"}}}`,
			[]string{"alpine:3.18", "alpine:3.18@sha256:AA", "sha256:aa"}},
		"SPDX 2": {"spdx", `{"documentDescribes":["SPDXRef-a"],"name":"shop.spdx","packages":[{"SPDXID":"SPDXRef-a","checksums":[{"algorithm":"SHA256","checksumValue":"ab"}],
			"externalRefs":[{"referenceLocator":"pkg:npm/shop@1","referenceType":"purl"},{"referenceLocator":"cpe","referenceType":"cpe23Type"}],"name":"shop","versionInfo":"1"},
			{"SPDXID":"SPDXRef-b","name":"lodash"}],"spdxVersion":"SPDX-2.3"}`,
			[]string{"shop.spdx", "shop", "shop@1", "sha256:ab", "pkg:npm/shop@1"}},
		"SPDX 2, by relationship": {"spdx", `{"files":[{"SPDXID":"SPDXRef-f","fileName":"./a.bin"}],"name":"d","relationships":[{"relatedSpdxElement":"SPDXRef-f",
			"relationshipType":"DESCRIBES","spdxElementId":"SPDXRef-DOCUMENT"},{"relatedSpdxElement":"x","relationshipType":"CONTAINS","spdxElementId":"SPDXRef-DOCUMENT"}],"spdxVersion":"SPDX-2.2"}`,
			[]string{"d", "./a.bin"}},
		"SPDX 3": {"spdx", `{"@graph":[{"name":"doc","rootElement":["urn:bom"],"spdxId":"urn:d","type":"SpdxDocument"},{"rootElement":["urn:p"],"spdxId":"urn:bom","type":"software_Sbom"},
			{"name":"shop","software_packageUrl":"pkg:npm/shop@1","software_packageVersion":"1","spdxId":"urn:p","type":"software_Package","verifiedUsing":[{"algorithm":"sha256","hashValue":"ab"}]},
			{"name":"other","spdxId":"urn:q","type":"software_Package"}]}`,
			[]string{"doc", "shop", "shop@1", "pkg:npm/shop@1", "sha256:ab"}},
		"nothing":      {"cyclonedx", `{"components":[]}`, nil},
		"not a string": {"cyclonedx", `{"metadata":{"component":{"hashes":7,"name":["x"]}}}`, nil},
		"not JSON":     {"spdx", `{"spdxVersion`, nil},
		"other format": {"osv", `{"metadata":{"component":{"name":"x"}}}`, nil},
	} {
		require.Equal(t, test.want, ledger.SBOMSubjects(ledger.KindSBOM, test.format, []byte(test.doc)), name)
		require.Nil(t, ledger.SBOMSubjects(ledger.KindAdvisory, test.format, []byte(test.doc)))
	}
}
