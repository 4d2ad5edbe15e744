package frontend

import (
	"context"
	"net/http"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/profiles"
)

// announceReading writes into the record of each tenant whose evidence a run will
// read, and of the run's own, who reads it under which approval. It comes before
// anything of it is told or promised: what cannot be recorded is not done.
func (s *Server) announceReading(ctx context.Context, run export.Run, dryRun bool) error {
	return s.tellReading(ctx, run, dryRun, audit.Entry{})
}

// takeBackReading writes into the same records that the request was refused after
// all, for want of room or for its key: nothing is read. It gives why.
func (s *Server) takeBackReading(ctx context.Context, run export.Run, dryRun bool, why error) error {
	problem := s.problemOf(ctx, why)
	if run.Reach == nil || problem.Status >= http.StatusInternalServerError {
		return why // nobody knows whether there is a run
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), auditPatience)
	defer cancel()
	if err := s.tellReading(ctx, run, dryRun, audit.Entry{Status: problem.Status, Code: problem.Code}); err != nil {
		return err
	}
	return why
}

// tellReading writes an entry per approval into both records, those of a record together.
func (s *Server) tellReading(ctx context.Context, run export.Run, dryRun bool, outcome audit.Entry) error {
	if run.Reach == nil {
		return nil
	}
	var pages []*auditPage
	for _, entry := range s.readingEntries(ctx, run, dryRun) {
		entry.Status, entry.Code = outcome.Status, outcome.Code
		page, err := s.pen.join(entry)
		if err != nil {
			return unrecorded(err)
		}
		pages = append(pages, page)
	}
	for _, page := range pages {
		if err := page.wait(ctx); err != nil {
			return unrecorded(err)
		}
	}
	return nil
}

func (s *Server) readingEntries(ctx context.Context, run export.Run, dryRun bool) (entries []audit.Entry) {
	for _, a := range run.Reach.Approvals {
		entry := callOf(ctx).entry
		entry.Event, entry.At = audit.TenantRead, s.clock()
		entry.Reason, entry.Ticket = "", "" // the reader's words for its own record
		entry.Reading = &audit.Reading{Reader: run.Tenant, Tenant: a.Tenant, Project: a.Project, Profile: run.ProfileName,
			Approver: a.Approver, ExpiresAt: a.ExpiresAt.UTC(), Approval: profiles.EnvelopeDigest(a), DryRun: dryRun}
		if !dryRun {
			entry.Reading.RunID = run.ID
		}
		own := entry.Project
		for _, chain := range []string{a.Tenant, run.Tenant} {
			if entry.Tenant, entry.Project = chain, own; chain == a.Tenant {
				entry.Project = projectClaim(a.Project) // a project is a word of its own tenant
			}
			entries = append(entries, entry)
		}
	}
	return entries
}
