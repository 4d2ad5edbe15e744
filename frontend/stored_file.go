package frontend

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// maxStoredFile bounds a manifest or provenance read into memory.
const maxStoredFile = 256 << 20

// GetManifest gives the manifest exactly as it was signed.
func (h handlers) GetManifest(ctx context.Context, req GetManifestRequestObject) (GetManifestResponseObject, error) {
	return h.storedFile(ctx, req.ID, bundle.ManifestPath)
}

// GetProvenance gives the provenance exactly as it was signed.
func (h handlers) GetProvenance(ctx context.Context, req GetProvenanceRequestObject) (GetProvenanceResponseObject, error) {
	return h.storedFile(ctx, req.ID, bundle.ProvenancePath)
}

func (s *Server) storedFile(ctx context.Context, id, path string) (*bytesResponse, error) {
	run, err := s.finishedRun(ctx, id)
	if err != nil {
		return nil, err
	}
	files, err := s.cfg.Runs.Files(ctx, run.Ref())
	if err != nil {
		return nil, fmt.Errorf("list files of run %s: %w", run.ID, err)
	}
	for _, f := range files {
		if f.Path != path {
			continue
		}
		content, err := s.readStored(ctx, run.Tenant, f)
		if errors.Is(err, storage.ErrCorrupt) {
			s.countCorrupt(ctx, run, err)
		}
		if err != nil {
			return nil, fmt.Errorf("%s of run %s: %w", path, run.ID, err)
		}
		return &bytesResponse{call: callOf(ctx), content: content, digest: f.Digest,
			mediaType: "application/json", modified: run.RequestedAt}, nil
	}
	return nil, fmt.Errorf("run %s has no %s", run.ID, path)
}

// readStored reads a whole blob and refuses to give bytes that are not what
// their digest says.
func (s *Server) readStored(ctx context.Context, tenant string, f storage.File) ([]byte, error) {
	if f.Size > maxStoredFile {
		return nil, fmt.Errorf("%d bytes are too many to read at once", f.Size)
	}
	source, err := storage.OpenExact(ctx, s.cfg.Objects, tenant, f.Digest, f.Size)
	if err != nil {
		return nil, lost(err)
	}
	defer source.Close()
	content := make([]byte, f.Size)
	if n, err := source.ReadAt(content, 0); n < len(content) {
		if err == nil || errors.Is(err, io.EOF) {
			err = storage.ErrCorrupt
		}
		return nil, fmt.Errorf("blob %s: read %d of %d bytes: %w", f.Digest, n, len(content), err)
	}
	if bundle.DigestOf(content) != f.Digest {
		return nil, fmt.Errorf("blob %s: %w", f.Digest, storage.ErrCorrupt)
	}
	return content, nil
}

// GetDocument gives the original bytes of a document of the ledger.
func (h handlers) GetDocument(ctx context.Context, req GetDocumentRequestObject) (GetDocumentResponseObject, error) {
	digest, err := bundle.ParseDigest(req.Digest)
	if err != nil {
		return nil, fieldError(export.CodeValidation, "digest", "must read sha256:<64 lower-case hex digits>")
	}
	content, err := h.cfg.Ledger.Original(ctx, callOf(ctx).principal.Tenant, digest)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, export.Errorf(export.CodeDocNotFound, "this tenant has no such document")
	}
	if err != nil {
		return nil, fmt.Errorf("read document %s: %w", digest, err)
	}
	if bundle.DigestOf(content) != digest {
		return nil, fmt.Errorf("document %s: %w", digest, storage.ErrCorrupt)
	}
	removal, seq, err := h.cfg.Catalog.RemovalOf(ctx, callOf(ctx).principal.Tenant, digest)
	if err != nil {
		return nil, err
	}
	return &bytesResponse{call: callOf(ctx), content: content, digest: digest, mediaType: "application/octet-stream", removed: removedOf(removal, seq)}, nil
}

// bytesResponse serves bytes that are known and checked, with ETag and 304.
type bytesResponse struct {
	call      *call
	content   []byte
	digest    bundle.Digest
	mediaType string
	modified  time.Time // zero = not said
	mutable   bool      // another release may have other bytes under this path
	removed   string    // removedHeader; "" = not removed
}

func (b *bytesResponse) write(w http.ResponseWriter) error {
	before := w.Header().Clone()
	setDigestHeaders(w.Header(), b.digest, b.call.request)
	if b.mutable {
		w.Header().Del("X-Stella-Immutability")
	}
	if b.removed != "" {
		w.Header().Set(removedHeader, b.removed)
	}
	w.Header().Set("Content-Type", b.mediaType)
	// Somebody else's bytes: to be saved, never to be shown as a page of ours.
	switch b.mediaType {
	case anyFile:
		w.Header().Set("Content-Disposition", `attachment; filename="`+b.digest.Hex()+`"`)
	case gzipFile:
		w.Header().Set("Content-Disposition", `attachment; filename="`+b.digest.Hex()+`.tar.gz"`)
	}
	request := b.call.request.Clone(b.call.request.Context())
	request.Header.Del("Range") // small answers are given whole
	content := io.NewSectionReader(bytes.NewReader(b.content), 0, int64(len(b.content)))
	out := &heldWriter{patientWriter: newPatientWriter(w), whole: func() hash.Hash {
		if wantsSHA256(b.call.request.Header.Values("Want-Content-Digest")) {
			w.Header().Set("Content-Digest", digestField(b.digest))
		}
		return nil
	}}
	http.ServeContent(out, request, "", b.modified.UTC(), content)
	if out.refused() {
		replaceHeader(w.Header(), before)
		return echo.NewHTTPError(out.status, "the bytes are not those that If-Match or If-Unmodified-Since names; they have the digest "+b.digest.String())
	}
	out.begin()
	return nil
}

// VisitGetManifestResponse writes the answer.
func (b *bytesResponse) VisitGetManifestResponse(w http.ResponseWriter) error { return b.write(w) }

// VisitGetProvenanceResponse writes the answer.
func (b *bytesResponse) VisitGetProvenanceResponse(w http.ResponseWriter) error { return b.write(w) }

// VisitGetDocumentResponse writes the answer.
func (b *bytesResponse) VisitGetDocumentResponse(w http.ResponseWriter) error { return b.write(w) }

// VisitGetPolicyPackResponse writes the answer.
func (b *bytesResponse) VisitGetPolicyPackResponse(w http.ResponseWriter) error { return b.write(w) }
