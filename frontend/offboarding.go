package frontend

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/offboarding"
	"github.com/stella-ops/exportcenter/storage"
)

// OffboardTenant asks for a tenant to be removed. `exportcenter offboard` removes it:
// nothing that answers requests could.
func (h handlers) OffboardTenant(ctx context.Context, req OffboardTenantRequestObject) (OffboardTenantResponseObject, error) {
	change := export.TenantChange{At: h.now(), By: callOf(ctx).principal.Subject, Reason: req.Body.Reason}
	if change.Reason == "" || len(change.Reason) > maxReasonText || !plainText(change.Reason) {
		return nil, fieldError(export.CodeValidation, "reason", "must be 1 to %d bytes of text without control characters", maxReasonText)
	}
	if req.Body.Tenant != req.Tenant {
		return nil, fieldError(export.CodeValidation, "tenant", "must be the name that the address has, once more: what is removed cannot be had back")
	}
	if !export.ValidTenant(req.Tenant) {
		return nil, errTenantNotFound()
	}
	t, err := h.cfg.Tenants.OffboardTenant(ctx, req.Tenant, change, h.cfg.OffboardAfter)
	if err != nil {
		return nil, tenantError(err)
	}
	h.closed.forget()
	return OffboardTenant202JSONResponse(tenantDocument(t)), nil
}

// GetOffboarding streams the record of what was removed.
func (h handlers) GetOffboarding(ctx context.Context, req GetOffboardingRequestObject) (GetOffboardingResponseObject, error) {
	if !export.ValidTenant(req.Tenant) {
		return nil, errTenantNotFound()
	}
	reading, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	t, err := h.cfg.Tenants.GetTenant(reading, req.Tenant)
	if err != nil {
		return nil, tenantError(err)
	}
	envelope, err := h.cfg.Offboardings.OffboardingRecord(reading, req.Tenant)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, export.Errorf(export.CodeNotReady, "the tenant is %s; there is a record when `exportcenter offboard` has removed it", t.State)
	}
	if err != nil {
		return nil, err
	}
	return offboardingStream{ctx: ctx, records: h.cfg.Offboardings, tenant: req.Tenant, envelope: envelope}, nil
}

// offboardingStream writes an export of the record: see offboarding.Verify for its form.
type offboardingStream struct {
	ctx      context.Context
	records  storage.OffboardingRecords
	tenant   string
	envelope []byte
}

// offboardedAtOnce bounds a page of runs.
const offboardedAtOnce = 500

// VisitGetOffboardingResponse writes the answer.
func (o offboardingStream) VisitGetOffboardingResponse(w http.ResponseWriter) error {
	lines, last, err := o.page("") // before the answer begins: an error is an answer then
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", "offboarding-"+o.tenant+".jsonl"))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	out := bufio.NewWriterSize(newPatientWriter(w), 64<<10)
	for len(lines) > 0 {
		for _, line := range lines {
			out.Write(line)     //nolint:errcheck // kept by out until it is flushed
			out.WriteByte('\n') //nolint:errcheck // as above
		}
		if lines, last, err = o.page(last); err != nil {
			return err
		}
	}
	out.Write(offboarding.RecordLine(o.envelope)) //nolint:errcheck // as above
	out.WriteByte('\n')                           //nolint:errcheck // as above
	if err := out.Flush(); err != nil {
		return fmt.Errorf("send the offboarding record: %w", err)
	}
	return nil
}

func (o offboardingStream) page(after string) ([][]byte, string, error) {
	ctx, cancel := context.WithTimeout(o.ctx, readPatience)
	defer cancel()
	return o.records.OffboardedRuns(ctx, o.tenant, after, offboardedAtOnce)
}
