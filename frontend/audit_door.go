package frontend

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/export"
)

// Bounds of what an entry takes over from a request.
const (
	maxAuditPath   = 1024
	maxAuditReason = maxReasonText
)

// requestIDHeader names an audited call in its answer and in the record.
const requestIDHeader = "X-Stella-Request-Id"

// audited puts the door before an operation, lets in as many calls as may be, and keeps the record of it: a call that
// changes something is in the record before it does, and again with what came of
// it; one that was refused is there as refused. What cannot be recorded is not done.
func (s *Server) audited(operation string, lane lane, alternatives [][]string) echo.MiddlewareFunc {
	door := s.authorize(lane, alternatives)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		inside := door(s.admitted(lane, func(c echo.Context) error { return s.recorded(operation, c, next) }))
		return func(c echo.Context) error {
			err := inside(c)
			if err != nil && !callOf(c.Request().Context()).audited {
				s.recordRefused(operation, c, err)
			}
			return err
		}
	}
}

// recorded lets a call through that the door has let in.
func (s *Server) recorded(operation string, c echo.Context, next echo.HandlerFunc) (err error) {
	if !changes(c.Request().Method) {
		return next(c)
	}
	ctx := c.Request().Context()
	entry := s.auditEntry(operation, c)
	c.Response().Header().Set(requestIDHeader, entry.RequestID)
	entry.Event = audit.CallBegun
	if err := s.pen.write(ctx, entry); err != nil {
		return unrecorded(err)
	}
	callOf(ctx).audited, callOf(ctx).entry = true, entry
	defer func() {
		thrown := recover()
		s.recordEnd(entry, c, err, thrown != nil)
		if thrown != nil {
			panic(thrown)
		}
	}()
	return next(c)
}

// changes reports whether a method may change something (RFC 9110 section 9.2.1).
func changes(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// unrecorded is the answer to a call that was not done because it could not be
// recorded.
func unrecorded(err error) error {
	var coded *export.Error
	if errors.As(err, &coded) && coded.Code == export.CodeUnavailable {
		return err
	}
	return &export.Error{Code: export.CodeUnavailable, Class: export.ClassTransient, Err: err,
		Message: "the call was not made, because it could not be recorded for audit; try again"}
}

// recordEnd notes what came of a call, also when its caller has gone.
func (s *Server) recordEnd(entry audit.Entry, c echo.Context, err error, panicked bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request().Context()), auditPatience)
	defer cancel()
	entry.Event, entry.At = audit.CallEnded, s.clock()
	switch {
	case panicked:
		entry.Status, entry.Code = http.StatusInternalServerError, string(export.CodeInternal)
	case err != nil:
		problem := s.problemOf(ctx, err)
		entry.Status, entry.Code = problem.Status, problem.Code
	default:
		entry.Status = c.Response().Status
	}
	if err := s.pen.write(ctx, entry); err != nil {
		s.log.LogAttrs(ctx, slog.LevelError, "the end of a call is not in the audit record",
			slog.String("requestId", entry.RequestID), slog.String("tenant", entry.Tenant),
			slog.String("operation", entry.Operation), slog.Int("status", entry.Status), slog.Any("error", err))
	}
}

// knownMethod is the method that was sent, or "other": a method is a word of the
// caller's, of any length.
func knownMethod(sent, r *http.Request) string {
	if sent != nil {
		r = sent
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// recordRefused notes a call that the door did not let in. Whoever has proved to
// be somebody is recorded by name, unless that happens all the time: those calls
// are counted, and so are those of strangers. The refusal does not depend on the
// record: it is answered either way.
func (s *Server) recordRefused(operation string, c echo.Context, err error) {
	problem := s.problemOf(c.Request().Context(), err)
	if problem.Status != http.StatusUnauthorized && problem.Status != http.StatusForbidden {
		return
	}
	entry := s.auditEntry(operation, c)
	entry.Event, entry.Status, entry.Code = audit.CallRefused, problem.Status, problem.Code
	if s.closed.leaves(entry.Tenant) { // its record is being removed, or was
		entry.Tenant, entry.Of, entry.Project = audit.Installation, entry.Tenant, ""
	}
	if entry.Tenant == "" || !s.admission.mayRefuse(entry.Tenant, s.clock()) {
		s.refusals.note(entry)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Request().Context()), auditPatience)
	defer cancel()
	if err := s.pen.write(ctx, entry); err != nil {
		s.log.LogAttrs(ctx, slog.LevelError, "a refused call is not in the audit record",
			slog.String("tenant", entry.Tenant), slog.String("operation", operation), slog.Any("error", err))
	}
}

// auditEntry is what is known of a call before it is answered.
func (s *Server) auditEntry(operation string, c echo.Context) audit.Entry {
	r := c.Request()
	current := callOf(r.Context())
	entry := audit.Entry{
		Tenant: current.principal.Tenant, At: s.clock().UTC().Truncate(time.Microsecond), RequestID: s.ids(), TraceID: current.trace,
		Subject: current.principal.Subject, Project: current.principal.Project,
		Operation: operation, Method: knownMethod(current.request, r),
	}
	if entry.Tenant == "" {
		return entry
	}
	entry.Path = audit.Clip(r.URL.EscapedPath(), maxAuditPath)
	entry.Reason = audit.Clip(r.Header.Get("X-Stella-Reason"), maxAuditReason)
	entry.Ticket = audit.Clip(r.Header.Get("X-Stella-Ticket"), maxAuditReason)
	return entry
}
