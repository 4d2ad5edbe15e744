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
// One that is to be offboarded is refused likewise, and for good: what it has here is
// being removed, and then was.
const (
	TenantActive      TenantState = "active"
	TenantSuspended   TenantState = "suspended"
	TenantOffboarding TenantState = "offboarding"
	TenantOffboarded  TenantState = "offboarded"
)

// Leaves reports whether the tenant is offboarded, or is to be.
func (s TenantState) Leaves() bool { return s == TenantOffboarding || s == TenantOffboarded }

// OffboardAfter is how long a tenant must have been suspended before it may be
// offboarded, unless the installation says otherwise: until then all can be undone.
const OffboardAfter = 7 * 24 * time.Hour

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
	// Change is the last one; nil before the first. That of an offboarded tenant says who
	// asked for it.
	Change *TenantChange
	// OffboardedAt is when nothing of it was left; zero before.
	OffboardedAt time.Time
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

// MayLeave fails while the tenant may not be offboarded yet.
func (t Tenant) MayLeave(now time.Time, after time.Duration) error {
	if t.State != TenantSuspended || t.Change == nil {
		return Errorf(CodeStateConflict, "tenant %s is %s: suspend it first; it can be offboarded %s later, and resumed until then", t.Name, t.State, after)
	}
	if from := t.Change.At.Add(after); now.Before(from) {
		return Errorf(CodeStateConflict, "tenant %s was suspended at %s: it can be offboarded from %s on, and resumed until then",
			t.Name, t.Change.At.UTC().Format(time.RFC3339), from.UTC().Format(time.RFC3339))
	}
	return nil
}

// RunsAtWork is why a tenant with these runs cannot be offboarded now.
func RunsAtWork(ids []string) error {
	const named = 3
	more := ""
	if len(ids) > named {
		more = " and others"
	}
	return Errorf(CodeStateConflict, "%d runs of the tenant are at work (%s%s): wait for their end, or cancel them in Temporal, then ask again",
		len(ids), strings.Join(ids[:min(named, len(ids))], ", "), more)
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
