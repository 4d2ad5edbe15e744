package frontend

import (
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/export"
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

// checkTenants wants the own tenant among those that are read, and no other.
// Whether another one exists makes no difference to the answer.
func checkTenants(who Principal, tenants []string) error {
	const field = "selectors.tenants"
	if len(tenants) == 0 {
		return nil
	}
	if !slices.Contains(tenants, who.Tenant) {
		return fieldError(export.CodeSelector, field, "does not contain %s, the tenant of the run", who.Tenant)
	}
	foreign := slices.DeleteFunc(slices.Clone(tenants), func(t string) bool { return t == who.Tenant })
	if len(foreign) > 0 {
		return fieldError(export.CodeCrossTenant, field, "this installation does not read the evidence of other tenants (%s)", strings.Join(foreign, ", "))
	}
	return nil
}
