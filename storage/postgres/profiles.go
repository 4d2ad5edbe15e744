package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Profiles keeps the profiles that tenants make. Revisions never change.
type Profiles struct{ db *DB }

// NewProfiles makes the store of profiles.
func NewProfiles(db *DB) *Profiles { return &Profiles{db: db} }

// CreateProfile records a revision of a profile. ErrConflict when there is one
// of this number already, under this id or this name.
func (p *Profiles) CreateProfile(ctx context.Context, profile export.Profile) error {
	config, err := jsonColumn(profile.Config, "{}")
	if err != nil {
		return fmt.Errorf("create profile: %w", err)
	}
	err = p.db.WithTenant(ctx, profile.Tenant, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			insert into export_profiles (tenant, project, id, revision, name, kind, variant, config, created_by, created_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing`,
			profile.Tenant, projectColumn(profile.Project), profile.ID, profile.Revision, profile.Name,
			profile.Kind, profile.Variant, config, profile.CreatedBy, profile.CreatedAt)
		if err == nil && tag.RowsAffected() == 0 {
			err = &export.Error{Code: export.CodeStateConflict, Class: export.ClassPermanent, Field: "name", Err: storage.ErrConflict,
				Message: fmt.Sprintf("there is a profile %q of revision %d already", profile.Name, profile.Revision)}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("create profile: %w", err)
	}
	return nil
}

// GetProfile gives the latest revision of a profile by id, or a built-in one
// by id or catalogue name ("json:raw").
func (p *Profiles) GetProfile(ctx context.Context, tenant, id string) (export.Profile, error) {
	if builtin, ok := export.BuiltinProfile(id); ok {
		builtin.Tenant = tenant
		return builtin, nil
	}
	var profile export.Profile
	var project string
	err := p.db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, `
			select tenant, project, id, revision, name, kind, variant, config, created_by, created_at
			from export_profiles where tenant = $1 and id = $2 order by revision desc limit 1`, tenant, storable(id)).
			Scan(&profile.Tenant, &project, &profile.ID, &profile.Revision, &profile.Name, &profile.Kind,
				&profile.Variant, &profile.Config, &profile.CreatedBy, &profile.CreatedAt)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		err = &export.Error{Code: export.CodeProfileNotFound, Class: export.ClassPermanent, Field: "profileId",
			Message: fmt.Sprintf("there is no profile %.80q", id), Err: storage.ErrNotFound}
	}
	if err != nil {
		return export.Profile{}, fmt.Errorf("get profile: %w", err)
	}
	if project != noProject {
		profile.Project = project
	}
	profile.CreatedAt = profile.CreatedAt.UTC()
	return profile, nil
}
