package activities

import (
	"fmt"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/profiles"
	"github.com/stella-ops/exportcenter/signing"
)

// tenancyOf names the approvals that a run was made under; nil for a run of its own
// tenant's evidence.
func tenancyOf(run export.Run) (*bundle.Tenancy, error) {
	if run.Reach == nil {
		return nil, nil //nolint:nilnil // most bundles have none
	}
	t := &bundle.Tenancy{Tenant: run.Tenant, Project: run.Project}
	for _, a := range run.Reach.Approvals {
		_, keyID, err := signing.ReadEnvelope([]byte(a.Signature), bundle.ApprovalPayloadType)
		if err != nil {
			return nil, fmt.Errorf("approval to read tenant %s: %w", a.Tenant, err)
		}
		t.CrossTenantApprovals = append(t.CrossTenantApprovals, bundle.NamedApproval{Tenant: a.Tenant, Project: a.Project,
			Approver: a.Approver, ExpiresAt: bundle.Stamp(a.ExpiresAt), KeyID: keyID, Digest: profiles.EnvelopeDigest(a)})
	}
	return t, nil
}

// envelopesOf are the approvals themselves, as entries of the bundle.
func envelopesOf(run export.Run) (entries []document) {
	if run.Reach == nil {
		return nil
	}
	for _, a := range run.Reach.Approvals {
		entries = append(entries, document{bundle.ApprovalPath(profiles.EnvelopeDigest(a)), []byte(a.Signature)})
	}
	return entries
}
