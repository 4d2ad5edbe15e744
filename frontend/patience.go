package frontend

import (
	"context"
	"time"

	"github.com/labstack/echo/v4"
)

// How long the API works on a request before it answers 503. A connection to
// the database that has fallen silent says nothing by itself, for minutes or for
// ever: without these bounds a request would wait as long. docs/torture.md has
// them in a table.
const (
	// requestPatience bounds what reads and writes a few rows.
	requestPatience = 10 * time.Second
	// readPatience bounds what reads many: pages, counts (what was counted until
	// then shortens the next one), documents and a bundle's list of files.
	readPatience = 30 * time.Second
	// batchPatience bounds the recording of one batch of an import. A batch may
	// stand behind another of its tenant for as long as the database lets it
	// (lock_timeout, 30 s).
	batchPatience = time.Minute
)

// patienceOf has the operations that are not bound by requestPatience, 0 for
// those that bound their steps themselves: they last as long as bytes move.
var patienceOf = map[string]time.Duration{
	"DownloadRun":     0,
	"StreamEvents":    0,
	"VerifyRun":       0, // verifyPatience
	"ImportDocuments": 0,

	"ImportPolicySnapshot": 0, // packPatience, then readPatience to compile, and requestPatience to record

	"ExportAudit":    0,
	"GetOffboarding": 0,
	"DownloadRunV1":  0,
	"StreamEventsV1": 0,
	"CreateRun":      0,             // a dry run counts for pricePatience
	"GetRunPlan":     pricePatience, // what was left out is counted over the whole ledger

	"GetRunDiff": pricePatience, // it reads two lists of the ledger

	"GetManifest":   readPatience,
	"GetProvenance": readPatience,
	"ListDocuments": readPatience,
	"GetDocument":   readPatience,
	"LedgerStats":   readPatience,
}

// bounded ends the work on a request in time. The answer is written outside of
// it: a slow reader is bounded by the server's write timeout.
func bounded(next StrictHandlerFunc, operation string) StrictHandlerFunc {
	patience, special := patienceOf[operation]
	if !special {
		patience = requestPatience
	}
	if patience == 0 {
		return next
	}
	return func(c echo.Context, request any) (any, error) {
		ctx, cancel := context.WithTimeout(c.Request().Context(), patience)
		defer cancel()
		whole := c.Request()
		defer c.SetRequest(whole)
		c.SetRequest(whole.WithContext(ctx))
		return next(c, request)
	}
}
