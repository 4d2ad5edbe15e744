package frontend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/storage"
)

const (
	// gzipFile is what a policy pack is.
	gzipFile = "application/gzip"
	anyFile  = "application/octet-stream"
	// packPatience is how long a pack may take to come.
	packPatience = 2 * time.Minute
	// packsAtOnce bounds the packs that a process compiles at a time.
	packsAtOnce = 2
	// maxRefusal bounds what is told of a pack that is refused, in bytes.
	maxRefusal = 4 << 10
)

// ImportPolicySnapshot takes a policy pack.
func (h handlers) ImportPolicySnapshot(ctx context.Context, req ImportPolicySnapshotRequestObject) (ImportPolicySnapshotResponseObject, error) {
	current := callOf(ctx)
	if _, err := oneMediaType(current.request.Header, gzipFile, anyFile); err != nil {
		return nil, err
	}
	if err := h.imports.enter(current.principal.Tenant); err != nil {
		return nil, err
	}
	return &packImport{server: h.Server, call: current, ctx: ctx, params: req.Params}, nil
}

// packImport is one import of a policy pack. The pack is read while the answer waits.
type packImport struct {
	server *Server
	call   *call
	ctx    context.Context
	params ImportPolicySnapshotParams
}

// VisitImportPolicySnapshotResponse takes the pack and answers.
func (p *packImport) VisitImportPolicySnapshotResponse(w http.ResponseWriter) error {
	defer p.server.imports.leave(p.call.principal.Tenant)
	body := &patientReader{Reader: http.MaxBytesReader(w, p.call.request.Body, export.MaxPolicyPack),
		control: http.NewResponseController(w), until: clock.System().Add(packPatience)}
	pack, err := io.ReadAll(body)
	if err != nil {
		return badBody(err)
	}
	ctx, cancel := context.WithTimeout(p.ctx, readPatience)
	defer cancel()
	stored, created, err := p.keep(ctx, pack)
	if err != nil {
		return err
	}
	if !created {
		return ImportPolicySnapshot200JSONResponse{Body: snapshotDocument(stored),
			Headers: ImportPolicySnapshot200ResponseHeaders{Location: snapshotPath(stored.ID)}}.VisitImportPolicySnapshotResponse(w)
	}
	return ImportPolicySnapshot201JSONResponse{Body: snapshotDocument(stored),
		Headers: ImportPolicySnapshot201ResponseHeaders{Location: snapshotPath(stored.ID)}}.VisitImportPolicySnapshotResponse(w)
}

// keep checks the pack and records it.
func (p *packImport) keep(ctx context.Context, pack []byte) (export.PolicySnapshot, bool, error) {
	who := p.call.principal
	snapshot := export.PolicySnapshot{Tenant: who.Tenant, Project: who.Project, ID: p.server.ids(), Name: p.params.Name,
		Digest: bundle.DigestOf(pack).String(), Bytes: int64(len(pack)), CreatedBy: who.Subject, CreatedAt: p.server.clock().UTC().Truncate(time.Microsecond)}
	if p.params.Description != nil {
		snapshot.Description = *p.params.Description
	}
	if err := export.CheckSnapshotName(snapshot.Name); err != nil {
		return snapshot, false, err
	}
	if err := checkDescribed(snapshot.Description, nil); err != nil {
		return snapshot, false, err
	}
	idem, err := keyFor(p.params.IdempotencyKey, struct{ Project, Name, Description, Digest string }{
		snapshot.Project, snapshot.Name, snapshot.Description, snapshot.Digest})
	if err != nil {
		return snapshot, false, err
	}
	if snapshot.Version, err = p.server.checkPack(ctx, who.Tenant, pack); err != nil {
		return snapshot, false, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestPatience) // compiling may have taken long, a row must not
	defer cancel()
	stored, created, err := p.server.cfg.Policies.ImportSnapshot(ctx, snapshot, pack, idem)
	if export.CodeOf(err) == export.CodeInternal && errors.Is(err, storage.ErrConflict) {
		err = errKeyReused()
	}
	if err == nil && !ownSnapshot(who, stored) {
		err = export.Errorf(export.CodeStateConflict, "name: another project of this tenant has a policy snapshot %s of this version; choose another name", snapshot.Name)
	}
	if err != nil {
		return snapshot, false, fmt.Errorf("record policy snapshot: %w", err)
	}
	return stored, created, nil
}

// checkPack compiles a pack, a few at a time, and gives its version. Why it is refused
// is told on one line.
func (s *Server) checkPack(ctx context.Context, tenant string, pack []byte) (string, error) {
	done, err := s.packs.take(ctx, tenant)
	if err != nil {
		return "", err
	}
	defer done()
	version, err := s.cfg.CheckPack(pack)
	var refused *export.Error
	if errors.As(err, &refused) {
		told := *refused
		told.Message = oneLine(refused.Message, maxRefusal)
		return "", &told
	}
	if err != nil {
		return "", fmt.Errorf("check policy pack: %w", err)
	}
	return version, nil
}

// oneLine gives text without control characters, at most so many bytes of it.
func oneLine(text string, limit int) string {
	text = strings.Join(strings.FieldsFunc(text, unicode.IsControl), " ")
	if len(text) > limit {
		text = text[:limit] + " ..."
	}
	return strings.ToValidUTF8(text, "\uFFFD")
}
