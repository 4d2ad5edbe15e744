package frontend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

const (
	defaultPage  = 50
	maxPage      = 200
	startTimeout = 3 * time.Second
)

// CreateRun records a run and, when it need not wait for a slot, tells the
// workers. The record is the promise: when the workers cannot be told now, the
// dispatcher tells them later.
func (h handlers) CreateRun(ctx context.Context, req CreateRunRequestObject) (CreateRunResponseObject, error) {
	run, idem, err := h.promised(ctx, *req.Body, req.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	if req.Body.Options.DryRun {
		if err := h.announceReading(ctx, run, true); err != nil {
			return nil, err
		}
		tag, err := h.price(ctx, run)
		if err != nil {
			return nil, h.takeBackReading(ctx, run, true, err)
		}
		return CreateRun200JSONResponse(tag), nil
	}
	stored, err := h.recordRun(ctx, run, idem)
	if err != nil {
		return nil, err
	}
	if stored.State == export.StatePending && !stored.DispatchedAt.IsZero() {
		h.deliver(ctx, "start run", stored.Ref(), func(ctx context.Context) error { return h.cfg.Starter.StartRun(ctx, stored) })
	}
	return CreateRun202JSONResponse{
		Body:    runDocument(stored),
		Headers: CreateRun202ResponseHeaders{Location: runPath(stored.ID)},
	}, nil
}

// recordRun makes the promise, or gives the run that was promised under this key.
func (s *Server) recordRun(ctx context.Context, run export.Run, idem storage.Idempotency) (export.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	if run.Reach != nil {
		first, found, err := s.cfg.Runs.FindRun(ctx, run.Tenant, idem)
		if err != nil || found {
			return first, err // a request that is repeated reads nothing anew
		}
		if err := s.announceReading(ctx, run, false); err != nil {
			return run, err
		}
	}
	stored, _, err := s.cfg.Runs.CreateRun(ctx, run, idem)
	if errors.Is(err, storage.ErrConflict) {
		return stored, s.takeBackReading(ctx, run, false, errKeyReused())
	}
	if err != nil {
		return stored, s.takeBackReading(ctx, run, false, fmt.Errorf("record run: %w", err))
	}
	if stored.ID != run.ID { // another request with this key was faster
		return stored, s.tellReading(ctx, run, false, audit.Entry{Status: http.StatusConflict, Code: string(export.CodeIdempotency)})
	}
	return stored, nil
}

// deliver tells the workers something that is already recorded. A failure is
// not the client's: the dispatcher delivers what was not delivered.
func (s *Server) deliver(ctx context.Context, what string, ref export.Ref, call func(context.Context) error) {
	timed, cancel := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer cancel()
	if err := call(timed); err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, what+" is left to the dispatcher",
			slog.String("tenant", ref.Tenant), slog.String("runId", ref.RunID),
			slog.String("traceId", callOf(ctx).trace), slog.Any("error", err))
	}
}

// ListRuns gives a page of the tenant's runs.
func (h handlers) ListRuns(ctx context.Context, req ListRunsRequestObject) (ListRunsResponseObject, error) {
	filter, err := h.runFilter(ctx, req.Params)
	if err != nil {
		return nil, err
	}
	who := callOf(ctx).principal
	runs, next, err := h.cfg.Runs.ListRuns(ctx, who.Tenant, filter)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	page := RunPage{Runs: []Run{}, NextCursor: next}
	for _, run := range runs {
		if visible(who, run) {
			page.Runs = append(page.Runs, runDocument(run))
		}
	}
	return ListRuns200JSONResponse(page), nil
}

// GetRun gives a run as its own row has it.
func (h handlers) GetRun(ctx context.Context, req GetRunRequestObject) (GetRunResponseObject, error) {
	run, err := h.findRun(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	return GetRun200JSONResponse(runDocument(run)), nil
}

// findRun gives the caller's run. What is not the caller's does not exist, in
// the same words.
func (s *Server) findRun(ctx context.Context, id string) (export.Run, error) {
	if !export.ValidRunID(id) {
		return export.Run{}, errRunNotFound()
	}
	who := callOf(ctx).principal
	run, err := s.cfg.Runs.GetRun(ctx, export.Ref{Tenant: who.Tenant, RunID: id})
	if errors.Is(err, storage.ErrNotFound) {
		return export.Run{}, errRunNotFound()
	}
	if err != nil {
		return export.Run{}, fmt.Errorf("read run %s: %w", id, err)
	}
	if !visible(who, run) {
		return export.Run{}, errRunNotFound()
	}
	return run, nil
}

// visible reports whether run is the caller's. The store was asked within the
// tenant already; this is the second lock on the same door.
func visible(who Principal, run export.Run) bool {
	return run.Tenant == who.Tenant && (who.Project == "" || run.Project == who.Project)
}

// CancelRun records that the caller wants the run to end and tells the workers.
func (h handlers) CancelRun(ctx context.Context, req CancelRunRequestObject) (CancelRunResponseObject, error) {
	reason, err := checkReason(req.Body, req.Params.XStellaReason)
	if err != nil {
		return nil, err
	}
	run, err := h.findRun(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	run, err = h.cfg.Runs.RequestCancel(ctx, run.Ref(), export.Cancellation{
		By: callOf(ctx).principal.Subject, Reason: reason, At: h.clock().UTC(),
	})
	if errors.Is(err, storage.ErrConflict) {
		return nil, export.Errorf(export.CodeStateConflict, "the run has already ended")
	}
	if err != nil {
		return nil, fmt.Errorf("record cancel request: %w", err)
	}
	ref := run.Ref()
	h.deliver(ctx, "cancel run", ref, func(ctx context.Context) error { return h.cfg.Starter.CancelRun(ctx, ref) })
	return CancelRun202JSONResponse(runDocument(run)), nil
}
