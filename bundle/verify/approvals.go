package verify

import (
	"context"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/signing"
)

// Approval is what let the bundle have evidence of another tenant.
type Approval struct {
	Tenant    string `json:"tenant"`
	Project   string `json:"project,omitempty"` // "" = all of them
	Approver  string `json:"approver"`
	ExpiresAt string `json:"expiresAt"`
	KeyID     string `json:"keyId"`
	// Verified is whether the approver's signature was checked, by a key the caller
	// trusts for that; else it is the exporter's word, who signed the manifest.
	Verified bool `json:"verified"`
}

// WithApprovers also verifies the signatures of approvals, by these keys: each
// must be by one of them. Keys that sign bundles approve nothing.
func WithApprovers(keys Trust) Option { return func(v *verifier) { v.approvers = keys } }

// checkApprovals holds the envelopes in the archive against the approvals that the
// manifest names: they are there, nothing else is, and each says what it is said to.
func (v *verifier) checkApprovals(context.Context) *Failure {
	named := map[string]bool{}
	if t := v.manifest.Tenancy; t != nil {
		for _, a := range t.CrossTenantApprovals {
			named[bundle.ApprovalPath(a.Digest)] = true
			if failure := v.checkApproval(a); failure != nil {
				return failure
			}
		}
	}
	for _, e := range v.entries {
		if strings.HasPrefix(e.path, bundle.ApprovalsDir) && !named[e.path] {
			return fail(ClassContent, ReasonUnlisted, e.path, "is in the archive, but the manifest does not name it")
		}
	}
	v.passed("approvals", bundle.ManifestPath)
	return nil
}

func (v *verifier) checkApproval(a bundle.NamedApproval) *Failure {
	path := bundle.ApprovalPath(a.Digest)
	i, there := v.byPath[path]
	if !there {
		return fail(ClassAbsent, ReasonMissing, path, "the manifest names it, the archive does not have it")
	}
	if size := v.entries[i].size; size > bundle.MaxApproval {
		return fail(ClassContent, ReasonTooLarge, path, "%d bytes, more than %d", size, bundle.MaxApproval)
	}
	text, failure := v.document(path)
	if failure != nil {
		return failure
	}
	if failure := v.compare("approval digest", path, a.Digest, bundle.DigestOf(text), ClassContent, ReasonApproval); failure != nil {
		return failure
	}
	// The digest is in the signed manifest, so these are the exporter's words.
	payload, keyID, err := signing.ReadEnvelope(text, bundle.ApprovalPayloadType)
	if err != nil {
		return fail(ClassContent, ReasonApproval, path, "%v", err)
	}
	if len(v.approvers) > 0 {
		if _, _, err := signing.OpenEnvelope(text, bundle.ApprovalPayloadType, v.approvers); err != nil {
			return fail(ClassSignature, reasonOf(err), path, "signature of the approver: %v", err)
		}
	}
	statement, err := bundle.ParseApproval(payload)
	if err == nil {
		err = a.Says(statement, keyID, v.manifest)
	}
	if err != nil {
		return fail(ClassContent, ReasonApproval, path, "%v", err)
	}
	v.report.Approvals = append(v.report.Approvals, Approval{Tenant: a.Tenant, Project: a.Project, Approver: a.Approver,
		ExpiresAt: a.ExpiresAt, KeyID: a.KeyID, Verified: len(v.approvers) > 0})
	return nil
}
