package frontend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/orchestrator"
	"github.com/stella-ops/exportcenter/storage"
)

// RecordExport stores what an orchestrator reports of an export.
func (h handlers) RecordExport(ctx context.Context, req RecordExportRequestObject) (RecordExportResponseObject, error) {
	who := callOf(ctx).principal
	if req.Params.XStellaTenant == nil && req.Params.XStellaOpsTenant == nil {
		return nil, export.Errorf(export.CodeTenantRequired, "send the header X-Stella-Tenant")
	}
	record := recordOfRequest(*req.Body)
	err := record.Check(who.Tenant)
	if err == nil {
		err = record.Verify(who.Tenant, h.cfg.Orchestrators)
	}
	if err != nil {
		return nil, recordError(err)
	}
	stored, verdict, err := h.cfg.Records.Record(ctx, who.Tenant, who.Project, record.Normal(who.Tenant), who.Subject, h.clock().UTC())
	if err != nil {
		return nil, fmt.Errorf("record an export: %w", err)
	}
	switch verdict {
	case orchestrator.Created:
		return RecordExport201JSONResponse(recordDocument(stored)), nil
	case orchestrator.Advanced:
		return RecordExport200JSONResponse(recordDocument(stored)), nil
	}
	return recordConflict{h.problemOf(ctx, errRecordStored(verdict)), verdict, recordDocument(stored)}, nil
}

func errRecordStored(verdict orchestrator.Verdict) error {
	if verdict == orchestrator.Duplicate {
		return export.Errorf(export.CodeStateConflict, "this record is stored already; nothing is left to do")
	}
	return export.Errorf(export.CodeStateConflict, "another record is stored under this key; an export goes on from pending to running to one end, and what was said of it stays")
}

// recordError is what is wrong with a record, as an answer.
func recordError(err error) error {
	var field *orchestrator.FieldError
	if !errors.As(err, &field) {
		return err
	}
	code := export.CodeValidation
	if field.Field == "tenantId" {
		code = export.CodeCrossTenant
	}
	return fieldError(code, field.Field, "%s", field.Message)
}

// recordConflict is a problem that carries the record that is stored.
type recordConflict struct {
	problem Problem
	kind    orchestrator.Verdict
	record  ExportRecord
}

// VisitRecordExportResponse writes the answer.
func (c recordConflict) VisitRecordExportResponse(w http.ResponseWriter) error {
	p := c.problem
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusConflict)
	return json.NewEncoder(w).Encode(RecordConflict{Type: p.Type, Title: p.Title, Status: p.Status, Code: p.Code, Message: p.Message,
		Details: p.Details, TraceID: p.TraceID, Timestamp: p.Timestamp, Kind: RecordConflictKind(c.kind), Record: c.record})
}

// ListExportRecords gives a page of records.
func (h handlers) ListExportRecords(ctx context.Context, req ListExportRecordsRequestObject) (ListExportRecordsResponseObject, error) {
	p := req.Params
	filter := storage.OrchestratorFilter{RunID: p.RunID, ArtifactHash: strings.ToLower(p.ArtifactHash),
		Status: orchestrator.Status(p.Status), Limit: defaultPage, Cursor: p.Cursor}
	if p.Limit != nil {
		if filter.Limit = *p.Limit; filter.Limit < 1 || filter.Limit > maxPage {
			return nil, fieldError(export.CodeValidation, "limit", "must be 1 to %d", maxPage)
		}
	}
	for _, given := range [][2]string{{"runId", p.RunID}, {"artifactHash", p.ArtifactHash}, {"status", p.Status}, {"cursor", p.Cursor}} {
		if len(given[1]) > 140 || !plainText(given[1]) {
			return nil, fieldError(export.CodeValidation, given[0], "is too long or no text")
		}
	}
	who := callOf(ctx).principal
	records, next, err := h.cfg.Records.Exports(ctx, who.Tenant, who.Project, filter)
	if err != nil {
		return nil, fmt.Errorf("list records of exports: %w", err)
	}
	page := ExportRecordPage{Records: []ExportRecord{}, NextCursor: next}
	for _, r := range records {
		page.Records = append(page.Records, recordDocument(r))
	}
	return ListExportRecords200JSONResponse(page), nil
}

func recordOfRequest(d ExportRecord) orchestrator.Record {
	r := orchestrator.Record{RunID: d.RunID, JobType: d.JobType, ArtifactHash: d.ArtifactHash, PolicyHash: d.PolicyHash,
		StartedAt: d.StartedAt, CompletedAt: d.CompletedAt, Status: orchestrator.Status(d.Status), ManifestPath: d.ManifestPath,
		LogsPath: d.LogsPath, TenantID: d.TenantID, Environment: d.Environment, IdempotencyKey: d.IdempotencyKey,
		BundleID: d.BundleID, ScanID: d.ScanID}
	for _, s := range d.Signatures {
		r.Signatures = append(r.Signatures, orchestrator.Signature{Type: s.Type, KeyID: s.KeyID, Signature: s.Signature})
	}
	return r
}

func recordDocument(r orchestrator.Record) ExportRecord {
	d := ExportRecord{RunID: r.RunID, JobType: r.JobType, ArtifactHash: r.ArtifactHash, PolicyHash: r.PolicyHash,
		StartedAt: r.StartedAt, CompletedAt: r.CompletedAt, Status: string(r.Status), ManifestPath: r.ManifestPath,
		LogsPath: r.LogsPath, TenantID: r.TenantID, Environment: r.Environment, IdempotencyKey: r.IdempotencyKey,
		BundleID: r.BundleID, ScanID: r.ScanID}
	for _, s := range r.Signatures {
		d.Signatures = append(d.Signatures, RecordSignature{Type: s.Type, KeyID: s.KeyID, Signature: s.Signature})
	}
	return d
}
