package frontend

import (
	"context"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/profiles"
)

// announceReading writes into the record of each tenant whose evidence a run will
// read, and of the run's own, who reads it under which approval. It comes before
// anything of it is told or promised: what cannot be recorded is not done.
func (s *Server) announceReading(ctx context.Context, run export.Run, dryRun bool) error {
	if run.Reach == nil {
		return nil
	}
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
			if err := s.pen.write(ctx, entry); err != nil {
				return unrecorded(err)
			}
		}
	}
	return nil
}
