package bundle

import (
	"fmt"
	"time"
)

// An approval lets runs of one tenant's profile read the evidence of another
// tenant. Its DSSE envelope is an entry of every bundle that was made under it.
const (
	ApprovalPayloadType = "application/vnd.stellaops.export.cross-tenant-approval+json"
	ApprovalVersion     = "1"
	// ApprovalsDir holds the envelopes; ApprovalPath names one.
	ApprovalsDir = "approvals/"
	// MaxApproval is the most bytes an envelope of an approval may have.
	MaxApproval = 16 << 10
	// noProject stands for the documents of a tenant that are in no project.
	noProject = "_"
)

// Approval is what an approver signs, in its RFC 8785 form: until ExpiresAt runs
// of a profile of Reader's may read the evidence of Tenant.
type Approval struct {
	Version string `json:"version"`
	Reader  string `json:"reader"`
	Profile string `json:"profile"` // its name, or its id
	Tenant  string `json:"tenant"`
	// Project is the one project that may be read, "_" the documents without one;
	// "" is all that the tenant has.
	Project   string `json:"project,omitempty"`
	Approver  string `json:"approver"`
	ExpiresAt string `json:"expiresAt"` // YYYY-MM-DDThh:mm:ssZ; not at it
}

// Encode gives the bytes that are signed.
func (a Approval) Encode() ([]byte, error) {
	if err := a.check(); err != nil {
		return nil, fmt.Errorf("approval: %w", err)
	}
	return MarshalCanonical(a)
}

// ParseApproval reads what Encode writes, and nothing else.
func ParseApproval(payload []byte) (Approval, error) {
	var a Approval
	if err := parseExact("approval", payload, &a, Approval.Encode); err != nil {
		return Approval{}, err
	}
	return a, nil
}

func (a Approval) check() error {
	switch {
	case a.Version != ApprovalVersion:
		return fmt.Errorf("version: %.20q is not %s", a.Version, ApprovalVersion)
	case !tenantForm.MatchString(a.Reader):
		return fmt.Errorf("reader: %.100q is not a tenant", a.Reader)
	case !tenantForm.MatchString(a.Tenant):
		return fmt.Errorf("tenant: %.100q is not a tenant", a.Tenant)
	case a.Tenant == a.Reader:
		return fmt.Errorf("tenant: %s needs no approval to read its own evidence", a.Tenant)
	case a.Project != "" && !validHolding(a.Project):
		return fmt.Errorf("project: %.100q is not a project, and not %s", a.Project, noProject)
	}
	if err := checkText("profile", a.Profile); err != nil {
		return err
	}
	if err := checkText("approver", a.Approver); err != nil {
		return err
	}
	return checkStamp("expiresAt", a.ExpiresAt)
}

// Ends is when the approval ends.
func (a Approval) Ends() time.Time {
	at, _ := time.Parse(stampLayout, a.ExpiresAt) // check saw to the form
	return at
}

// validHolding accepts a project, or noProject.
func validHolding(project string) bool {
	return project == noProject || tenantForm.MatchString(project)
}

// ApprovalPath is where a bundle has the envelope with this digest.
func ApprovalPath(envelope Digest) string { return ApprovalsDir + envelope.Hex() + ".dsse.json" }
