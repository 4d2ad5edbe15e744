package frontend

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"

	"github.com/stella-ops/exportcenter/export"
)

// deprecationExtension says of a deprecated operation since when, until when, and
// what to call instead.
const deprecationExtension = "x-stella-deprecation"

// deprecation is what clients are told of an operation that will go.
type deprecation struct {
	since, sunset time.Time
	successor     string // a path; its parameters are those of the operation
}

// loadDeprecations reads what the OpenAPI document says of its deprecated
// operations. One that does not say when it goes, or what comes instead, is an error.
func loadDeprecations(spec []byte) (map[string]deprecation, error) {
	doc, err := openapi3.NewLoader().LoadFromData(spec)
	if err != nil {
		return nil, fmt.Errorf("read OpenAPI document: %w", err)
	}
	all := map[string]deprecation{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if !op.Deprecated {
				continue
			}
			said, _ := op.Extensions[deprecationExtension].(map[string]any)
			day := func(name string) time.Time {
				text, _ := said[name].(string)
				at, _ := time.Parse(time.DateOnly, text)
				return at
			}
			d := deprecation{since: day("since"), sunset: day("sunset")}
			d.successor, _ = said["successor"].(string)
			if d.since.IsZero() || !d.sunset.After(d.since) || doc.Paths.Value(d.successor) == nil {
				return nil, fmt.Errorf("OpenAPI document: %s %s is deprecated: %s must have since and sunset, days in this order, and successor, a path of the document",
					method, path, deprecationExtension)
			}
			all[op.OperationID] = d
		}
	}
	return all, nil
}

// deprecated tells every caller of an operation that it will go (RFC 9745, RFC
// 8594), and its tenant once a day by an event.
func (s *Server) deprecated(operation string, d deprecation) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			h := c.Response().Header()
			h.Set("Deprecation", "@"+strconv.FormatInt(d.since.Unix(), 10))
			h.Set("Sunset", d.sunset.Format(http.TimeFormat))
			h.Set("Link", "<"+d.pathFor(c)+`>; rel="successor-version"`)
			s.notify(c.Request().Context(), operation, d)
			return next(c)
		}
	}
}

// pathFor is the successor's path with the parameters of the call.
func (d deprecation) pathFor(c echo.Context) string {
	path := d.successor
	for _, name := range c.ParamNames() {
		if value := c.Param(name); export.ValidRunID(value) { // nothing that a header could not hold
			path = replaceParameter(path, name, value)
		}
	}
	return path
}

// notify records that a tenant calls what will go. It is news, no condition: the
// call goes on without it.
func (s *Server) notify(ctx context.Context, operation string, d deprecation) {
	who, now := callOf(ctx).principal, s.clock().UTC()
	about := who.Tenant + "\n" + operation
	if who.Tenant == "" || s.notices.knows(about, now) {
		return
	}
	timed, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditPatience)
	defer cancel()
	err := s.cfg.Notices.Notice(timed, export.NewNotice(who.Tenant, export.NoticeDeprecated, operation, now, map[string]string{
		"operation": operation, "successor": d.successor, "subject": who.Subject,
		"deprecatedSince": d.since.Format(time.DateOnly), "sunset": d.sunset.Format(time.DateOnly),
	}))
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "a notice could not be recorded",
			slog.String("tenant", who.Tenant), slog.String("operation", operation), slog.Any("error", err))
		return
	}
	s.notices.note(about, now)
}

// daily remembers what was noticed on the current day (UTC), within bounds: what
// it forgets is recorded twice and kept once.
type daily struct {
	mu   sync.Mutex
	day  string
	seen map[string]bool
}

const maxDaily = 100_000

// knows reports whether key was noted today.
func (d *daily) knows(key string, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.day == now.Format(time.DateOnly) && d.seen[key]
}

func (d *daily) note(key string, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if day := now.Format(time.DateOnly); day != d.day || len(d.seen) >= maxDaily {
		d.day, d.seen = day, map[string]bool{}
	}
	d.seen[key] = true
}
