package frontend

import (
	"context"
	"errors"
	"time"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Bounds of a tenant request; openapi.yaml shows the same numbers.
const (
	maxDisplayName = 256
	defaultTenants = 50
	maxTenants     = 200
	maxRunsPerDay  = 1_000_000
	maxTenantBytes = 1<<53 - 1 // what every JSON reader takes
)

// ListTenants gives a page of names and states.
func (h handlers) ListTenants(ctx context.Context, req ListTenantsRequestObject) (ListTenantsResponseObject, error) {
	limit, after := defaultTenants, ""
	if l := req.Params.Limit; l != nil {
		if limit = *l; limit < 1 || limit > maxTenants {
			return nil, fieldError(export.CodeValidation, "limit", "must be 1 to %d", maxTenants)
		}
	}
	if c := req.Params.Cursor; c != nil {
		if after = *c; !export.ValidTenant(after) {
			return nil, fieldError(export.CodeValidation, "cursor", "is not one of ours; pass the nextCursor of the page before unchanged, or none for the first page")
		}
	}
	tenants, err := h.cfg.Tenants.ListTenants(ctx, after, limit+1)
	if err != nil {
		return nil, err
	}
	page := TenantPage{Tenants: []TenantInfo{}}
	if len(tenants) > limit {
		tenants = tenants[:limit]
		page.NextCursor = tenants[limit-1].Name
	}
	for _, t := range tenants {
		page.Tenants = append(page.Tenants, tenantDocument(t))
	}
	return ListTenants200JSONResponse(page), nil
}

// CreateTenant notes a tenant.
func (h handlers) CreateTenant(ctx context.Context, req CreateTenantRequestObject) (CreateTenantResponseObject, error) {
	name, display := req.Body.Tenant, req.Body.DisplayName
	if !export.ValidTenant(name) {
		return nil, fieldError(export.CodeValidation, "tenant", "must be 1 to 63 lower-case letters, digits and inner hyphens")
	}
	if len(display) > maxDisplayName || !plainText(display) {
		return nil, fieldError(export.CodeValidation, "displayName", "must be at most %d bytes of text without control characters", maxDisplayName)
	}
	t := export.Tenant{Name: name, State: export.TenantActive, DisplayName: display, CreatedAt: h.now(), CreatedBy: callOf(ctx).principal.Subject}
	err := h.cfg.Tenants.CreateTenant(ctx, t)
	if errors.Is(err, storage.ErrConflict) {
		return nil, fieldError(export.CodeStateConflict, "tenant", "is there already, or was: a name is given once")
	}
	if err != nil {
		return nil, err
	}
	return CreateTenant201JSONResponse{Body: tenantDocument(t), Headers: CreateTenant201ResponseHeaders{Location: "/api/tenants/" + name}}, nil
}

// GetTenant gives one tenant.
func (h handlers) GetTenant(ctx context.Context, req GetTenantRequestObject) (GetTenantResponseObject, error) {
	if !export.ValidTenant(req.Tenant) {
		return nil, errTenantNotFound()
	}
	t, err := h.cfg.Tenants.GetTenant(ctx, req.Tenant)
	if err != nil {
		return nil, tenantError(err)
	}
	return GetTenant200JSONResponse(tenantDocument(t)), nil
}

// SuspendTenant keeps a tenant out.
func (h handlers) SuspendTenant(ctx context.Context, req SuspendTenantRequestObject) (SuspendTenantResponseObject, error) {
	t, err := h.changeTenant(ctx, req.Tenant, export.TenantSuspended, req.Body)
	return SuspendTenant200JSONResponse(t), err
}

// ResumeTenant lets it in again.
func (h handlers) ResumeTenant(ctx context.Context, req ResumeTenantRequestObject) (ResumeTenantResponseObject, error) {
	t, err := h.changeTenant(ctx, req.Tenant, export.TenantActive, req.Body)
	return ResumeTenant200JSONResponse(t), err
}

// SetTenantQuotas says what a tenant may use.
func (h handlers) SetTenantQuotas(ctx context.Context, req SetTenantQuotasRequestObject) (SetTenantQuotasResponseObject, error) {
	q := export.TenantQuotas{RunsPerDay: req.Body.RunsPerDay, Bytes: req.Body.Bytes}
	if q.RunsPerDay != nil && (*q.RunsPerDay < 0 || *q.RunsPerDay > maxRunsPerDay) {
		return nil, fieldError(export.CodeValidation, "runsPerDay", "must be 0 to %d; 0 is no bound", maxRunsPerDay)
	}
	if q.Bytes != nil && (*q.Bytes < 0 || *q.Bytes > maxTenantBytes) {
		return nil, fieldError(export.CodeValidation, "bytes", "must be 0 to %d; 0 is no bound", int64(maxTenantBytes))
	}
	if !export.ValidTenant(req.Tenant) {
		return nil, errTenantNotFound()
	}
	t, err := h.cfg.Tenants.SetQuotas(ctx, req.Tenant, q)
	if err != nil {
		return nil, tenantError(err)
	}
	return SetTenantQuotas200JSONResponse(tenantDocument(t)), nil
}

func (h handlers) changeTenant(ctx context.Context, name string, state export.TenantState, body *TenantChangeRequest) (TenantInfo, error) {
	change := export.TenantChange{At: h.now(), By: callOf(ctx).principal.Subject}
	if body != nil {
		change.Reason = body.Reason
	}
	if len(change.Reason) > maxReasonText || !plainText(change.Reason) {
		return TenantInfo{}, fieldError(export.CodeValidation, "reason", "must be at most %d bytes of text without control characters", maxReasonText)
	}
	if !export.ValidTenant(name) {
		return TenantInfo{}, errTenantNotFound()
	}
	t, err := h.cfg.Tenants.ChangeTenant(ctx, name, state, change)
	if err != nil {
		return TenantInfo{}, tenantError(err)
	}
	h.closed.forget()
	return tenantDocument(t), nil
}

func (s *Server) now() time.Time { return s.clock().UTC().Truncate(time.Second) }

func tenantError(err error) error {
	if errors.Is(err, storage.ErrNotFound) {
		return errTenantNotFound()
	}
	if errors.Is(err, storage.ErrConflict) {
		return export.Errorf(export.CodeStateConflict, "the tenant is offboarded, or is to be: that is for good")
	}
	return err
}

func errTenantNotFound() *export.Error {
	return export.Errorf(export.CodeTenantNotFound, "this installation has no such tenant")
}

func tenantDocument(t export.Tenant) TenantInfo {
	doc := TenantInfo{Tenant: t.Name, State: TenantInfoState(t.State), DisplayName: t.DisplayName, CreatedBy: t.CreatedBy}
	if !t.CreatedAt.IsZero() {
		doc.CreatedAt = t.CreatedAt.UTC()
	}
	doc.Quotas = TenantQuotas{RunsPerDay: t.Quotas.RunsPerDay, Bytes: t.Quotas.Bytes}
	doc.Usage = TenantUsage{RunsToday: t.Usage.RunsToday, Bytes: t.Usage.Bytes}
	if c := t.Change; c != nil {
		doc.ChangedAt, doc.ChangedBy, doc.Reason = c.At.UTC(), c.By, c.Reason
	}
	if !t.OffboardedAt.IsZero() {
		doc.OffboardedAt = t.OffboardedAt.UTC()
	}
	return doc
}
