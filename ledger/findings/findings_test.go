package findings_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/ledger/findings"
)

const full = ` {"format":"stellaops.findings/v1","id":"nightly","modified":"2026-01-01T01:00:00+01:00","policy":{"name":"acme","version":"7"},"findings":[
 {"advisory":"CVE-2026-1","component":"pkg:npm/%40a/b@1.0.0","sbom":"pkg:oci/app@1","severity":"high","action":"block","reason":"reachable","rules":["reach"]},
 {"advisory":"CVE-2026-2","component":"pkg:npm/%40a/b@1.0.0","sbom":"pkg:oci/app@1","severity":"low","action":"allow","reason":"not reachable","rules":["reach"]}]} `

func TestParseTakesWhatSelectionNeeds(t *testing.T) {
	canonical, err := bundle.Canonical([]byte(full))
	require.NoError(t, err)
	o, err := findings.Parse(ledger.Entry{Bytes: []byte(full)})
	require.NoError(t, err)
	require.Equal(t, ledger.Observation{
		Kind: ledger.KindFinding, Format: "findings", Source: "findings", Stream: "default", UpstreamID: "nightly",
		Modified: "2026-01-01T00:00:00.000000000Z", Digest: bundle.DigestOf([]byte(full)), Raw: []byte(full), Canonical: canonical,
		Subject: "pkg:npm/%40a/b", Ecosystems: []string{"npm"}, Products: []string{"pkg:npm/%40a/b"},
	}, o)
	_, err = findings.Parse(ledger.Entry{Bytes: []byte(`{"format":"stellaops.findings/v1","policy":{"name":"a","version":"1"},"findings":[{}]}`)})
	require.ErrorContains(t, err, "not a list of findings: findings[0].advisory")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(full))
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := findings.Parse(ledger.Entry{Bytes: raw})
		if err != nil {
			return
		}
		if err := o.Validate(); err != nil {
			t.Fatalf("accepted what the ledger refuses: %v", err)
		}
		again, err := findings.Parse(ledger.Entry{Bytes: o.Canonical})
		require.NoError(t, err)
		require.Equal(t, o.Products, again.Products)
	})
}
