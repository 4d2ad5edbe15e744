package frontend

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"

	"github.com/labstack/echo/v4"
)

// observe answers errors and panics, and writes one line per request. The line
// has the route, not the address: queries and headers may hold secrets.
func (s *Server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := s.clock()
		aborted := true
		defer func() {
			s.logRequest(c, s.clock().Sub(began).Milliseconds(), aborted)
		}()
		if err := s.guarded(next, c); err != nil {
			committed := c.Response().Committed
			s.fail(err, c)
			if committed {
				// Part of an answer is out; only a broken connection says that it is not all.
				panic(http.ErrAbortHandler)
			}
		}
		aborted = false
		return nil
	}
}

// guarded runs next and turns a panic into an error, except the one that asks
// the server to break the connection.
func (s *Server) guarded(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		switch r := recover(); r {
		case nil:
		case http.ErrAbortHandler:
			panic(r)
		default:
			err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	return next(c)
}

func (s *Server) logRequest(c echo.Context, millis int64, aborted bool) {
	current := callOf(c.Request().Context())
	level := slog.LevelInfo
	if strings.HasPrefix(c.Path(), "/health/") {
		level = slog.LevelDebug
	}
	s.log.LogAttrs(c.Request().Context(), level, "request",
		slog.String("method", current.request.Method), slog.String("route", c.Path()),
		slog.Int("status", c.Response().Status), slog.Int64("bytes", c.Response().Size),
		slog.Int64("ms", millis), slog.Bool("aborted", aborted),
		slog.String("tenant", current.principal.Tenant), slog.String("subject", current.principal.Subject),
		slog.String("traceId", current.trace))
}
