package postgres

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// profileSQL reads profiles with their newest revision; revisionSQL with all.
const (
	profileColumns = `
		select h.tenant, h.project, h.id, r.revision, h.name, h.kind, h.variant, r.config, r.created_by, r.created_at,
			h.version, h.description, h.labels, h.updated_by, h.updated_at, h.archived_by, h.archived_at
		from export_profile_heads h join export_profiles r on r.tenant = h.tenant and r.id = h.id`
	profileSQL  = profileColumns + " and r.revision = h.revision"
	revisionSQL = profileColumns
)

func oneProfile(row pgx.Row) (export.Profile, error) {
	var p export.Profile
	var archivedBy *string
	var archivedAt *time.Time
	err := row.Scan(&p.Tenant, &p.Project, &p.ID, &p.Revision, &p.Name, &p.Kind, &p.Variant, &p.Config, &p.CreatedBy, &p.CreatedAt,
		&p.Version, &p.Description, &p.Labels, &p.UpdatedBy, &p.UpdatedAt, &archivedBy, &archivedAt)
	if err != nil {
		return export.Profile{}, err
	}
	if p.Project == noProject {
		p.Project = ""
	}
	if len(p.Labels) == 0 {
		p.Labels = nil
	}
	p.CreatedAt, p.UpdatedAt = p.CreatedAt.UTC(), p.UpdatedAt.UTC()
	p.ArchivedBy, p.ArchivedAt = textOf(archivedBy), timeOf(archivedAt)
	return p, nil
}

func collectProfile(row pgx.CollectableRow) (export.Profile, error) { return oneProfile(row) }

// presentProfile says in our words that there is no such profile.
func presentProfile(ref string, err error) error {
	if !errors.Is(err, pgx.ErrNoRows) {
		return err
	}
	return &export.Error{Code: export.CodeProfileNotFound, Class: export.ClassPermanent, Field: "profileId",
		Message: fmt.Sprintf("there is no profile %.80q", ref), Err: storage.ErrNotFound}
}

// GetProfile gives a profile by id or name, or a built-in one. No name reads
// like an id, so there is at most one.
func (p *Profiles) GetProfile(ctx context.Context, tenant, ref string) (profile export.Profile, err error) {
	if builtin, ok := export.BuiltinProfile(ref); ok {
		builtin.Tenant = tenant
		return builtin, nil
	}
	column := "name"
	if export.ValidRunID(ref) {
		column = "id"
	}
	err = p.db.readOnce(ctx, tenant, func(rows pgx.Rows) (err error) {
		profile, err = pgx.CollectExactlyOneRow(rows, collectProfile)
		return presentProfile(ref, err)
	}, profileSQL+" where h.tenant = $1 and h."+column+" = $2", tenant, storable(ref))
	if err != nil {
		return export.Profile{}, fmt.Errorf("get profile: %w", err)
	}
	return profile, nil
}

// ListRevisions gives a profile's revisions, newest first.
func (p *Profiles) ListRevisions(ctx context.Context, tenant, id string, below, limit int) (revisions []export.Profile, err error) {
	if builtin, ok := export.BuiltinProfile(id); ok {
		if builtin.Tenant = tenant; below != 0 && builtin.Revision >= below {
			return nil, nil
		}
		return []export.Profile{builtin}, nil
	}
	err = p.db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, revisionSQL+`
			where h.tenant = $1 and h.id = $2 and ($3 = 0 or r.revision < $3) order by r.revision desc limit $4`,
			tenant, storable(id), below, min(max(limit, 1), maxPage))
		if err != nil {
			return err
		}
		if revisions, err = pgx.CollectRows(rows, collectProfile); err != nil || len(revisions) > 0 {
			return err
		}
		var found bool
		err = tx.QueryRow(ctx, "select true from export_profile_heads where tenant = $1 and id = $2", tenant, storable(id)).Scan(&found)
		return presentProfile(id, err)
	})
	if err != nil {
		return nil, fmt.Errorf("list revisions: %w", err)
	}
	return revisions, nil
}

// ListProfiles gives a page of profiles, ordered by name.
func (p *Profiles) ListProfiles(ctx context.Context, tenant string, f storage.ProfileFilter) ([]export.Profile, string, error) {
	query, args, err := profileQuery(tenant, f)
	if err != nil {
		return nil, "", err
	}
	var own []export.Profile
	err = p.db.readOnce(ctx, tenant, func(rows pgx.Rows) (err error) {
		own, err = pgx.CollectRows(rows, collectProfile)
		return err
	}, query, args...)
	if err != nil {
		return nil, "", fmt.Errorf("list profiles: %w", err)
	}
	return storage.ProfilePage(tenant, own, f)
}

func profileQuery(tenant string, f storage.ProfileFilter) (string, []any, error) {
	after, err := f.After()
	if err != nil {
		return "", nil, err
	}
	if f.Limit < 1 || f.Limit > maxPage {
		return "", nil, &export.Error{Code: export.CodeValidation, Class: export.ClassPermanent, Field: "limit",
			Message: fmt.Sprintf("limit is %d; it must be 1 to %d", f.Limit, maxPage)}
	}
	where, args := []string{"h.tenant = $1", "h.name > $2"}, []any{tenant, after}
	for _, equal := range []struct{ column, value string }{{"project", f.Project}, {"kind", f.Kind}, {"variant", f.Variant}} {
		if equal.value != "" {
			args = append(args, storable(equal.value))
			where = append(where, "h."+equal.column+" = $"+strconv.Itoa(len(args)))
		}
	}
	switch f.Archived {
	case storage.ArchivedInclude:
	case storage.ArchivedOnly:
		where = append(where, "h.archived_at is not null")
	default:
		where = append(where, "h.archived_at is null")
	}
	args = append(args, f.Limit+1)
	return profileSQL + " where " + strings.Join(where, " and ") + " order by h.name limit $" + strconv.Itoa(len(args)), args, nil
}
