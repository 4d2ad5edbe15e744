package frontend

import (
	"context"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

type headKey struct{}

// headAsGet lets HEAD find the way of GET: it gets the same headers (RFC 9110
// section 9.3.2), and net/http, which keeps the request that was sent, drops the
// body.
func headAsGet(r *http.Request) *http.Request {
	if r.Method != http.MethodHead {
		return r
	}
	r = r.WithContext(context.WithValue(r.Context(), headKey{}, true))
	r.Method = http.MethodGet
	return r
}

// asSent gives r the method that was sent, for those who would read a whole
// archive for nobody.
func asSent(r *http.Request) *http.Request {
	if r.Context().Value(headKey{}) == nil {
		return r
	}
	r = r.WithContext(r.Context())
	r.Method = http.MethodHead
	return r
}

// nothingHere answers requests that no operation takes: 405 with the methods
// that the path has (RFC 9110 section 15.5.6), 404 when it has none.
func nothingHere(e *echo.Echo) echo.HandlerFunc {
	return func(c echo.Context) error {
		allowed := methodsOf(e, c.Request())
		if len(allowed) == 0 {
			return echo.ErrNotFound
		}
		c.Response().Header().Set("Allow", strings.Join(allowed, ", "))
		return echo.ErrMethodNotAllowed
	}
}

// methodsOf asks the router for each method whether r's path has an operation.
func methodsOf(e *echo.Echo, r *http.Request) []string {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := e.AcquireContext()
		probe.Reset(r, nil)
		e.Router().Find(method, echo.GetPath(r), probe)
		if path := probe.Path(); path != "" && !strings.HasSuffix(path, "*") {
			allowed = append(allowed, method)
			if method == http.MethodGet {
				allowed = append(allowed, http.MethodHead)
			}
		}
		e.ReleaseContext(probe)
	}
	return allowed
}
