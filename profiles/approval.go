package profiles

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/signing"
)

// CrossTenant says whether runs may read the evidence of other tenants, and whose
// approval counts. Its zero value lets nobody. It comes from the installation's
// configuration, never from a profile; api and worker ask it each for itself.
type CrossTenant struct {
	Enabled   bool
	Approvers []signing.Verifier
	// Revoked are envelopes that count no more, by their digest.
	Revoked []bundle.Digest
}

// Check fails when a does not let runs of a profile of reader's read a's tenant
// at a moment. The signature is verified before anything it covers is looked at.
func (c CrossTenant) Check(a export.Approval, reader string, profile export.Profile, now time.Time) error {
	says, err := c.Opened(a, reader, profile)
	if err == nil && !now.Before(says.Ends()) {
		err = fmt.Errorf("it expired at %s", says.ExpiresAt)
	}
	return err
}

// Opened is Check at no moment: it gives what the approver signed.
func (c CrossTenant) Opened(a export.Approval, reader string, profile export.Profile) (bundle.Approval, error) {
	if !c.Enabled {
		return bundle.Approval{}, fmt.Errorf("reading the evidence of other tenants is switched off in this installation (crossTenant.enabled)")
	}
	if slices.Contains(c.Revoked, EnvelopeDigest(a)) {
		return bundle.Approval{}, fmt.Errorf("it was revoked in this installation (crossTenant.revoked)")
	}
	says, err := openApproval([]byte(a.Signature), c.Approvers)
	switch {
	case err != nil:
		return says, err
	case says.Reader != reader || says.Profile != profile.Name && says.Profile != profile.ID:
		return says, fmt.Errorf("it was signed for profile %.64q of tenant %.63q", says.Profile, says.Reader)
	case says.Tenant != a.Tenant || says.Project != a.Project || says.Approver != a.Approver:
		return says, fmt.Errorf("it was signed for tenant %.63q, project %.63q, by %.64q", says.Tenant, says.Project, says.Approver)
	case !says.Ends().Equal(a.ExpiresAt):
		return says, fmt.Errorf("it was signed until %.40q, the profile says %s", says.ExpiresAt, bundle.Stamp(a.ExpiresAt))
	}
	return says, nil
}

// openApproval gives what was signed by one of keys. Nothing of it is looked at before.
func openApproval(envelope []byte, keys []signing.Verifier) (bundle.Approval, error) {
	payload, _, err := signing.OpenEnvelope(envelope, bundle.ApprovalPayloadType, keys)
	if err != nil {
		return bundle.Approval{}, fmt.Errorf("its signature is not one that this installation trusts: %w", err)
	}
	says, err := bundle.ParseApproval(payload)
	if err != nil {
		return says, fmt.Errorf("what was signed is not an approval: %w", err)
	}
	return says, nil
}

// EnvelopeDigest names an approval.
func EnvelopeDigest(a export.Approval) bundle.Digest { return bundle.DigestOf([]byte(a.Signature)) }

// Covering chooses, of approvals of one tenant that all hold, those that a run
// relies on: one that covers the whole tenant, or one for each project; of several
// the one that lasts longest. What is chosen does not depend on their order.
func Covering(approvals []export.Approval) []export.Approval {
	best := map[string]export.Approval{}
	for _, a := range approvals {
		held, there := best[a.Project]
		if !there || cmp.Or(a.ExpiresAt.Compare(held.ExpiresAt), strings.Compare(held.Signature, a.Signature)) > 0 {
			best[a.Project] = a
		}
	}
	if whole, there := best[""]; there {
		return []export.Approval{whole}
	}
	var chosen []export.Approval
	for _, project := range slices.Sorted(maps.Keys(best)) {
		chosen = append(chosen, best[project])
	}
	return chosen
}
