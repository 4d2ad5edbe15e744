package frontend

import (
	"context"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/stella-ops/exportcenter/audit"
)

// call is what a handler knows of the request it answers, besides its
// parameters. It travels in the request's context because strict handlers see
// nothing else.
type call struct {
	trace     string
	principal Principal
	request   *http.Request
	audited   bool // it is in the audit record as begun, by entry
	entry     audit.Entry
}

type callKey struct{}

// callOf gives the call of ctx. Every request has one.
func callOf(ctx context.Context) *call {
	if c, ok := ctx.Value(callKey{}).(*call); ok {
		return c
	}
	return &call{}
}

// begin gives the request its call. It comes before all other middleware.
func (s *Server) begin(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		current := &call{trace: s.traceID(c.Request())}
		ctx := context.WithValue(c.Request().Context(), callKey{}, current)
		c.SetRequest(c.Request().WithContext(ctx))
		current.request = asSent(c.Request())
		return next(c)
	}
}

// traceID takes the trace id of a well-formed traceparent header (W3C Trace
// Context section 3.2) and makes one otherwise.
func (s *Server) traceID(r *http.Request) string {
	parts := strings.Split(r.Header.Get("traceparent"), "-")
	if len(parts) >= 4 && len(parts[0]) == 2 && isTraceID(parts[1]) {
		return parts[1]
	}
	return strings.ReplaceAll(s.ids(), "-", "")
}

func isTraceID(s string) bool {
	if len(s) != 32 || s == strings.Repeat("0", 32) {
		return false
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
