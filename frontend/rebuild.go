package frontend

import (
	"context"
	"time"

	"github.com/stella-ops/exportcenter/export"
)

// RebuildRun records a run that builds another one again, to compare (docs/rebuild.md).
func (h handlers) RebuildRun(ctx context.Context, req RebuildRunRequestObject) (RebuildRunResponseObject, error) {
	of, err := h.findRun(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	idem, err := keyFor(req.Params.IdempotencyKey, struct{ Project, Rebuild string }{callOf(ctx).principal.Project, of.ID})
	if err != nil {
		return nil, err
	}
	if err := of.Rebuildable(); err != nil {
		return nil, err
	}
	stored, err := h.recordRun(ctx, rebuildOf(of, h.ids(), callOf(ctx).principal.Subject, h.clock()), idem)
	if err != nil {
		return nil, err
	}
	if stored.State == export.StatePending && !stored.DispatchedAt.IsZero() {
		h.deliver(ctx, "start run", stored.Ref(), func(ctx context.Context) error { return h.cfg.Starter.StartRun(ctx, stored) })
	}
	return RebuildRun202JSONResponse{Body: runDocument(stored), Headers: RebuildRun202ResponseHeaders{Location: runPath(stored.ID)}}, nil
}

// rebuildOf is the run that builds of again: it takes what that one took, and has no
// guard, since what it builds is published nowhere.
func rebuildOf(of export.Run, id, by string, now time.Time) export.Run {
	return export.Run{
		Tenant: of.Tenant, Project: of.Project, ID: id, RebuildOf: of.ID,
		ProfileID: of.ProfileID, ProfileRevision: of.ProfileRevision, ProfileName: of.ProfileName, Kind: of.Kind, Variant: of.Variant,
		Selectors: of.Selectors, Options: of.Options, Quotas: export.ProfileQuotas{MaxConcurrentRuns: of.Quotas.MaxConcurrentRuns},
		RequestedBy: by, RequestedAt: now.UTC().Truncate(time.Second), State: export.StatePending,
	}
}

// rebuildDocument is what came of a rebuild as clients see it, nil without that.
func rebuildDocument(r *export.Rebuilt) *Rebuilt {
	if r == nil {
		return nil
	}
	doc := &Rebuilt{Verdict: RebuiltVerdict(r.Verdict), Files: r.Files, Bytes: r.Bytes,
		Recorded: RebuildTool{Version: r.Recorded.Version, Encoder: r.Recorded.Encoder},
		Now:      RebuildTool{Version: r.Now.Version, Encoder: r.Now.Encoder}, NotCompared: append([]string{}, r.NotCompared...)}
	if d := r.First; d != nil {
		doc.First = &RebuildDifference{Path: d.Path, What: RebuildDifferenceWhat(d.What), Offset: d.Offset, Line: d.Line,
			Document: d.Document, Member: d.Member, SameContent: d.SameContent}
	}
	return doc
}
