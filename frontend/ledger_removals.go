package frontend

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

const (
	// maxRemoved is how many documents one call may remove: they fit into a body.
	maxRemoved = 1000
	// clockApart is how far a caller's clock may be ahead of ours.
	clockApart = 5 * time.Minute
)

// removedHeader says of a document that it is gone now: when, and under which
// sequence that was recorded.
const removedHeader = "X-Stella-Removed"

// RemoveDocuments records that documents are not published any more.
func (h handlers) RemoveDocuments(ctx context.Context, req RemoveDocumentsRequestObject) (RemoveDocumentsResponseObject, error) {
	batch, err := h.removalsOf(callOf(ctx).principal, *req.Body)
	if err != nil {
		return nil, err
	}
	counts, err := h.cfg.Ledger.Remove(ctx, callOf(ctx).principal.Tenant, batch)
	if err != nil {
		return nil, fmt.Errorf("remove documents: %w", err)
	}
	result := RemovalResult{Read: counts.Read, Removed: counts.Removed, Unchanged: counts.Unchanged,
		Superseded: counts.Superseded, Absent: counts.Absent, Errors: []RemovalError{}}
	told := func(n int, reason string) {
		result.Errors = append(result.Errors, RemovalError{Document: n + 1, Identity: req.Body.Documents[n], Reason: reason})
	}
	for _, n := range counts.Missing {
		told(n, "the ledger has no document with this source, stream, kind and upstream id; GET /api/ledger/documents lists what it has")
	}
	for _, s := range counts.Standing {
		told(s.Position, "it stays: the revision that stands was modified at "+s.Modified+", after the time of the removal; state no time, or a later one, if that is gone too")
	}
	slices.SortFunc(result.Errors, func(a, b RemovalError) int { return a.Document - b.Document })
	return RemoveDocuments200JSONResponse(result), nil
}

// removalsOf checks a request. Its time must have come: a removal holds against
// everything that was modified until then.
func (s *Server) removalsOf(who Principal, body RemovalRequest) ([]ledger.Removal, error) {
	if n := len(body.Documents); n < 1 || n > maxRemoved {
		return nil, fieldError(export.CodeValidation, "documents", "must have 1 to %d members", maxRemoved)
	}
	var at time.Time
	if body.Time != nil {
		if at = body.Time.UTC(); at.IsZero() || at.After(s.clock().Add(clockApart)) {
			return nil, fieldError(export.CodeValidation, "time", "must be after the beginning of year 1, and not in the future: a document can be removed when it is gone")
		}
	}
	batch := make([]ledger.Removal, len(body.Documents))
	for i, d := range body.Documents {
		r := ledger.Removal{Time: at, Reason: body.Reason, By: audit.Clip(who.Subject, ledger.MaxReason),
			Identity: ledger.Identity{Project: who.Project, Kind: ledger.Kind(d.Kind), Source: d.Source, Stream: d.Stream, UpstreamID: d.UpstreamID}}
		if err := r.Validate(); err != nil {
			return nil, fieldError(export.CodeValidation, fmt.Sprintf("documents[%d]", i), "%v", err)
		}
		batch[i] = r
	}
	return batch, nil
}

// removalDocument is a removal as clients see it; nil of what is not removed.
func removalDocument(r *ledger.Removal) *DocumentRemoval {
	if r == nil {
		return nil
	}
	return &DocumentRemoval{Time: r.Time.UTC(), Reason: r.Reason, By: r.By}
}

// removedOf is the value of removedHeader, "" for what is not removed.
func removedOf(r *ledger.Removal, seq int64) string {
	if r == nil {
		return ""
	}
	return strings.Join([]string{r.Time.UTC().Format(time.RFC3339Nano), fmt.Sprintf("seq=%d", seq)}, "; ")
}
