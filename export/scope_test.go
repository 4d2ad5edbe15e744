package export_test

import (
	"slices"
	"testing"

	"github.com/stella-ops/exportcenter/export"
)

func TestScopesAreSortedAndDistinct(t *testing.T) {
	if !slices.IsSorted(export.Scopes) || len(slices.Compact(slices.Clone(export.Scopes))) != len(export.Scopes) {
		t.Fatal(export.Scopes)
	}
	for _, role := range export.Roles {
		for _, scope := range role.Scopes() {
			if !slices.Contains(export.Scopes, scope) {
				t.Errorf("%s gives %q, which is no scope", role, scope)
			}
		}
	}
}

func TestRolesGrow(t *testing.T) {
	want := map[export.Role][]string{
		export.RoleViewer:   {"export:read", "export:download"},
		export.RoleOperator: {"export:read", "export:download", "export:run", "export:schedule"},
		export.RoleAdmin:    {"export:read", "export:download", "export:run", "export:schedule", "export:profile:manage", "audit:read"},
		"export.admin":      nil,
	}
	for role, scopes := range want {
		if got := role.Scopes(); !slices.Equal(got, scopes) {
			t.Errorf("%s: %v", role, got)
		}
	}
}

// Whoever manages tenants opens none of them, and no tenant manages any.
func TestTheInstallationAndTenantsShareNoScope(t *testing.T) {
	everything := slices.Clone(export.Scopes)
	if got := export.EffectiveScopes(export.Installation, everything, export.Roles); !slices.Equal(got, []string{"tenant:manage", "tenant:offboard"}) {
		t.Errorf("installation: %v", got)
	}
	got := export.EffectiveScopes("acme", everything, export.Roles)
	if slices.Contains(got, "tenant:manage") || slices.Contains(got, "tenant:offboard") || len(got) != len(export.Scopes)-2 {
		t.Errorf("tenant: %v", got)
	}
	if export.ValidTenant(export.Installation) {
		t.Error("a tenant can be named like the installation")
	}
}
