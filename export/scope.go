package export

import (
	"slices"
	"strings"
)

// The scopes of Export Center, all of them (CONTRACT section 24d and ruling 15). Which
// operation wants which is said in the OpenAPI document.
const (
	ScopeRead          = "export:read"
	ScopeDownload      = "export:download"
	ScopeRun           = "export:run"
	ScopeProfileManage = "export:profile:manage"
	ScopeApprove       = "export:approve"
	ScopeSchedule      = "export:schedule"

	ScopeLedgerImport = "ledger:import"
	ScopeLedgerRead   = "ledger:read"

	ScopeOrchestratorWrite = "orchestrator:exports:write"
	ScopeTimelineRead      = "timeline:read"
	ScopeAuditRead         = "audit:read"

	ScopeEvidenceCreate = "evidence:create"
	ScopeEvidenceRead   = "evidence:read"
	ScopeEvidenceHold   = "evidence:hold"

	ScopeIncidentManage = "incident:manage"
	// ScopeTenantManage counts in tokens of the installation only; see Installation.
	ScopeTenantManage = "tenant:manage"
	// ScopeTenantOffboard asks for a tenant to be removed; as ScopeTenantManage.
	ScopeTenantOffboard = "tenant:offboard"
)

// Scopes lists all scopes, sorted.
var Scopes = []string{
	ScopeAuditRead, ScopeEvidenceCreate, ScopeEvidenceHold, ScopeEvidenceRead, ScopeApprove, ScopeDownload, ScopeProfileManage,
	ScopeRead, ScopeRun, ScopeSchedule, ScopeIncidentManage, ScopeLedgerImport, ScopeLedgerRead, ScopeOrchestratorWrite,
	ScopeTenantManage, ScopeTenantOffboard, ScopeTimelineRead,
}

// Role is a name for several scopes that an issuer can give instead of them.
type Role string

// The roles (CONTRACT section 24d). Each has what the one before has. Nobody gets the
// right to approve by a role, a cross-tenant export or a result that shrank: it is a
// second person's.
const (
	RoleViewer   Role = "Export.Viewer"
	RoleOperator Role = "Export.Operator"
	RoleAdmin    Role = "Export.Admin"
)

// Roles lists all roles, the weakest first.
var Roles = []Role{RoleViewer, RoleOperator, RoleAdmin}

// Scopes gives the scopes of a role, none for a name that is no role of ours.
func (r Role) Scopes() []string {
	viewer := []string{ScopeRead, ScopeDownload}
	operator := append(viewer, ScopeRun, ScopeSchedule)
	switch r {
	case RoleViewer:
		return viewer
	case RoleOperator:
		return operator
	case RoleAdmin:
		return append(operator, ScopeProfileManage, ScopeAuditRead)
	}
	return nil
}

// Installation stands where a tenant's name would, in the token of an
// administrator of the whole installation. It is no tenant's name (ValidTenant), so
// no row, object or run can have it; and its token holds ScopeTenantManage and
// ScopeTenantOffboard alone, so it opens no tenant's data.
const Installation = "_"

// OfInstallation reports whether a scope counts in tokens of the installation, and
// in no other.
func OfInstallation(scope string) bool {
	return scope == ScopeTenantManage || scope == ScopeTenantOffboard
}

// EffectiveScopes gives what a token of tenant may do: its own scopes and those of
// its roles, sorted, each once. Managing tenants is for the installation, and
// everything else for tenants.
func EffectiveScopes(tenant string, scopes []string, roles []Role) []string {
	held := slices.Clone(scopes)
	for _, role := range roles {
		held = append(held, role.Scopes()...)
	}
	held = slices.DeleteFunc(held, func(scope string) bool {
		return OfInstallation(scope) != (tenant == Installation)
	})
	slices.SortFunc(held, strings.Compare)
	return slices.Compact(held)
}
