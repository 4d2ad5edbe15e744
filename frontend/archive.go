package frontend

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// maxRanges is how many ranges one request may ask for. Each may begin in another
// blob, which is read as a whole before any byte of it is given; a request for
// more gets the whole archive, as RFC 9110 section 14.2 allows.
const maxRanges = 16

// archiveResponse serves a view. It is a response type of its own because
// ranges need the request, which strict handlers do not see.
type archiveResponse struct {
	server *Server
	call   *call
	run    export.Run
	view   *bundle.View
}

// VisitDownloadRunResponse writes the answer. When a blob turns out wrong or
// unreadable before the first byte, the answer is a problem; after it the
// connection is broken: the client must never take a part for the whole.
func (a archiveResponse) VisitDownloadRunResponse(w http.ResponseWriter) error {
	digest, err := bundle.ParseDigest(a.run.Result.ArchiveDigest)
	if err != nil {
		return fmt.Errorf("archive digest of run %s: %w", a.run.ID, err)
	}
	content := &watchedContent{archive: a.server.shared.join(archiveName{a.run.Tenant, a.run.ID, digest}, a.view)}
	defer content.Close()
	h := w.Header()
	before := h.Clone()
	setDigestHeaders(h, digest, a.call.request)
	h.Set("Content-Type", bundle.ArchiveContentType)
	h.Set("Content-Disposition", `attachment; filename="export-`+a.run.ID+`.tar"`)
	h.Set("X-Export-Digest", digest.String())
	h.Set("X-Export-Length", strconv.FormatInt(a.view.Size(), 10))
	if e := a.run.Result.Encrypted; e != nil {
		h.Set("X-Export-Encryption", e.Mode)
		h.Set("X-Export-Encryption-Recipients", strconv.Itoa(len(e.Recipients)))
	}

	out := &heldWriter{patientWriter: newPatientWriter(w),
		whole: func() hash.Hash { return wholeAnswer(h, digest, a.call.request) }}
	http.ServeContent(out, usefulRange(a.call.request), "", a.run.RequestedAt.UTC().Truncate(time.Second), content)
	failure := content.Failure()
	switch {
	case failure != nil && !out.begun:
		replaceHeader(h, before)
		return a.failed(failure)
	case failure != nil:
		a.brokenOff(failure)
		_ = out.control.Flush() // what came before is right: the client goes on behind it and is told why it cannot
		panic(http.ErrAbortHandler)
	case out.refused():
		return a.refusal(h, before, out.status)
	}
	out.begin()
	return a.complete(out, digest)
}

// complete ends an answer that has all its bytes. When they are not those that were
// promised, the connection breaks instead.
func (a archiveResponse) complete(out *heldWriter, digest bundle.Digest) error {
	if out.sum == nil || a.call.request.Method == http.MethodHead {
		return nil
	}
	if err := setTrailer(out.Header(), out.sum, digest); err != nil {
		a.brokenOff(err)
		panic(http.ErrAbortHandler)
	}
	return nil
}

// failed is the error of an archive that cannot be read. A wrong blob is
// counted: it means that a disk or a person changes what must not change.
func (a archiveResponse) failed(err error) error {
	if errors.Is(err, storage.ErrCorrupt) {
		a.server.countCorrupt(a.call.request.Context(), a.run, err)
	}
	return fmt.Errorf("archive of run %s: %w", a.run.ID, err)
}

func (a archiveResponse) brokenOff(err error) {
	level := slog.LevelError
	if errors.Is(err, context.Canceled) {
		level = slog.LevelInfo // the client is gone
	}
	err = a.failed(err)
	a.server.log.LogAttrs(a.call.request.Context(), level, "download broken off",
		slog.String("tenant", a.run.Tenant), slog.String("runId", a.run.ID),
		slog.String("traceId", a.call.trace), slog.Any("error", err))
}

// refusal is the problem in place of ServeContent's own words. The headers that
// describe the archive stay (X-Export-...), those of its bytes go.
func (a archiveResponse) refusal(h, before http.Header, status int) error {
	contentRange, digest, length := h.Get("Content-Range"), h.Get("X-Export-Digest"), h.Get("X-Export-Length")
	archive := h.Clone()
	replaceHeader(h, before)
	for name, values := range archive {
		if strings.HasPrefix(name, "X-Export-") {
			h[name] = values
		}
	}
	if status == http.StatusPreconditionFailed {
		return echo.NewHTTPError(status, "the archive is not the one that If-Match or If-Unmodified-Since names; it has the digest "+digest)
	}
	h.Set("Content-Range", contentRange)
	return echo.NewHTTPError(status, "the archive has "+length+" bytes; no range asked for begins within")
}

func replaceHeader(h, with http.Header) {
	clear(h)
	for name, values := range with {
		h[name] = slices.Clone(values)
	}
}

// usefulRange drops a Range header that a server must or may ignore and
// ServeContent does not: of a unit other than bytes, of a method other than GET,
// of too many ranges (RFC 9110 section 14.2).
func usefulRange(r *http.Request) *http.Request {
	asked := r.Header.Get("Range")
	if r.Method == http.MethodGet && strings.HasPrefix(asked, "bytes=") && strings.Count(asked, ",") < maxRanges {
		return r
	}
	r = r.Clone(r.Context())
	r.Header.Del("Range")
	return r
}

// watchedContent remembers why the archive could not be read; ServeContent keeps it
// to itself. For several ranges ServeContent reads in a goroutine that it does not
// wait for, hence the lock: after Close nothing is read.
type watchedContent struct {
	mu      sync.Mutex
	archive *sharedContent
	failure error
	begun   bool // there was a piece
	closed  bool
}

// Read gives a first piece as soon as there is one, and then as much as p takes:
// a bundle of many small files is not sent in as many small writes.
func (c *watchedContent) Read(p []byte) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, io.ErrClosedPipe
	}
	for err = c.failure; err == nil && n < len(p); {
		var piece int
		piece, err = c.archive.Read(p[n:])
		n += piece
		if !c.begun {
			c.begun = true
			break
		}
	}
	if err != nil && !errors.Is(err, io.EOF) {
		c.failure = err
	}
	if n > 0 {
		return n, nil // what is wrong is told by the next call
	}
	return n, err
}

func (c *watchedContent) Seek(offset int64, whence int) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.archive.Seek(offset, whence)
}

// Failure is why the content could not be read, nil if it could.
func (c *watchedContent) Failure() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failure
}

// Close ends reading.
func (c *watchedContent) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.archive.Close() //nolint:errcheck // it was only read
}

// heldWriter holds the status back until there is a first byte, so that what
// goes wrong before it can still become a problem; and it swallows ServeContent's
// own plain text for a request that is refused.
type heldWriter struct {
	*patientWriter
	status int // of ServeContent, 0 = not said
	begun  bool
	// whole prepares the headers of an answer with all bytes; nil = nothing to do.
	// sum, if it gives one, hashes what is sent.
	whole func() hash.Hash
	sum   hash.Hash
}

func (h *heldWriter) WriteHeader(status int) { h.status = status }

func (h *heldWriter) Write(p []byte) (int, error) {
	if h.refused() {
		return len(p), nil
	}
	first := !h.begun
	h.begin()
	n, err := h.patientWriter.Write(p)
	if h.sum != nil {
		h.sum.Write(p[:n])
	}
	if first && err == nil {
		// The first bytes leave while the next blob is still being compared.
		_ = h.control.Flush()
	}
	return n, err
}

// ReadFrom implements io.ReaderFrom, so that io.Copy takes large pieces. Behind each
// piece the other answers have their turn: those that send the same archive keep step,
// and what one has read and compared the others find in memory (sharing).
func (h *heldWriter) ReadFrom(from io.Reader) (sent int64, err error) {
	piece, done := sendPiece(from)
	defer done()
	for {
		n, err := from.Read(piece)
		if n > 0 {
			n, failed := h.Write(piece[:n])
			sent += int64(n)
			if failed != nil {
				return sent, failed
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return sent, err
		}
		runtime.Gosched()
	}
}

func (h *heldWriter) refused() bool { return h.status >= http.StatusBadRequest }

func (h *heldWriter) begin() {
	if !h.begun {
		h.begun = true
		if h.status == http.StatusOK && h.whole != nil {
			h.sum = h.whole()
		}
		h.patientWriter.WriteHeader(h.status)
	}
}
