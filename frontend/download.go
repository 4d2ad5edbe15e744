package frontend

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// DownloadRun gives the bundle: a view computed over the run's blobs, so that
// any range costs the same and the first byte does not wait for the last.
func (h handlers) DownloadRun(ctx context.Context, req DownloadRunRequestObject) (DownloadRunResponseObject, error) {
	run, err := h.finishedRun(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	files, err := h.cfg.Runs.Files(ctx, run.Ref())
	if err != nil {
		return nil, fmt.Errorf("list files of run %s: %w", run.ID, err)
	}
	members := make([]bundle.Member, 0, len(files))
	for _, f := range files {
		members = append(members, bundle.Member{Path: f.Path, Size: f.Size, Digest: f.Digest})
	}
	view, err := bundle.NewView(members, func(m bundle.Member) (bundle.Source, error) {
		return storage.OpenExact(ctx, h.cfg.Objects, run.Tenant, m.Digest, m.Size)
	})
	if err != nil {
		return nil, fmt.Errorf("archive of run %s: %w", run.ID, err)
	}
	if view.Size() != run.Result.ArchiveBytes {
		return nil, fmt.Errorf("archive of run %s has %d bytes, its row says %d", run.ID, view.Size(), run.Result.ArchiveBytes)
	}
	return archiveResponse{server: h.Server, call: callOf(ctx), run: run, view: view}, nil
}

// finishedRun gives a run that has a bundle, or says why there is none.
func (s *Server) finishedRun(ctx context.Context, id string) (export.Run, error) {
	run, err := s.findRun(ctx, id)
	switch {
	case err != nil:
		return run, err
	case run.State == export.StateExpired:
		return run, export.Errorf(export.CodeExpired, "the bundle of this run has expired; start a new run")
	case run.State.Terminal() && !run.State.Downloadable():
		return run, export.Errorf(export.CodeNotReady, "the run ended %s and has no bundle", run.State)
	case !run.State.Downloadable():
		return run, export.Errorf(export.CodeNotReady, "the run is %s; its bundle is there once it has succeeded", run.State)
	}
	return run, nil
}

// archiveResponse serves a view. It is a response type of its own because
// ranges need the request, which strict handlers do not see.
type archiveResponse struct {
	server *Server
	call   *call
	run    export.Run
	view   *bundle.View
}

// VisitDownloadRunResponse writes the answer. When a blob turns out short or
// unreadable after the first byte the connection is broken: the client must
// never take a part for the whole.
func (a archiveResponse) VisitDownloadRunResponse(w http.ResponseWriter) error {
	defer a.view.Close()
	digest, err := bundle.ParseDigest(a.run.Result.ArchiveDigest)
	if err != nil {
		return fmt.Errorf("archive digest of run %s: %w", a.run.ID, err)
	}
	h := w.Header()
	setDigestHeaders(h, digest)
	h.Set("Content-Type", bundle.ArchiveContentType)
	h.Set("Content-Disposition", `attachment; filename="export-`+a.run.ID+`.tar"`)
	h.Set("X-Export-Digest", digest.String())
	h.Set("X-Export-Length", strconv.FormatInt(a.view.Size(), 10))

	content := &watchedContent{ReadSeeker: a.view}
	out := &rangeWriter{patientWriter: newPatientWriter(w)}
	http.ServeContent(out, knownRangeUnit(a.call.request), "", a.run.RequestedAt.UTC().Truncate(time.Second), content)
	if content.failure != nil {
		a.server.log.LogAttrs(a.call.request.Context(), slog.LevelError, "download broken off",
			slog.String("tenant", a.run.Tenant), slog.String("runId", a.run.ID),
			slog.String("traceId", a.call.trace), slog.Any("error", content.failure))
		panic(http.ErrAbortHandler)
	}
	if out.unsatisfiable {
		h.Del("Content-Disposition")
		return echo.NewHTTPError(http.StatusRequestedRangeNotSatisfiable,
			fmt.Sprintf("the archive has %d bytes; no range asked for begins within", a.view.Size()))
	}
	return nil
}

// knownRangeUnit drops a Range header of a unit other than bytes, which a
// server must ignore (RFC 9110 section 14.2) and ServeContent does not.
func knownRangeUnit(r *http.Request) *http.Request {
	if strings.HasPrefix(r.Header.Get("Range"), "bytes=") {
		return r
	}
	r = r.Clone(r.Context())
	r.Header.Del("Range")
	return r
}

// setDigestHeaders names the whole representation: ETag (RFC 9110 section
// 8.8.3) and Repr-Digest (RFC 9530 section 3).
func setDigestHeaders(h http.Header, digest bundle.Digest) {
	h.Set("ETag", `"`+digest.String()+`"`)
	h.Set("Repr-Digest", "sha-256=:"+base64.StdEncoding.EncodeToString(digest[:])+":")
	h.Set("Cache-Control", "private, no-transform")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Stella-Immutability", "true")
}

// watchedContent remembers why the content could not be read; ServeContent
// keeps it to itself.
type watchedContent struct {
	io.ReadSeeker
	failure error
}

func (c *watchedContent) Read(p []byte) (int, error) {
	n, err := c.ReadSeeker.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		c.failure = err
	}
	return n, err
}

// rangeWriter holds back ServeContent's own plain text for a range that is not
// there, so that the answer is a problem like all others.
type rangeWriter struct {
	*patientWriter
	unsatisfiable bool
}

func (r *rangeWriter) WriteHeader(status int) {
	if status == http.StatusRequestedRangeNotSatisfiable {
		r.unsatisfiable = true
		return
	}
	r.patientWriter.WriteHeader(status)
}

func (r *rangeWriter) Write(p []byte) (int, error) {
	if r.unsatisfiable {
		return len(p), nil
	}
	return r.patientWriter.Write(p)
}
