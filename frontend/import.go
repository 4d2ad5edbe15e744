package frontend

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/ledger"
)

// Bodies that an import can have.
const (
	ndjson  = "application/x-ndjson"
	tarball = "application/x-tar"
)

// ImportDocuments reads documents as they come and answers while they come.
func (h handlers) ImportDocuments(ctx context.Context, req ImportDocumentsRequestObject) (ImportDocumentsResponseObject, error) {
	current := callOf(ctx)
	i := &importResponse{server: h.Server, call: current, ctx: ctx}
	form, err := oneMediaType(current.request.Header, ndjson, tarball)
	if err != nil {
		return nil, err
	}
	i.body, i.read = current.request.Body, i.readLines
	if form == tarball {
		if i.archive, err = tarOptions(req.Params); err != nil {
			return nil, err
		}
		i.read = i.readTar
	} else if err := noTarOptions(req.Params); err != nil {
		return nil, err
	}
	if err := h.imports.enter(current.principal.Tenant); err != nil {
		return nil, err
	}
	return i, nil
}

// importResponse is one import: it reads the request while it writes the answer.
type importResponse struct {
	server  *Server
	call    *call
	ctx     context.Context
	archive archiveOptions
	body    io.Reader
	read    func(*patientReader) error

	answer *importAnswer
	counts ledger.Counts // Read and Rejected; the store has the others
	batch  []ledger.Observation
	raw    int   // bytes of the originals in batch
	held   int64 // bytes of batch that the gate knows of
	large  bool  // it holds the turn of a large record
	store  batchStore
}

// VisitImportDocumentsResponse runs the import. Once the first byte is out a
// failure can only be told in the stream: as an error line, without a summary.
func (i *importResponse) VisitImportDocumentsResponse(w http.ResponseWriter) error {
	control := http.NewResponseController(w)
	defer i.drain(control)
	defer i.server.imports.leave(i.call.principal.Tenant)
	// HTTP/1.1 servers stop reading the request at the first answer otherwise;
	// HTTP/2 needs no permission and says so.
	if err := control.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("answer while reading: %w", err)
	}
	w.Header().Set("Content-Type", ndjson)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	i.answer = newImportAnswer(w, control)
	if err := i.answer.flush(); err != nil {
		return err
	}
	if err := i.run(&patientReader{Reader: i.body, control: control}); err != nil {
		return i.explain(err)
	}
	return i.answer.line(ImportLine{Summary: summaryOf(i.store.settled)})
}

// leftOver is how much of a body the server itself would read after an answer to
// keep the connection; of one with more it closes the connection.
const leftOver = 256 << 10

// drainPatience is how long that may take.
const drainPatience = 5 * time.Second

// drain reads what an import that ended early has left. The server would do it,
// but behind the point at which it can tell the end of this request from the
// beginning of the next when both directions are open: the next request on the
// connection would find it broken.
func (i *importResponse) drain(control *http.ResponseController) {
	rest := &patientReader{Reader: i.body, control: control, until: clock.System().Add(drainPatience)}
	io.CopyN(io.Discard, rest, leftOver+1) //nolint:errcheck // what cannot be read ends the connection
}

func summaryOf(c ledger.Counts) *ImportSummary {
	return &ImportSummary{Read: c.Read, Accepted: c.Accepted, Unchanged: c.Unchanged, Superseded: c.Superseded, Rejected: c.Rejected}
}

// run imports everything in body.
func (i *importResponse) run(body *patientReader) error {
	i.store.told = func(settled ledger.Counts) error {
		return i.answer.line(ImportLine{Recorded: summaryOf(settled)})
	}
	defer i.endLarge(body)
	defer func() { i.server.imports.release(i.held + i.store.abandon()) }()
	if err := i.read(body); err != nil {
		return err
	}
	return i.record(i.counts, true)
}

// beginLarge waits for the turn of a large record.
func (i *importResponse) beginLarge(body *patientReader) error {
	if i.large {
		return nil
	}
	if err := i.record(i.counts, true); err != nil { // nothing else is held beside it
		return err
	}
	if err := i.server.imports.enterLarge(i.ctx); err != nil {
		return err
	}
	i.large, body.until = true, clock.System().Add(largePatience)
	return nil
}

// endLarge lets the next one have its turn.
func (i *importResponse) endLarge(body *patientReader) {
	if i.large {
		i.large, body.until = false, time.Time{}
		i.server.imports.leaveLarge()
	}
}

// rejected is why a record was not taken, with the names it gave itself.
type rejected struct {
	entry  ledger.Entry
	reason error
}

func (r *rejected) Error() string { return r.reason.Error() }
func (r *rejected) Unwrap() error { return r.reason }

// take adds a document to the batch. A rejection is a *rejected. before is what
// was read before this document.
func (i *importResponse) take(entry ledger.Entry, before ledger.Counts) error {
	observation, err := i.server.cfg.Parse(entry)
	if err != nil {
		return &rejected{entry, err}
	}
	observation.Project = i.call.principal.Project
	size := memoryOf(&observation)
	if len(i.batch) > 0 && i.raw+len(observation.Raw) > ledger.BatchBytes {
		if err := i.record(before, false); err != nil {
			return err
		}
	}
	if !i.server.imports.hold(size) { // all imports together hold much
		if err := i.record(before, true); err != nil {
			return err
		}
		i.server.imports.insist(size)
	}
	i.batch = append(i.batch, observation)
	i.raw += len(observation.Raw)
	i.held += size
	if len(i.batch) == ledger.BatchDocuments {
		return i.record(i.counts, false)
	}
	return nil
}

// memoryOf is what an observation keeps in memory, roughly.
func memoryOf(o *ledger.Observation) int64 {
	size := len(o.Raw)
	if len(o.Canonical) > 0 && len(o.Raw) > 0 && &o.Canonical[0] != &o.Raw[0] {
		size += len(o.Canonical)
	}
	return int64(size)
}

// settle turns the rejection of record number i.counts.Read into a line of the
// answer and lets every other error end the import.
func (i *importResponse) settle(err error) error {
	var r *rejected
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &r):
		return err
	}
	i.counts.Rejected++
	file, name := r.entry.File, r.entry.Name
	if file == "" && name == "" {
		name = "record " + strconv.FormatInt(i.counts.Read, 10)
	}
	return i.answer.line(ImportLine{Rejection: &Rejection{Record: i.counts.Read, File: file, Entry: name, Reason: r.reason.Error()}})
}

// finishLarge records a large document before anything else is read.
func (i *importResponse) finishLarge(body *patientReader) error {
	if !i.large {
		return nil
	}
	huge := i.held > hugeDocument
	if err := i.record(i.counts, true); err != nil {
		return err
	}
	if huge {
		debug.FreeOSMemory() // or the next one would be held beside what is left of it
	}
	i.endLarge(body)
	return nil
}

// record hands the batch to the ledger, and waits for it when all is true.
// through is what was read up to the end of the batch.
func (i *importResponse) record(through ledger.Counts, all bool) (err error) {
	free, err := i.store.wait()
	i.server.imports.release(free)
	if err != nil {
		return err
	}
	i.batch = i.store.begin(i.ctx, i.server.cfg.Ledger, i.call.principal.Tenant, i.batch, i.held, through)
	i.raw, i.held = 0, 0
	if all {
		free, err = i.store.wait()
		i.server.imports.release(free)
	}
	return err
}

// explain writes why the import ended early, as its last line.
func (i *importResponse) explain(cause error) error {
	problem := i.server.problemOf(i.ctx, cause)
	level := slog.LevelInfo
	if problem.Status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	i.server.log.LogAttrs(i.ctx, level, "import ended early", slog.String("traceId", problem.TraceID),
		slog.Int64("read", i.counts.Read), slog.Any("error", cause))
	code := problem.Code
	if code == string(export.CodeInternal) {
		problem.Message += "; what was recorded stays, send everything again"
	}
	return i.answer.line(ImportLine{Error: &ImportError{Code: code, Message: problem.Message, TraceID: problem.TraceID}})
}
