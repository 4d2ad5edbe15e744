package frontend

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// maxAuditLimit is the most entries a page of the record has.
const maxAuditLimit = 500

// ListAuditEntries gives a page of the tenant's audit record.
func (h handlers) ListAuditEntries(ctx context.Context, req ListAuditEntriesRequestObject) (ListAuditEntriesResponseObject, error) {
	filter, err := auditFilter(req.Params)
	if err != nil {
		return nil, err
	}
	who := callOf(ctx).principal
	filter.Project = who.Project
	rows, scanned, err := h.cfg.Audit.Entries(ctx, who.Tenant, filter)
	if err != nil {
		return nil, err
	}
	page := AuditPage{Entries: []AuditEntry{}, Next: scanned}
	for _, row := range rows {
		entry, err := auditDocument(row)
		if err != nil {
			return nil, err
		}
		page.Entries = append(page.Entries, entry)
	}
	if len(rows) == filter.Limit {
		page.Next = rows[len(rows)-1].Seq
	}
	return ListAuditEntries200JSONResponse(page), nil
}

// auditDocument is an entry as clients read it.
func auditDocument(row storage.AuditRow) (AuditEntry, error) {
	e, err := audit.Decode(row.Line)
	if err != nil {
		return AuditEntry{}, fmt.Errorf("audit entry %d: %w", row.Seq, err)
	}
	doc := AuditEntry{
		Seq: e.Seq, Previous: e.Previous.String(), Hash: row.Hash.String(), At: e.At, Event: AuditEntryEvent(e.Event),
		RequestID: e.RequestID, TraceID: e.TraceID, Subject: e.Subject, Of: e.Of, Project: e.Project,
		Operation: e.Operation, Method: e.Method, Path: e.Path, Reason: e.Reason, Ticket: e.Ticket,
		Status: e.Status, Code: e.Code, Count: e.Count,
	}
	if r := e.Reading; r != nil {
		doc.Reading = &AuditReading{Reader: r.Reader, Tenant: r.Tenant, Project: r.Project, Profile: r.Profile, RunID: r.RunID,
			Approver: r.Approver, ExpiresAt: r.ExpiresAt, Approval: r.Approval.String(), DryRun: r.DryRun}
	}
	return doc, nil
}

func auditFilter(p ListAuditEntriesParams) (storage.AuditFilter, error) {
	filter := storage.AuditFilter{Limit: defaultPage}
	if p.Limit != nil {
		if filter.Limit = *p.Limit; filter.Limit < 1 || filter.Limit > maxAuditLimit {
			return filter, fieldError(export.CodeValidation, "limit", "must be 1 to %d", maxAuditLimit)
		}
	}
	if p.After != nil {
		if filter.After = *p.After; filter.After < 0 {
			return filter, fieldError(export.CodeValidation, "after", "must be the number of an entry, or 0")
		}
	}
	for _, text := range []struct {
		name  string
		value *string
		out   *string
	}{{"subject", p.Subject, &filter.Subject}, {"operation", p.Operation, &filter.Operation}} {
		if text.value == nil {
			continue
		}
		if *text.value == "" || len(*text.value) > maxSelectorText || !plainText(*text.value) {
			return filter, fieldError(export.CodeValidation, text.name, "must be 1 to %d bytes of text without control characters", maxSelectorText)
		}
		*text.out = *text.value
	}
	if p.Event != nil {
		if filter.Event = audit.Event(*p.Event); !filter.Event.Valid() {
			return filter, fieldError(export.CodeValidation, "event", "must be %s, %s, %s or %s", audit.CallBegun, audit.CallEnded, audit.CallRefused, audit.TenantRead)
		}
	}
	for _, bound := range []struct {
		name  string
		value *string
		out   *time.Time
	}{{"from", p.From, &filter.From}, {"to", p.To, &filter.To}} {
		at, err := windowTime(bound.name, bound.value)
		if err != nil {
			return filter, fieldError(export.CodeValidation, bound.name, "must be an RFC 3339 time such as 2026-11-21T08:00:00Z")
		}
		if at != nil {
			*bound.out = *at
		}
	}
	return filter, nil
}

// ExportAudit streams the record up to its last checkpoint, and that.
func (h handlers) ExportAudit(ctx context.Context, req ExportAuditRequestObject) (ExportAuditResponseObject, error) {
	from := int64(1)
	if req.Params.From != nil {
		if from = *req.Params.From; from < 1 {
			return nil, fieldError(export.CodeValidation, "from", "must be the number of an entry, from 1")
		}
	}
	who := callOf(ctx).principal
	if who.Project != "" {
		return nil, export.Errorf(export.CodeScope, "the record is the whole tenant's: a token of one project can list its own entries, not export it")
	}
	checkpoint, err := h.checkpoint(ctx, who.Tenant)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, export.Errorf(export.CodeNotReady, "no entry of this tenant is signed yet; that happens within seconds of the first one")
	}
	if err != nil {
		return nil, err
	}
	if checkpoint.Seq < from {
		return nil, export.Errorf(export.CodeNotReady, "the last entry that is signed is %d; later ones are within seconds", checkpoint.Seq)
	}
	return auditStream{ctx: ctx, record: h.cfg.Audit, tenant: who.Tenant, after: from - 1, checkpoint: checkpoint}, nil
}

func (s *Server) checkpoint(ctx context.Context, tenant string) (storage.SignedCheckpoint, error) {
	ctx, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	return s.cfg.Audit.Checkpoint(ctx, tenant)
}

// auditStream writes an export of the record: see audit.Verify for its form.
type auditStream struct {
	ctx        context.Context
	record     storage.Audit
	tenant     string
	after      int64
	checkpoint storage.SignedCheckpoint
}

// VisitExportAuditResponse writes the answer.
func (a auditStream) VisitExportAuditResponse(w http.ResponseWriter) error {
	// Read before the answer begins: an error is an answer then.
	rows, err := a.page(a.after)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", fmt.Sprintf("audit-%s-%d-%d.jsonl", a.tenant, a.after+1, a.checkpoint.Seq)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	out := bufio.NewWriterSize(newPatientWriter(w), 64<<10)
	for {
		for _, row := range rows {
			out.Write(row.Line) //nolint:errcheck // kept by out until it is flushed
			out.WriteByte('\n') //nolint:errcheck // as above
		}
		last := rows[len(rows)-1].Seq
		if last == a.checkpoint.Seq {
			break
		}
		if rows, err = a.page(last); err != nil {
			return err
		}
	}
	out.Write(audit.CheckpointLine(a.checkpoint.Envelope)) //nolint:errcheck // as above
	out.WriteByte('\n')                                    //nolint:errcheck // as above
	if err := out.Flush(); err != nil {
		return fmt.Errorf("send the audit record: %w", err)
	}
	return nil
}

// page reads what follows an entry, up to the checkpoint. A gap is sent as it
// is: the reader is to see it.
func (a auditStream) page(after int64) ([]storage.AuditRow, error) {
	ctx, cancel := context.WithTimeout(a.ctx, readPatience)
	defer cancel()
	limit := min(int64(maxAuditLimit), a.checkpoint.Seq-after)
	rows, _, err := a.record.Entries(ctx, a.tenant, storage.AuditFilter{After: after, Limit: int(limit)})
	behind := slices.IndexFunc(rows, func(r storage.AuditRow) bool { return r.Seq > a.checkpoint.Seq })
	if behind >= 0 {
		rows = rows[:behind]
	}
	if err == nil && len(rows) == 0 {
		err = fmt.Errorf("entries %d to %d of the audit record of %s are gone", after+1, a.checkpoint.Seq, a.tenant)
	}
	return rows, err
}
