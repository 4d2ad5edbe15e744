package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Profiles keeps the profiles that tenants make: a row of what may change
// (export_profile_heads), and a row per revision that never does
// (export_profiles). A writer holds the head's row.
type Profiles struct{ db *DB }

var _ storage.Profiles = (*Profiles)(nil)

// NewProfiles makes the store of profiles.
func NewProfiles(db *DB) *Profiles { return &Profiles{db: db} }

// CreateProfile records a profile and its first revision; see storage.Profiles.
func (p *Profiles) CreateProfile(ctx context.Context, profile export.Profile, idem storage.Idempotency) (stored export.Profile, created bool, err error) {
	if err := checkNewProfile(profile, idem); err != nil {
		return stored, false, err
	}
	profile.Revision, profile.Version, profile.Config = 1, 1, profile.Config.Normal()
	profile.UpdatedBy, profile.UpdatedAt = profile.CreatedBy, profile.CreatedAt
	err = p.db.WithTenant(ctx, profile.Tenant, func(tx pgx.Tx) error {
		first, err := takeKey(ctx, tx, madeProfile(profile), idem)
		if err != nil {
			return err
		}
		if created = first == ""; created {
			if err := roomForProfile(ctx, tx, profile.Tenant); err != nil {
				return err
			}
			if err := insertProfile(ctx, tx, profile); err != nil {
				return err
			}
			first = profile.ID
		}
		stored, err = oneProfile(tx.QueryRow(ctx, profileSQL+" where h.tenant = $1 and h.id = $2", profile.Tenant, first))
		return err
	})
	if err != nil {
		return export.Profile{}, false, fmt.Errorf("create profile: %w", err)
	}
	return stored, created, nil
}

func checkNewProfile(profile export.Profile, idem storage.Idempotency) error {
	if err := export.CheckProfileName(profile.Name); err != nil {
		return err
	}
	if !export.ValidRunID(profile.ID) || profile.CreatedAt.IsZero() {
		return export.Errorf(export.CodeValidation, "a profile needs a lower-case UUID and the time it was made at")
	}
	return checkKey(idem)
}

func insertProfile(ctx context.Context, tx pgx.Tx, profile export.Profile) error {
	if err := insertRevision(ctx, tx, profile); err != nil {
		return err
	}
	labels, err := jsonColumn(profile.Labels, "{}")
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, `
		insert into export_profile_heads (tenant, project, id, name, kind, variant, revision, version, description, labels, updated_by, updated_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) on conflict do nothing`,
		profile.Tenant, projectColumn(profile.Project), profile.ID, profile.Name, profile.Kind, profile.Variant, profile.Revision,
		profile.Version, profile.Description, labels, profile.UpdatedBy, profile.UpdatedAt)
	if err == nil && tag.RowsAffected() == 0 {
		err = nameTaken(profile.Name)
	}
	return err
}

func nameTaken(name string) error {
	return &export.Error{Code: export.CodeStateConflict, Class: export.ClassPermanent, Field: "name", Err: storage.ErrConflict,
		Message: fmt.Sprintf("name: this tenant has, or had, a profile %q; a name is given once", name)}
}

// insertRevision records the revision that profile has. Its name is part of an
// older unique key than the head's.
func insertRevision(ctx context.Context, tx pgx.Tx, profile export.Profile) error {
	config, err := jsonColumn(profile.Config, "{}")
	if err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, `
		insert into export_profiles (tenant, project, id, revision, name, kind, variant, config, created_by, created_at)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict do nothing`,
		profile.Tenant, projectColumn(profile.Project), profile.ID, profile.Revision, profile.Name,
		profile.Kind, profile.Variant, config, profile.CreatedBy, profile.CreatedAt)
	if err == nil && tag.RowsAffected() == 0 {
		err = nameTaken(profile.Name)
	}
	return err
}

// ChangeProfile changes a profile under the lock of its row.
func (p *Profiles) ChangeProfile(ctx context.Context, tenant, id string, c storage.ProfileChange) (changed export.Profile, err error) {
	err = p.db.WithTenant(ctx, tenant, func(tx pgx.Tx) error {
		var found bool
		err := tx.QueryRow(ctx, "select true from export_profile_heads where tenant = $1 and id = $2 for no key update", tenant, storable(id)).Scan(&found)
		if err != nil {
			return presentProfile(id, err)
		}
		// By a later statement: it sees what the last holder of the row committed.
		before, err := oneProfile(tx.QueryRow(ctx, profileSQL+" where h.tenant = $1 and h.id = $2", tenant, id))
		if err != nil {
			return presentProfile(id, err)
		}
		var differs bool
		if changed, differs, err = c.Apply(before); err != nil || !differs {
			return err
		}
		return saveProfile(ctx, tx, before, changed)
	})
	if err != nil {
		return export.Profile{}, fmt.Errorf("change profile: %w", err)
	}
	return changed, nil
}

func saveProfile(ctx context.Context, tx pgx.Tx, before, after export.Profile) error {
	if after.Revision != before.Revision {
		// What was approved can always be withdrawn; it is put back where there is room.
		if !after.Config.Withdraws(before.Config) {
			if err := roomForRevision(ctx, tx, after.Tenant); err != nil {
				return err
			}
		}
		if err := insertRevision(ctx, tx, after); err != nil {
			return err
		}
	}
	labels, err := jsonColumn(after.Labels, "{}")
	if err != nil {
		return err
	}
	archivedAt, archivedBy := &after.ArchivedAt, &after.ArchivedBy
	if !after.Archived() {
		archivedAt, archivedBy = nil, nil
	}
	_, err = tx.Exec(ctx, `
		update export_profile_heads set revision = $3, version = $4, description = $5, labels = $6, updated_by = $7, updated_at = $8,
			archived_by = $9, archived_at = $10
		where tenant = $1 and id = $2`,
		after.Tenant, after.ID, after.Revision, after.Version, after.Description, labels, after.UpdatedBy, after.UpdatedAt, archivedBy, archivedAt)
	return err
}
