package advisory_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestManySeverities: a document's different severities are held against each
// other, so there are not many of them.
func TestManySeverities(t *testing.T) {
	var scores []string
	for _, av := range "NALP" {
		for _, ac := range "LH" {
			for _, pr := range "NLH" {
				for _, c := range "NLH" {
					for _, i := range "NLH" {
						scores = append(scores, fmt.Sprintf(`{"type":"CVSS_V3","score":"CVSS:3.1/AV:%c/AC:%c/PR:%c/UI:N/S:U/C:%c/I:%c/A:H"}`, av, ac, pr, c, i))
					}
				}
			}
		}
	}
	a := read(t, "osv", `{"id":"X-1","modified":"2026-01-01T00:00:00Z","severity":[`+strings.Join(scores, ",")+`]}`)
	require.Len(t, a.Severities, 100)
	require.Contains(t, a.Unread, "more than 100 different severities")
}

// TestManyArchitectures are sorted, each once.
func TestManyArchitectures(t *testing.T) {
	const many = 20_000
	products := []string{`{"category":"product_name","product":{"name":"P","product_id":"P","product_identification_helper":{"cpe":"cpe:/o:redhat:enterprise_linux:9"}}}`}
	var relations, ids []string
	for i := range many {
		arch := (i * 7919) % (many / 2) // each twice, in no order
		ids = append(ids, fmt.Sprintf(`"P:%d"`, i))
		products = append(products, fmt.Sprintf(`{"category":"product_version","product":{"name":"n","product_id":"%d","product_identification_helper":{"purl":"pkg:rpm/redhat/a@1-1?arch=a%06d"}}}`, i, arch))
		relations = append(relations, fmt.Sprintf(`{"product_reference":"%d","relates_to_product_reference":"P","full_product_name":{"name":"n","product_id":"P:%d"}}`, i, i))
	}
	a := read(t, "csaf", `{"document":{"category":"csaf_vex","title":"t","publisher":{"namespace":"https://x.example"},"tracking":{"id":"RHSA-1"}},
		"product_tree":{"branches":[`+strings.Join(products, ",")+`],"relationships":[`+strings.Join(relations, ",")+`]},
		"vulnerabilities":[{"cve":"CVE-2026-1","product_status":{"fixed":[`+strings.Join(ids, ",")+`]}}]}`)
	require.Len(t, a.Affected, 1)
	require.Len(t, a.Affected[0].Arches, many/2)
	require.Equal(t, []string{"a000000", "a000001"}, a.Affected[0].Arches[:2])
}
