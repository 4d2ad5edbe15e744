package frontend

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/ledger"
)

const ndjson = "application/x-ndjson"

// ImportDocuments reads documents as they come and answers while they come.
func (h handlers) ImportDocuments(ctx context.Context, req ImportDocumentsRequestObject) (ImportDocumentsResponseObject, error) {
	current := callOf(ctx)
	if err := requireMediaType(current.request.Header, ndjson); err != nil {
		return nil, err
	}
	if err := h.imports.enter(current.principal.Tenant); err != nil {
		return nil, err
	}
	return &importResponse{server: h.Server, call: current, ctx: ctx, body: req.Body}, nil
}

// importResponse is one import: it reads the request while it writes the answer.
type importResponse struct {
	server *Server
	call   *call
	ctx    context.Context
	body   io.Reader

	out    *json.Encoder
	flush  func() error
	counts ledger.Counts
	batch  []ledger.Observation
	size   int
	large  bool // it holds the turn of a large record
	store  batchStore
}

// VisitImportDocumentsResponse runs the import. Once the first byte is out a
// failure can only be told in the stream: as an error line, without a summary.
func (i *importResponse) VisitImportDocumentsResponse(w http.ResponseWriter) error {
	defer i.server.imports.leave(i.call.principal.Tenant)
	control := http.NewResponseController(w)
	// HTTP/1.1 servers stop reading the request at the first answer otherwise;
	// HTTP/2 needs no permission and says so.
	if err := control.EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return fmt.Errorf("answer while reading: %w", err)
	}
	w.Header().Set("Content-Type", ndjson)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	i.out = json.NewEncoder(newPatientWriter(w))
	i.out.SetEscapeHTML(false)
	i.flush = func() error {
		if err := control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		return nil
	}
	if err := i.flush(); err != nil {
		return err
	}
	err := i.run(&patientReader{Reader: i.body, control: control})
	i.counts.Add(i.store.counts)
	if err == nil {
		err = i.out.Encode(ImportLine{Summary: i.summary()})
	} else {
		err = i.explain(err)
	}
	if err != nil {
		return err
	}
	return i.flush()
}

func (i *importResponse) summary() *ImportSummary {
	return &ImportSummary{Read: i.counts.Read, Accepted: i.counts.Accepted, Unchanged: i.counts.Unchanged,
		Superseded: i.counts.Superseded, Rejected: i.counts.Rejected}
}

// run imports everything in body.
func (i *importResponse) run(body *patientReader) error {
	lines := newLineReader(body, maxImportLine)
	lines.large = func() error { return i.beginLarge(body) }
	defer i.endLarge(body)
	defer i.store.abandon()
	for {
		line, err := lines.next()
		switch {
		case errors.Is(err, io.EOF):
			return i.record(true)
		case err != nil && !errors.Is(err, errLongLine):
			return badBody(err)
		}
		i.counts.Read++
		if err == nil {
			err = i.take(line)
		}
		if err := i.settle(err, lines.count); err != nil {
			return err
		}
		if i.large {
			lines.forget()
			if err := i.record(true); err != nil {
				return err
			}
			i.endLarge(body)
		}
	}
}

// beginLarge waits for the turn of a large record.
func (i *importResponse) beginLarge(body *patientReader) error {
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

// take adds a record to the batch. A rejection is a *rejected.
func (i *importResponse) take(line []byte) error {
	entry, err := decodeRecord(line)
	if err != nil {
		return &rejected{entry, err}
	}
	observation, err := i.server.cfg.Parse(entry)
	if err != nil {
		return &rejected{entry, err}
	}
	observation.Project = i.call.principal.Project
	if len(i.batch) > 0 && i.size+len(observation.Raw) > ledger.BatchBytes {
		if err := i.record(false); err != nil {
			return err
		}
	}
	i.batch = append(i.batch, observation)
	i.size += len(observation.Raw)
	if len(i.batch) == ledger.BatchDocuments {
		return i.record(false)
	}
	return nil
}

// settle turns the rejection of a record into a line of the answer and lets
// every other error end the import.
func (i *importResponse) settle(err error, line int64) error {
	var r *rejected
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errLongLine):
		r = &rejected{reason: err}
	case !errors.As(err, &r):
		return err
	}
	i.counts.Rejected++
	file, name := r.entry.File, r.entry.Name
	if name == "" {
		name = "record " + strconv.FormatInt(line, 10)
	}
	rejection := Rejection{File: file, Entry: name, Reason: r.reason.Error()}
	if err := i.out.Encode(ImportLine{Rejection: &rejection}); err != nil {
		return fmt.Errorf("write rejection: %w", err)
	}
	return i.flush()
}

// record hands the batch to the ledger, and waits for it when all is true.
func (i *importResponse) record(all bool) (err error) {
	tenant := i.call.principal.Tenant
	if i.batch, err = i.store.begin(i.ctx, i.server.cfg.Ledger, tenant, i.batch); err != nil {
		return err
	}
	i.size = 0
	if all {
		err = i.store.wait()
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
	return i.out.Encode(ImportLine{Error: &ImportError{Code: code, Message: problem.Message, TraceID: problem.TraceID}})
}
