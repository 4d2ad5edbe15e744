package bundle

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Tenancy is in the manifest and the provenance of a bundle that also has the
// evidence of other tenants: whose run it is, and what let it read them.
type Tenancy struct {
	Tenant               string          `json:"tenant"`
	Project              string          `json:"project,omitempty"`
	CrossTenantApprovals []NamedApproval `json:"crossTenantApprovals"` // ordered by (tenant, project), at least one
}

// NamedApproval names an approval that a run was made under.
type NamedApproval struct {
	Tenant    string `json:"tenant"`            // whose evidence was read
	Project   string `json:"project,omitempty"` // as Approval has it
	Approver  string `json:"approver"`
	ExpiresAt string `json:"expiresAt"`
	KeyID     string `json:"keyId"`  // of the key that signed it
	Digest    Digest `json:"digest"` // of the envelope, which is the entry ApprovalPath
}

// covers reports whether the approval lets a project of tenant be read.
func (a NamedApproval) covers(tenant, project string) bool {
	return a.Tenant == tenant && (a.Project == "" || a.Project == project)
}

// maxApprovals bounds the approvals of a bundle.
const maxApprovals = 64

// checkTenancy wants an approval for every other tenant whose evidence is asked
// for or there, and no approval of anybody else.
func checkTenancy(m Manifest) error {
	others, err := otherTenants(m)
	if err != nil {
		return err
	}
	var approvals []NamedApproval
	if m.Tenancy != nil {
		approvals = m.Tenancy.CrossTenantApprovals
		if err := checkApprovals(m); err != nil {
			return err
		}
	}
	for _, tenant := range others {
		if !slices.ContainsFunc(approvals, func(a NamedApproval) bool { return a.Tenant == tenant }) {
			return fmt.Errorf("tenancy: selectors ask for the evidence of %s, and no approval is named", tenant)
		}
	}
	for i, a := range approvals {
		if !slices.Contains(others, a.Tenant) {
			return fmt.Errorf("tenancy.crossTenantApprovals[%d]: selectors do not ask for the evidence of %s", i, a.Tenant)
		}
	}
	for i, c := range m.Contents {
		tenant, project, foreign := c.Holder()
		if foreign && !slices.ContainsFunc(approvals, func(a NamedApproval) bool { return a.covers(tenant, project) }) {
			return fmt.Errorf("contents[%d]: %s is evidence of %s, and no approval that covers it is named", i, c.Path, tenant)
		}
	}
	return nil
}

// otherTenants are those of the selectors but the run's own, whom they must have too.
func otherTenants(m Manifest) ([]string, error) {
	var members map[string]json.RawMessage // names are compared exactly
	var asked []string
	err := json.Unmarshal(m.Selectors, &members)
	if list, there := members["tenants"]; err == nil && there {
		err = json.Unmarshal(list, &asked)
	}
	if err != nil {
		return nil, fmt.Errorf("selectors.tenants: is not a list of tenants")
	}
	others := slices.DeleteFunc(slices.Clone(asked), func(t string) bool { return t == m.Tenant })
	if len(asked) > 0 && len(others) == len(asked) {
		return nil, fmt.Errorf("selectors.tenants: does not have %s, whose run it is", m.Tenant)
	}
	return others, nil
}

func checkApprovals(m Manifest) error {
	t := m.Tenancy
	if t.Tenant != m.Tenant || t.Project != m.Project {
		return fmt.Errorf("tenancy: tenant or project differs from the manifest's own")
	}
	if n := len(t.CrossTenantApprovals); n == 0 || n > maxApprovals {
		return fmt.Errorf("tenancy.crossTenantApprovals: %d approvals; want 1 to %d, or no tenancy", n, maxApprovals)
	}
	for i, a := range t.CrossTenantApprovals {
		field := fmt.Sprintf("tenancy.crossTenantApprovals[%d]", i)
		if i > 0 {
			before := t.CrossTenantApprovals[i-1]
			if cmp.Or(strings.Compare(before.Tenant, a.Tenant), strings.Compare(before.Project, a.Project)) >= 0 {
				return fmt.Errorf("%s: does not come after the one before", field)
			}
			if before.Tenant == a.Tenant && before.Project == "" {
				return fmt.Errorf("%s: the one before covers all of %s", field, a.Tenant)
			}
		}
		if err := a.check(m); err != nil {
			return fmt.Errorf("%s.%w", field, err)
		}
	}
	return nil
}

func (a NamedApproval) check(m Manifest) error {
	switch {
	case !tenantForm.MatchString(a.Tenant) || a.Tenant == m.Tenant:
		return fmt.Errorf("tenant: %.100q is not another tenant", a.Tenant)
	case a.Project != "" && !validHolding(a.Project):
		return fmt.Errorf("project: %.100q is not a project", a.Project)
	case a.Digest.IsZero():
		return fmt.Errorf("digest: was never set")
	}
	if err := checkText("approver", a.Approver); err != nil {
		return err
	}
	if err := checkStamp("expiresAt", a.ExpiresAt); err != nil {
		return err
	}
	if a.ExpiresAt <= m.GeneratedAt { // one form of fixed length: in the order of time
		return fmt.Errorf("expiresAt: %s was over when the run was requested, at %s", a.ExpiresAt, m.GeneratedAt)
	}
	if _, err := ParseDigest(a.KeyID); err != nil {
		return fmt.Errorf("keyId: %w", err)
	}
	return nil
}

// Says reports whether the statement s, of an envelope that key signed, is the
// approval that m names as a.
func (a NamedApproval) Says(s Approval, keyID string, m Manifest) error {
	switch {
	case keyID != a.KeyID:
		return fmt.Errorf("it is by the key %.100q, the manifest says %s", keyID, a.KeyID)
	case s.Tenant != a.Tenant || s.Project != a.Project:
		return fmt.Errorf("it is for tenant %s, project %q; the manifest says %s, %q", s.Tenant, s.Project, a.Tenant, a.Project)
	case s.Reader != m.Tenant:
		return fmt.Errorf("it lets %s read, and the bundle is %s's", s.Reader, m.Tenant)
	case s.Profile != m.Profile.Name && s.Profile != m.Profile.ID:
		return fmt.Errorf("it is for profile %q, and the bundle is of %q", s.Profile, m.Profile.Name)
	case s.Approver != a.Approver || s.ExpiresAt != a.ExpiresAt:
		return fmt.Errorf("it is by %q until %s, the manifest says %q until %s", s.Approver, s.ExpiresAt, a.Approver, a.ExpiresAt)
	}
	return nil
}

func sameTenancy(a, b *Tenancy) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Tenant == b.Tenant && a.Project == b.Project && slices.Equal(a.CrossTenantApprovals, b.CrossTenantApprovals)
}
