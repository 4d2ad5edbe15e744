package frontend

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// GetGuardReport gives what the guard found of a run (docs/guard.md).
func (h handlers) GetGuardReport(ctx context.Context, req GetGuardReportRequestObject) (GetGuardReportResponseObject, error) {
	run, err := h.findRun(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	found, err := h.cfg.Runs.GuardReport(ctx, run.Ref())
	if errors.Is(err, storage.ErrNotFound) {
		return nil, export.Errorf(export.CodeNotReady, "there is no report: the run is %s, and the guard looks at what it has built, of kinds that it guards", run.State)
	}
	if err != nil {
		return nil, fmt.Errorf("read the guard's report: %w", err)
	}
	return GetGuardReport200JSONResponse(guardDocument(run.ID, found)), nil
}

// ApproveRun lets a run that waits go on.
func (h handlers) ApproveRun(ctx context.Context, req ApproveRunRequestObject) (ApproveRunResponseObject, error) {
	run, err := h.decide(ctx, req.ID, export.VerdictApproved, req.Body, req.Params.XStellaReason)
	if err != nil {
		return nil, err
	}
	return ApproveRun202JSONResponse(runDocument(run)), nil
}

// RejectRun ends a run that waits.
func (h handlers) RejectRun(ctx context.Context, req RejectRunRequestObject) (RejectRunResponseObject, error) {
	run, err := h.decide(ctx, req.ID, export.VerdictRejected, req.Body, req.Params.XStellaReason)
	if err != nil {
		return nil, err
	}
	return RejectRun202JSONResponse(runDocument(run)), nil
}

// decide records what the caller says of a run, and tells its workflow; what cannot be
// told now the dispatcher tells.
func (s *Server) decide(ctx context.Context, id string, verdict export.Verdict, body *DecisionRequest, header *string) (export.Run, error) {
	given := ""
	if body != nil {
		given = body.Reason
	}
	reason, err := saidReason(given, header)
	if err == nil && reason == "" {
		err = fieldError(export.CodeValidation, "reason", "say why: whoever reads the record later has nothing else")
	}
	if err != nil {
		return export.Run{}, err
	}
	run, err := s.findRun(ctx, id)
	if err != nil {
		return run, err
	}
	run, err = s.cfg.Runs.Decide(ctx, run.Ref(), export.Decision{
		Verdict: verdict, By: callOf(ctx).principal.Subject, Reason: reason, At: s.clock().UTC(),
	})
	if err != nil {
		return run, fmt.Errorf("record the decision: %w", err)
	}
	ref := run.Ref()
	s.deliver(ctx, "decide run", ref, func(ctx context.Context) error { return s.cfg.Starter.DecideRun(ctx, ref) })
	return run, nil
}

// latestAmong bounds the runs that are looked through for a profile's published one:
// runs with selectors of their own are passed over.
const latestAmong = 2000

// latestOf gives the newest run of a profile that succeeded with the profile's own
// selection, in the caller's project: whoever asked for a part of it, or for how it was
// once, has published nothing.
func (h handlers) latestOf(ctx context.Context, who Principal, profile export.Profile) (run export.Run, found bool, err error) {
	own, err := bundle.MarshalCanonical(export.Selectors{Kinds: profile.Config.IncludedKinds()})
	if err != nil {
		return run, false, err
	}
	filter := storage.RunFilter{State: export.StateSucceeded, Profile: profile.ID, Project: who.Project, Limit: 200}
	for seen := 0; seen < latestAmong; seen += filter.Limit {
		runs, next, err := h.cfg.Runs.ListRuns(ctx, who.Tenant, filter)
		if err != nil {
			return run, false, err
		}
		for _, run := range runs {
			selectors, err := bundle.MarshalCanonical(run.Selectors)
			if err != nil {
				return run, false, err
			}
			if run.RebuildOf == "" && run.Project == who.Project && !run.Past() && bytes.Equal(selectors, own) {
				return run, true, nil
			}
		}
		if filter.Cursor = next; next == "" {
			break
		}
	}
	return run, false, nil
}

// GetLatestRun gives the run whose bundle is the published one of a profile.
func (h handlers) GetLatestRun(ctx context.Context, req GetLatestRunRequestObject) (GetLatestRunResponseObject, error) {
	profile, err := h.findProfile(ctx, req.ID)
	if err != nil {
		return nil, err
	}
	who := callOf(ctx).principal
	latest, found, err := h.latestOf(ctx, who, profile)
	if err != nil {
		return nil, fmt.Errorf("find the latest run: %w", err)
	}
	if !found {
		return nil, export.Errorf(export.CodeRunNotFound, "no run of profile %s with the profile's own selection has succeeded yet", profile.Name)
	}
	run, err := h.findRun(ctx, latest.ID) // a list does not tell everything
	if err != nil {
		return nil, err
	}
	return GetLatestRun200JSONResponse(runDocument(run)), nil
}

// waitDocument is a run's wait as clients see it, nil without one.
func waitDocument(w *export.Wait) *RunWait {
	if w == nil {
		return nil
	}
	doc := &RunWait{WaitingSince: w.Since.UTC(), ExpiresAt: w.Until.UTC(), Why: w.Why, ResumedAt: w.ResumedAt}
	if d := w.Decision; d != nil {
		doc.Decision = &RunDecision{Verdict: RunDecisionVerdict(d.Verdict), By: d.By, Reason: d.Reason, At: d.At.UTC()}
	}
	return doc
}

func guardDocument(id string, g storage.Guarded) GuardReport {
	r := g.Report
	doc := GuardReport{
		RunID: id, At: g.At.UTC(), Parked: g.Parked, MaxDropPercent: r.MaxDropPercent, MaxAgeHours: r.MaxAgeHours,
		Reasons: []GuardReason{}, ReasonsTotal: r.ReasonsTotal, Sources: []GuardSource{}, SourcesTotal: r.SourcesTotal,
		Canaries:    []GuardCanary{},
		Disappeared: GuardDisappeared{Total: r.Disappeared.Total, Documents: []GoneDocument{}, Unknown: r.Disappeared.Unknown},
	}
	if b := r.Baseline; b != nil {
		doc.Baseline = &GuardBaseline{RunID: b.RunID, RequestedAt: b.RequestedAt.UTC()}
	}
	for _, reason := range r.Reasons {
		doc.Reasons = append(doc.Reasons, GuardReason{Rule: string(reason.Rule), Source: reason.Source, Stream: reason.Stream,
			Kind: reason.Kind, Canary: reason.Canary, Message: reason.Message})
	}
	for _, s := range r.Sources {
		doc.Sources = append(doc.Sources, GuardSource{Source: s.Source, Stream: s.Stream, Kind: s.Kind, Before: sourceDocument(s.Before), Now: sourceDocument(s.Now)})
	}
	for _, c := range r.Canaries {
		doc.Canaries = append(doc.Canaries, GuardCanary{ID: c.ID, Found: c.Found})
	}
	for _, d := range r.Disappeared.Documents {
		doc.Disappeared.Documents = append(doc.Disappeared.Documents, GoneDocument{ID: d.ID, Source: d.Source, Withdrawn: d.Withdrawn})
	}
	return doc
}

func sourceDocument(s *export.SourceState) *GuardCounts {
	if s == nil {
		return nil
	}
	return &GuardCounts{Documents: s.Documents, Records: s.Records, Newest: s.Newest}
}
