package export

import (
	"regexp"
	"strings"
	"time"
)

var tenantPattern = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$`)

// ValidTenant reports whether name can be a tenant or project id: 1 to 63
// lower-case letters, digits and inner hyphens, a DNS label. Everything
// derived from it (database rows, object keys, workflow ids) relies on that.
func ValidTenant(name string) bool { return tenantPattern.MatchString(name) }

// TenantState says whether a tenant may use the installation.
type TenantState string

// The states of a tenant. A suspended one is refused at the door and none of its
// waiting runs starts; what is at work goes on to its end, and nothing is deleted.
const (
	TenantActive    TenantState = "active"
	TenantSuspended TenantState = "suspended"
)

// Tenant is a tenant as the administrator of the installation sees it: nothing of
// what it has here.
type Tenant struct {
	Name        string
	State       TenantState
	DisplayName string
	// CreatedAt and CreatedBy are empty for a tenant that was noted by its first run or
	// document.
	CreatedAt time.Time
	CreatedBy string
	// Change is the last one; nil before the first.
	Change *TenantChange
	// Quotas are what the administrator says of this tenant, Usage what it uses.
	Quotas TenantQuotas
	Usage  TenantUsage
}

// TenantQuotas bound what a tenant uses, where they say something: nil leaves it to
// what the installation says of all, 0 is no bound.
type TenantQuotas struct {
	RunsPerDay *int   // that it asks for on a day, UTC
	Bytes      *int64 // of the bundles it keeps
}

// RunsOf is the bound on runs per day, where the installation has the given one.
func (q TenantQuotas) RunsOf(installation int) int {
	if q.RunsPerDay != nil {
		return *q.RunsPerDay
	}
	return installation
}

// BytesOf is the bound on bytes of bundles, where the installation has the given one.
func (q TenantQuotas) BytesOf(installation int64) int64 {
	if q.Bytes != nil {
		return *q.Bytes
	}
	return installation
}

// TenantUsage is what a tenant uses of its quotas.
type TenantUsage struct {
	RunsToday int64
	Bytes     int64
}

// TenantChange is who changed a tenant's state, when and why.
type TenantChange struct {
	At     time.Time
	By     string
	Reason string
}

var runIDPattern = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// ValidRunID reports whether id has the form of a run id (lower-case UUID).
func ValidRunID(id string) bool { return runIDPattern.MatchString(id) }

// RunWorkflowID is the Temporal workflow id of a run. The tenant is in it, so
// two tenants can never share a workflow.
func RunWorkflowID(ref Ref) string { return "export-run/" + ref.Tenant + "/" + ref.RunID }

// ParseRunWorkflowID gives the run that a Temporal workflow id names, and
// whether it names one.
func ParseRunWorkflowID(id string) (Ref, bool) {
	name, ours := strings.CutPrefix(id, "export-run/")
	tenant, run, _ := strings.Cut(name, "/")
	return Ref{Tenant: tenant, RunID: run}, ours && ValidTenant(tenant) && ValidRunID(run)
}

// Names of the Temporal search attributes of a run. Their values are opaque
// ids, never names or selectors.
const (
	AttributeTenant  = "ExportTenant"
	AttributeProfile = "ExportProfile"
)
