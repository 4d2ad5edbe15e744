package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/profiles"
	"github.com/stella-ops/exportcenter/storage"
)

// Approvals is what a worker asks before it reads the evidence of another tenant.
// The API has asked the same; the worker believes none of it. The zero value lets
// no run read anybody else's.
type Approvals struct {
	Trust      profiles.CrossTenant
	Neighbours storage.Neighbours
	Profiles   storage.Profiles
}

// readingsOf are what a run reads, in order; of a run of its own tenant's evidence
// that is one.
func readingsOf(run export.Run) []export.Reading {
	if run.Reach == nil {
		return []export.Reading{{Tenant: run.Tenant, Project: ledger.ProjectName(run.Project), AsOf: run.AsOf}}
	}
	return run.Reach.Readings
}

// SourceOf is the source of the shards of a reading.
func SourceOf(run export.Run, r export.Reading) string {
	if r.Tenant == run.Tenant {
		return storage.OwnSource()
	}
	return storage.ForeignSource(r.Tenant, r.Project)
}

// readingOf is the reading that shards of a source are from.
func readingOf(run export.Run, source string) (export.Reading, error) {
	for _, r := range readingsOf(run) {
		if SourceOf(run, r) == source {
			return r, nil
		}
	}
	return export.Reading{}, fmt.Errorf("the run does not read %s: %w", source, storage.ErrConflict)
}

// mayRead fails unless everything that a run reads of other tenants is covered, at
// this moment, by approvals that hold: they are still in its profile, are signed by
// keys that this worker trusts, have not ended by the database's clock, and the
// tenants that are read are active. It is asked before anything of theirs is read,
// so an approval must hold until the last of it has been.
func (e *Export) mayRead(ctx context.Context, run export.Run) error {
	others := run.Selectors.OtherTenants(run.Tenant)
	if run.Reach == nil && len(others) == 0 {
		return nil
	}
	if run.Reach == nil || e.Approvals.Neighbours == nil || e.Approvals.Profiles == nil {
		return notAllowed("the evidence of other tenants is not read: nothing that this worker knows of allows it")
	}
	profile, err := e.Approvals.Profiles.GetProfile(ctx, run.Tenant, run.ProfileID)
	if errors.Is(err, storage.ErrNotFound) {
		return notAllowed("the run's profile, which had the approvals, is not there any more")
	}
	if err != nil {
		return fmt.Errorf("read the profile that has the approvals: %w", err)
	}
	for _, a := range run.Reach.Approvals {
		if err := e.holds(ctx, run, profile, a); err != nil {
			return err
		}
	}
	for _, r := range run.Reach.Readings {
		covered := slices.ContainsFunc(run.Reach.Approvals, func(a export.Approval) bool { return a.Covers(r.Tenant, r.Project) })
		if r.Tenant != run.Tenant && !(covered && slices.Contains(others, r.Tenant)) {
			return notAllowed("no approval of the run covers project %s of tenant %s", r.Project, r.Tenant)
		}
	}
	return nil
}

// holds checks one approval.
func (e *Export) holds(ctx context.Context, run export.Run, profile export.Profile, a export.Approval) error {
	if !slices.ContainsFunc(profile.Config.Approvals, func(b export.Approval) bool { return b.Signature == a.Signature }) {
		return notAllowed("the approval to read tenant %s was withdrawn: profile %s does not have it any more", a.Tenant, profile.Name)
	}
	now, err := e.Approvals.Neighbours.Look(ctx, a.Tenant)
	switch {
	case errors.Is(err, storage.ErrNotFound), err == nil && !now.Active:
		return notAllowed("the evidence of tenant %s cannot be read now", a.Tenant)
	case err != nil:
		return err
	}
	if err := e.Approvals.Trust.Check(a, run.Tenant, profile, now.Now); err != nil {
		return notAllowed("the approval to read tenant %s does not hold: %v", a.Tenant, err)
	}
	return nil
}

func notAllowed(format string, args ...any) error {
	return &export.Error{Code: export.CodeCrossTenant, Class: export.ClassPolicy, Message: fmt.Sprintf(format, args...)}
}
