package profiles

import (
	"bytes"
	"fmt"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/signing"
)

// ApprovalType is the DSSE payload type of an approval, ApprovalVersion the form
// of its statement.
const (
	ApprovalType    = "application/vnd.stellaops.export.cross-tenant-approval+json"
	ApprovalVersion = "1"
)

// ApprovalStatement is what an approver signs: runs of a profile of Reader's may
// read the evidence of Tenant until ExpiresAt (docs/selectors.md). It is signed in
// its RFC 8785 form.
type ApprovalStatement struct {
	Version   string `json:"version"`
	Reader    string `json:"reader"`
	Profile   string `json:"profile"` // its name, which is given once
	Tenant    string `json:"tenant"`
	Approver  string `json:"approver"`
	ExpiresAt string `json:"expiresAt"` // RFC 3339, UTC, whole seconds
}

// CheckApproval fails when a does not let runs of a profile of reader's read a's
// tenant now. The signature is verified before anything it covers is looked at;
// keys come from the installation's configuration, never from the data.
func CheckApproval(a export.Approval, reader, profile string, now time.Time, keys []signing.Verifier) error {
	payload, _, err := signing.OpenEnvelope([]byte(a.Signature), ApprovalType, keys)
	if err != nil {
		return fmt.Errorf("its signature is not one that this installation trusts: %w", err)
	}
	var says ApprovalStatement
	if err := bundle.UnmarshalStrict(payload, &says); err != nil {
		return fmt.Errorf("what was signed is not an approval: %w", err)
	}
	if again, err := bundle.MarshalCanonical(says); err != nil || !bytes.Equal(again, payload) {
		return fmt.Errorf("what was signed is not in canonical form")
	}
	expires, err := time.Parse(approvalTime, says.ExpiresAt)
	switch {
	case says.Version != ApprovalVersion:
		return fmt.Errorf("what was signed has version %.20q, not %s", says.Version, ApprovalVersion)
	case says.Reader != reader || says.Profile != profile:
		return fmt.Errorf("it was signed for profile %.64q of tenant %.63q", says.Profile, says.Reader)
	case says.Tenant != a.Tenant || says.Approver != a.Approver:
		return fmt.Errorf("it was signed for tenant %.63q by %.64q", says.Tenant, says.Approver)
	case err != nil || !expires.Equal(a.ExpiresAt):
		return fmt.Errorf("it was signed until %.40q, the profile says %s", says.ExpiresAt, a.ExpiresAt.UTC().Format(approvalTime))
	case !now.Before(expires):
		return fmt.Errorf("it expired at %s", says.ExpiresAt)
	}
	return nil
}

const approvalTime = "2006-01-02T15:04:05Z"
