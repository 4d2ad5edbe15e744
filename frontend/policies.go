package frontend

import (
	"context"
	"errors"
	"fmt"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// maxSnapshotCursor bounds a cursor of policy snapshots, which has a name and a version.
const maxSnapshotCursor = 1024

// ListPolicySnapshots gives a page of the caller's policy snapshots.
func (h handlers) ListPolicySnapshots(ctx context.Context, req ListPolicySnapshotsRequestObject) (ListPolicySnapshotsResponseObject, error) {
	who := callOf(ctx).principal
	filter, err := snapshotFilter(who, req.Params)
	if err != nil {
		return nil, err
	}
	found, next, err := h.cfg.Policies.ListSnapshots(ctx, who.Tenant, filter)
	if err != nil {
		return nil, fmt.Errorf("list policy snapshots: %w", err)
	}
	page := PolicySnapshotPage{PolicySnapshots: []PolicySnapshot{}, NextCursor: next}
	for _, s := range found {
		if ownSnapshot(who, s) {
			page.PolicySnapshots = append(page.PolicySnapshots, snapshotDocument(s))
		}
	}
	return ListPolicySnapshots200JSONResponse(page), nil
}

func snapshotFilter(who Principal, p ListPolicySnapshotsParams) (storage.SnapshotFilter, error) {
	filter := storage.SnapshotFilter{Project: who.Project, Archived: storage.ArchivedExclude}
	if p.Name != nil {
		if filter.Name = *p.Name; filter.Name == "" || len(filter.Name) > maxKindText || !plainText(filter.Name) {
			return filter, fieldError(export.CodeValidation, "name", "must be 1 to %d bytes of text without control characters", maxKindText)
		}
	}
	if p.Archived != nil {
		if filter.Archived = storage.Archived(*p.Archived); !p.Archived.Valid() {
			return filter, fieldError(export.CodeValidation, "archived", "is not one of exclude, include, only")
		}
	}
	if p.Cursor != nil && (len(*p.Cursor) > maxSnapshotCursor || !plainText(*p.Cursor)) {
		return filter, fieldError(export.CodeValidation, "cursor", "is not the cursor of a page")
	}
	var err error
	filter.Limit, _, err = pageOf(p.Limit, nil)
	if p.Cursor != nil {
		filter.Cursor = *p.Cursor
	}
	return filter, err
}

// GetPolicySnapshot gives a policy snapshot without its pack.
func (h handlers) GetPolicySnapshot(ctx context.Context, req GetPolicySnapshotRequestObject) (GetPolicySnapshotResponseObject, error) {
	s, err := h.findSnapshot(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	return GetPolicySnapshot200JSONResponse(snapshotDocument(s)), nil
}

// GetPolicyPack gives a pack exactly as it was imported.
func (h handlers) GetPolicyPack(ctx context.Context, req GetPolicyPackRequestObject) (GetPolicyPackResponseObject, error) {
	found, err := h.findSnapshot(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	s, pack, err := h.cfg.Policies.ReadPack(ctx, found.Tenant, found.ID)
	if err != nil {
		return nil, fmt.Errorf("read the pack of policy snapshot %s: %w", found.ID, err)
	}
	digest := bundle.DigestOf(pack)
	if digest.String() != s.Digest {
		return nil, fmt.Errorf("pack of policy snapshot %s: %w", s.ID, storage.ErrCorrupt)
	}
	// The next release may have another built-in one.
	return &bytesResponse{call: callOf(ctx), content: pack, digest: digest, mediaType: gzipFile, mutable: s.BuiltIn()}, nil
}

// ArchivePolicySnapshot keeps a policy snapshot from making new runs.
func (h handlers) ArchivePolicySnapshot(ctx context.Context, req ArchivePolicySnapshotRequestObject) (ArchivePolicySnapshotResponseObject, error) {
	found, err := h.findSnapshot(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	archived, err := h.cfg.Policies.ArchiveSnapshot(ctx, found.Tenant, found.ID, callOf(ctx).principal.Subject, h.clock().UTC())
	if err != nil {
		return nil, fmt.Errorf("archive policy snapshot %s: %w", found.ID, err)
	}
	return ArchivePolicySnapshot200JSONResponse(snapshotDocument(archived)), nil
}

// findSnapshot gives the caller's policy snapshot. What is not the caller's does not
// exist, in the same words.
func (s *Server) findSnapshot(ctx context.Context, id string) (export.PolicySnapshot, error) {
	who := callOf(ctx).principal
	absent := export.Errorf(export.CodeNoSnapshot, "this tenant has no such policy snapshot; GET /api/export/policy-snapshots lists those it has")
	absent.Field = "id"
	if id != export.BaselineSnapshot && !export.ValidRunID(id) {
		return export.PolicySnapshot{}, absent
	}
	found, err := s.cfg.Policies.GetSnapshot(ctx, who.Tenant, id)
	if errors.Is(err, storage.ErrNotFound) || err == nil && !ownSnapshot(who, found) {
		return export.PolicySnapshot{}, absent
	}
	if err != nil {
		return export.PolicySnapshot{}, fmt.Errorf("read policy snapshot: %w", err)
	}
	return found, nil
}

// ownSnapshot reports whether s is the caller's: of the tenant, and of the project when
// the token has one. The built-in one is everybody's.
func ownSnapshot(who Principal, s export.PolicySnapshot) bool {
	return s.Tenant == who.Tenant && (s.BuiltIn() || who.Project == "" || s.Project == who.Project)
}

// snapshotDocument is a policy snapshot as clients see it.
func snapshotDocument(s export.PolicySnapshot) PolicySnapshot {
	path := snapshotPath(s.ID)
	return PolicySnapshot{
		ID: s.ID, Project: projectClaim(s.Project), Name: s.Name, Version: s.Version, Digest: s.Digest, Bytes: s.Bytes,
		BuiltIn: s.BuiltIn(), Archived: s.Archived(), ArchivedBy: s.ArchivedBy, ArchivedAt: s.ArchivedAt.UTC(),
		Description: s.Description, CreatedBy: s.CreatedBy, CreatedAt: s.CreatedAt.UTC(),
		Links: PolicySnapshotLinks{Self: path, Pack: path + "/pack"},
	}
}

func snapshotPath(id string) string { return "/api/export/policy-snapshots/" + id }
