package frontend

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// meaning is what a code is in HTTP (CONTRACT section 4).
type meaning struct {
	status int
	title  string
}

var meanings = map[export.Code]meaning{
	export.CodeValidation:      {http.StatusBadRequest, "Invalid request"},
	export.CodeProfileNotFound: {http.StatusNotFound, "Profile not found"},
	export.CodeRunNotFound:     {http.StatusNotFound, "Run not found"},
	export.CodeSelector:        {http.StatusBadRequest, "Invalid selector"},
	export.CodePolicySnapshot:  {http.StatusUnprocessableEntity, "Policy snapshot required"},
	export.CodeBaseManifest:    {http.StatusConflict, "Base manifest mismatch"},
	export.CodeConcurrency:     {http.StatusTooManyRequests, "Too many runs"},
	export.CodeCrossTenant:     {http.StatusForbidden, "Cross-tenant selection not approved"},
	export.CodeStateConflict:   {http.StatusConflict, "State conflict"},
	export.CodeSchemaVersion:   {http.StatusUnprocessableEntity, "Schema version unsupported"},
	export.CodeSigning:         {http.StatusBadGateway, "Signing failed"},
	export.CodeDistribution:    {http.StatusBadGateway, "Distribution failed"},
	export.CodeRecipient:       {http.StatusUnprocessableEntity, "Encryption recipient missing"},
	export.CodeNotReady:        {http.StatusConflict, "Not ready"},
	export.CodeExpired:         {http.StatusGone, "Expired"},
	export.CodeAOC:             {http.StatusUnprocessableEntity, "Aggregation-only contract violated"},
	export.CodeOffline:         {http.StatusForbidden, "Offline mode forbids the target"},
	export.CodeEmptySelection:  {http.StatusUnprocessableEntity, "Empty selection"},
	export.CodeDocNotFound:     {http.StatusNotFound, "Document not found"},
	export.CodeTooLarge:        {http.StatusRequestEntityTooLarge, "Too large"},
	export.CodeIdempotency:     {http.StatusUnprocessableEntity, "Idempotency key was used for another request"},
	export.CodeIfMatch:         {http.StatusPreconditionRequired, "Precondition required"},
	export.CodeChanged:         {http.StatusPreconditionFailed, "Changed meanwhile"},
	export.CodeNoSnapshot:      {http.StatusNotFound, "Policy snapshot not found"},
	export.CodeQuota:           {http.StatusTooManyRequests, "Quota exhausted"},
	export.CodeAuth:            {http.StatusUnauthorized, "Not authenticated"},
	export.CodeScope:           {http.StatusForbidden, "Scope missing"},
	export.CodeTenantRequired:  {http.StatusForbidden, "Tenant required"},
	export.CodeTenantSuspended: {http.StatusForbidden, "Tenant suspended"},
	export.CodeTenantNotFound:  {http.StatusNotFound, "Tenant not found"},
	export.CodeUnavailable:     {http.StatusServiceUnavailable, "Unavailable"},
	export.CodeRejected:        {http.StatusConflict, "Result rejected"},
	export.CodeUndecided:       {http.StatusConflict, "Nobody decided"},
	export.CodeRebuild:         {http.StatusConflict, "Other bytes came out"},
	export.CodeInternal:        {http.StatusInternalServerError, "Internal error"},
}

const problemType = "urn:stellaops:error:"

// fail answers a request with err. It is Echo's error handler and the only
// place where an error becomes HTTP. Texts of other systems stay in the log.
func (s *Server) fail(err error, c echo.Context) {
	s.writeProblem(c.Request().Context(), c.Response(), err, c.Response().Committed)
}

func (s *Server) writeProblem(ctx context.Context, w http.ResponseWriter, err error, committed bool) {
	problem := s.problemOf(ctx, err)
	if problem.Status >= http.StatusInternalServerError {
		s.log.LogAttrs(ctx, slog.LevelError, "request failed",
			slog.String("traceId", problem.TraceID), slog.String("code", problem.Code), slog.Any("error", err))
	}
	if committed {
		return
	}
	h := w.Header()
	s.challenge(h, err, problem)
	if limit, after, used := usedUp(err); used {
		setQuota(h, limit, after, s.clock())
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(problem.Status)
	if err := json.NewEncoder(w).Encode(problem); err != nil {
		s.log.LogAttrs(ctx, slog.LevelDebug, "client went away", slog.String("traceId", problem.TraceID))
	}
}

// problemOf is the body for err.
func (s *Server) problemOf(ctx context.Context, err error) Problem {
	coded, status := codedOf(err)
	m, known := meanings[coded.Code]
	if !known {
		m = meanings[export.CodeInternal]
	}
	if status == 0 {
		status = m.status
	} else {
		m.title = http.StatusText(status)
	}
	problem := Problem{
		Type: problemType + string(coded.Code), Title: m.title, Status: status,
		Code: string(coded.Code), Message: coded.Message, Details: []ProblemDetail{},
		TraceID: callOf(ctx).trace, Timestamp: s.clock(),
	}
	if coded.Field != "" {
		problem.Details = append(problem.Details, ProblemDetail{Field: coded.Field, Message: coded.Message})
	}
	return problem
}

// codedOf finds the coded error in err or chooses one for it. The status is 0
// when the code decides it.
func codedOf(err error) (*export.Error, int) {
	var coded *export.Error
	var routed *echo.HTTPError
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &coded):
		return coded, 0
	case errors.As(err, &tooLarge):
		return export.Errorf(export.CodeTooLarge, "the body is larger than %d bytes", tooLarge.Limit), 0
	case errors.Is(err, storage.ErrNotFound):
		return errRunNotFound(), 0
	case errors.Is(err, storage.ErrConflict):
		return export.Errorf(export.CodeStateConflict, "the state of the run does not allow this"), 0
	case errors.As(err, &routed):
		return routedError(routed), routed.Code
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return export.Errorf(export.CodeUnavailable, "the request took too long; try again"), 0
	}
	return export.Errorf(export.CodeInternal, "the server failed; its log has the reason under this trace id"), 0
}

// routedError words what Echo and the generated binding found: an unknown
// path, a wrong method, a parameter of another type.
func routedError(err *echo.HTTPError) *export.Error {
	switch err.Code {
	case http.StatusNotFound:
		return export.Errorf(export.CodeValidation, "there is nothing at this path")
	case http.StatusMethodNotAllowed:
		return export.Errorf(export.CodeValidation, "this path does not take this method")
	case http.StatusNotAcceptable, http.StatusUnsupportedMediaType, http.StatusRequestedRangeNotSatisfiable, http.StatusPreconditionFailed:
		return export.Errorf(export.CodeValidation, "%v", err.Message)
	case http.StatusBadRequest:
		// "Invalid format for parameter limit: <text of strconv>"
		text, _ := err.Message.(string)
		text, _, _ = strings.Cut(text, ":")
		return export.Errorf(export.CodeValidation, "%s", strings.TrimSpace("bad request: "+text))
	}
	return export.Errorf(export.CodeInternal, "%s", http.StatusText(err.Code))
}

func errRunNotFound() *export.Error {
	return export.Errorf(export.CodeRunNotFound, "this tenant has no such run")
}
