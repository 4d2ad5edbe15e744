package frontend

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/profiles"
	"github.com/stella-ops/exportcenter/storage"
)

// projectOf is the project whose evidence a run reads, and which the run belongs
// to: the token's, or of a token without one the project that is asked for.
func projectOf(who Principal, projects []string) (string, error) {
	const field = "selectors.projects"
	switch {
	case len(projects) == 0:
		return who.Project, nil
	case who.Project != "" && !slices.Equal(projects, []string{who.Project}):
		return "", fieldError(export.CodeSelector, field, "the token is of project %s and reads that one only", who.Project)
	case len(projects) > 1:
		return "", fieldError(export.CodeSelector, field, "has %d projects; this version reads one per run: make a run for each", len(projects))
	}
	return projectClaim(projects[0]), nil
}

// checkTenants wants the own tenant among those that are read.
func checkTenants(who Principal, tenants []string) error {
	if len(tenants) > 0 && !slices.Contains(tenants, who.Tenant) {
		return fieldError(export.CodeSelector, "selectors.tenants", "does not contain %s, the tenant of the run", who.Tenant)
	}
	return nil
}

// reachOf is what a run reads that names other tenants: everything that approvals of
// its profile cover, as of now. nil for a run that names none.
//
// A tenant that may not be read is refused in the same words whatever the reason:
// nobody learns whether it exists. The log has the reason. A tenant's rows are only
// asked for when a key that this installation trusts has signed that they may be.
func (s *Server) reachOf(ctx context.Context, who Principal, profile export.Profile, run export.Run) (*export.Reach, error) {
	others := run.Selectors.OtherTenants(who.Tenant)
	if len(others) == 0 {
		return nil, nil //nolint:nilnil // most runs have none
	}
	reach := &export.Reach{}
	for _, tenant := range others { // sorted
		readings, approvals, err := s.reading(ctx, run, profile, tenant)
		var refused *refusedReading
		if errors.As(err, &refused) {
			s.log.LogAttrs(ctx, slog.LevelInfo, "the evidence of another tenant is refused", slog.String("tenant", who.Tenant),
				slog.String("profile", profile.ID), slog.String("traceId", callOf(ctx).trace), slog.Any("reason", refused))
			return nil, fieldError(export.CodeCrossTenant, "selectors.tenants",
				"the evidence of another tenant is read only when the installation allows it and a signed approval of profile %s covers it now; that is not so for %.63q (docs/cross-tenant.md)", profile.Name, tenant)
		}
		if err != nil {
			return nil, err
		}
		reach.Approvals = append(reach.Approvals, approvals...)
		reach.Readings = append(reach.Readings, readings...)
	}
	head, err := s.cfg.Ledger.Head(ctx, who.Tenant)
	if err != nil {
		return nil, fmt.Errorf("read ledger head: %w", err)
	}
	reach.Readings = append(reach.Readings, export.Reading{Tenant: who.Tenant, Project: ledger.ProjectName(run.Project), AsOf: head})
	if len(reach.Readings) > maxReadings {
		return nil, fieldError(export.CodeSelector, "selectors.tenants", "the approvals cover %d projects; a run reads at most %d: approve them one by one, and make a run for each part", len(reach.Readings), maxReadings)
	}
	slices.SortStableFunc(reach.Readings, func(a, b export.Reading) int { return strings.Compare(a.Tenant, b.Tenant) })
	return reach, nil
}

// maxReadings bounds what one run reads: the list is in its row.
const maxReadings = 1000

// refusedReading is why another tenant is not read; it goes to the log.
type refusedReading struct{ reason error }

func (r *refusedReading) Error() string { return r.reason.Error() }

// reading gives what a run of profile's reads of another tenant, and what lets it:
// by the database's clock, and by that of the request, which the manifest names.
func (s *Server) reading(ctx context.Context, run export.Run, profile export.Profile, tenant string) ([]export.Reading, []export.Approval, error) {
	var signed []export.Approval
	reason := errors.New("the profile has no approval for it")
	for _, a := range profile.Config.Approvals {
		if a.Tenant != tenant {
			continue
		}
		if _, err := s.cfg.CrossTenant.Opened(a, run.Tenant, profile); err != nil {
			reason = err
			continue
		}
		signed = append(signed, a)
	}
	if len(signed) == 0 {
		return nil, nil, &refusedReading{reason}
	}
	there, err := s.cfg.Neighbours.Look(ctx, tenant)
	switch {
	case errors.Is(err, storage.ErrNotFound):
		return nil, nil, &refusedReading{errors.New("there is no such tenant")}
	case err != nil:
		return nil, nil, err
	case !there.Active:
		return nil, nil, &refusedReading{errors.New("the tenant is suspended")}
	}
	holding := slices.DeleteFunc(signed, func(a export.Approval) bool {
		return !there.Now.Before(a.ExpiresAt) || !run.RequestedAt.Before(a.ExpiresAt)
	})
	if len(holding) == 0 {
		return nil, nil, &refusedReading{errors.New("the approval has expired")}
	}
	chosen := profiles.Covering(holding)
	var readings []export.Reading
	for _, project := range there.Projects {
		if slices.ContainsFunc(chosen, func(a export.Approval) bool { return a.Covers(tenant, project) }) {
			readings = append(readings, export.Reading{Tenant: tenant, Project: project, AsOf: there.Head})
		}
	}
	return readings, chosen, nil
}
