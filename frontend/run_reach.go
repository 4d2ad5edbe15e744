package frontend

import (
	"errors"
	"slices"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/profiles"
	"github.com/stella-ops/exportcenter/signing"
)

// projectOf is the project whose evidence a run reads, and which the run belongs
// to: the token's, or of a token without one the project that is asked for.
func projectOf(who Principal, projects []string) (string, error) {
	const field = "selectors.projects"
	switch {
	case len(projects) == 0:
		return who.Project, nil
	case who.Project != "" && !slices.Equal(projects, []string{who.Project}):
		return "", fieldError(export.CodeSelector, field, "the token is of project %s and reads that one only", who.Project)
	case len(projects) > 1:
		return "", fieldError(export.CodeSelector, field, "has %d projects; this version reads one per run: make a run for each", len(projects))
	}
	return projectClaim(projects[0]), nil
}

// CrossTenant says whether runs may read the evidence of other tenants, and whose
// approval counts.
type CrossTenant struct {
	Enabled bool
	// Approvers come from the installation's configuration, never from a profile.
	Approvers []signing.Verifier
}

// checkTenants wants the own tenant among those that are read, and an approval
// for every other one. Whether that tenant exists makes no difference to the
// answer.
func (s *Server) checkTenants(who Principal, profile export.Profile, tenants []string) error {
	const field = "selectors.tenants"
	if len(tenants) > 0 && !slices.Contains(tenants, who.Tenant) {
		return fieldError(export.CodeSelector, field, "does not contain %s, the tenant of the run", who.Tenant)
	}
	for _, tenant := range tenants {
		if tenant == who.Tenant {
			continue
		}
		if !s.cfg.CrossTenant.Enabled {
			return fieldError(export.CodeCrossTenant, field, "reading the evidence of other tenants (%s) is switched off in this installation", tenant)
		}
		if err := s.approved(who, profile, tenant); err != nil {
			return fieldError(export.CodeCrossTenant, field, "no approval of profile %s covers tenant %s: %v", profile.Name, tenant, err)
		}
		// Fails closed: a ledger listing is of one tenant (docs/selectors.md).
		return fieldError(export.CodeCrossTenant, field, "tenant %s is approved, but this version does not read the evidence of other tenants yet", tenant)
	}
	return nil
}

// approved looks for an approval of the profile's that covers tenant now.
func (s *Server) approved(who Principal, profile export.Profile, tenant string) error {
	err := errors.New("the profile has none for it")
	for _, a := range profile.Config.Approvals {
		if a.Tenant != tenant {
			continue
		}
		if err = profiles.CheckApproval(a, who.Tenant, profile.Name, s.clock(), s.cfg.CrossTenant.Approvers); err == nil {
			return nil
		}
	}
	return err
}
