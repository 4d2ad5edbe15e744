package bundletest

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/signing"
)

// Approval is what approver let the bundle of Shared have: evidence of globex.
func Approval() bundle.Approval {
	return bundle.Approval{Version: bundle.ApprovalVersion, Reader: "acme", Profile: "json-raw", Tenant: "globex", Approver: "ops", ExpiresAt: "2027-01-01T00:00:00Z"}
}

// Shared are the options of a good bundle by signer that also has evidence of
// globex, under an approval. spoil, if any, may change what is signed and what
// payload type it is signed as; the envelope is whatever comes of that.
func Shared(t testing.TB, signer, approver signing.Signer, spoil func(a *bundle.Approval, payloadType *string)) Options {
	t.Helper()
	said, payloadType := Approval(), bundle.ApprovalPayloadType
	if spoil != nil {
		spoil(&said, &payloadType)
	}
	payload, err := bundle.MarshalCanonical(said) // and not Encode: it may be spoiled
	require.NoError(t, err)
	envelope, err := signing.SignEnvelope(context.Background(), approver, payloadType, payload)
	require.NoError(t, err)
	digest := bundle.DigestOf(envelope)
	return Options{
		Signer: signer,
		Shards: append(Small(), Shard{Type: "advisories", Tenant: "globex", Project: "_", Lines: []string{`{"id":"GO-2026-0004"}`}}),
		Manifest: func(m *bundle.Manifest) {
			m.Selectors = json.RawMessage(`{"tenants":["acme","globex"]}`)
			m.Tenancy = &bundle.Tenancy{Tenant: "acme", CrossTenantApprovals: []bundle.NamedApproval{
				{Tenant: "globex", Approver: "ops", ExpiresAt: "2027-01-01T00:00:00Z", KeyID: approver.KeyID(), Digest: digest}}}
		},
		Entries: func(entries map[string][]byte) { entries[bundle.ApprovalPath(digest)] = envelope },
	}
}
