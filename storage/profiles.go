package storage

import (
	"cmp"
	"context"
	"encoding/base64"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/export"
)

// Profiles keeps the profiles that tenants make, beside those that came with
// the program. Methods that take a reference take an id, a name, or of a
// built-in profile its catalogue name ("json:raw").
type Profiles interface {
	// CreateProfile records the first revision. With an idempotency key that was
	// used before for the same request hash it returns the first profile as it is
	// now and created=false; for another request it is ErrConflict, and so is a
	// name that is taken, also by an archived profile. A tenant that has as many as it
	// may is refused with a *QuotaReached, here and where a revision is made.
	CreateProfile(ctx context.Context, p export.Profile, idem Idempotency) (stored export.Profile, created bool, err error)
	// GetProfile gives a profile with its newest revision. ErrNotFound without one.
	GetProfile(ctx context.Context, tenant, ref string) (export.Profile, error)
	// ListRevisions gives a profile's revisions, newest first, those below the
	// given number only (0 = from the newest). ErrNotFound without the profile.
	ListRevisions(ctx context.Context, tenant, id string, below, limit int) ([]export.Profile, error)
	// ListProfiles gives a page, ordered by name, and the cursor of the next ("" at the end).
	ListProfiles(ctx context.Context, tenant string, f ProfileFilter) ([]export.Profile, string, error)
	// ChangeProfile changes a profile of the tenant's own. Changes of one profile
	// queue, and each is applied to what the one before it left. One that changes
	// nothing changes nothing, version included.
	ChangeProfile(ctx context.Context, tenant, id string, c ProfileChange) (export.Profile, error)
}

// ProfileFilter narrows a list of profiles.
type ProfileFilter struct {
	Project  string // "" = every project, else that one; built-in profiles belong to every
	Kind     string // "" = any
	Variant  string // "" = any
	Archived Archived
	Limit    int    // 1..200
	Cursor   string // "" = first; else the cursor of the previous page
}

// Archived says what a list has of archived profiles.
type Archived string

// What a list has of archived profiles.
const (
	ArchivedExclude Archived = "exclude"
	ArchivedInclude Archived = "include"
	ArchivedOnly    Archived = "only"
)

// Admits reports whether the filter, but for its cursor, lets p through.
func (f ProfileFilter) Admits(p export.Profile) bool {
	switch {
	case f.Kind != "" && f.Kind != p.Kind, f.Variant != "" && f.Variant != p.Variant,
		f.Project != "" && f.Project != p.Project && !p.BuiltIn():
		return false
	case f.Archived == ArchivedOnly:
		return p.Archived()
	}
	return f.Archived == ArchivedInclude || !p.Archived()
}

// ProfileChange is what a request changes; nil members stay.
type ProfileChange struct {
	// If is the version that is changed, 0 for whichever is there. Another one is
	// export.CodeChanged.
	If          int64
	Description *string
	Labels      map[string]string
	// Config makes a new revision when it says something new.
	Config *export.ProfileConfig
	// Archive ends the profile. An archived one is not changed any more
	// (ErrConflict), but archived again without effect.
	Archive bool
	By      string
	At      time.Time
}

// Apply gives what c makes of p, the newest revision, and whether that differs.
// Both stores follow it, under their lock.
func (c ProfileChange) Apply(p export.Profile) (export.Profile, bool, error) {
	switch {
	case p.Archived() && c.Archive:
		return p, false, nil
	case c.If != 0 && c.If != p.Version:
		return p, false, &export.Error{Code: export.CodeChanged, Class: export.ClassPermanent, Err: ErrConflict,
			Message: "the profile was changed meanwhile; read it again and repeat the change on what it says now"}
	case p.Archived():
		return p, false, &export.Error{Code: export.CodeStateConflict, Class: export.ClassPermanent, Err: ErrConflict,
			Message: "the profile is archived and is not changed any more; make a new one"}
	}
	before := p
	if c.Description != nil {
		p.Description = *c.Description
	}
	if c.Labels != nil {
		p.Labels = c.Labels
	}
	if c.Config != nil && !c.Config.SameAs(p.Config) {
		p.Config, p.Revision = c.Config.Normal(), p.Revision+1
		p.CreatedBy, p.CreatedAt = c.By, c.At
	}
	if c.Archive {
		p.ArchivedBy, p.ArchivedAt = c.By, c.At
	}
	changed := p.Revision != before.Revision || p.Description != before.Description || c.Archive || !sameLabels(p.Labels, before.Labels)
	if changed {
		p.Version++
		p.UpdatedBy, p.UpdatedAt = c.By, c.At
	}
	return p, changed, nil
}

func sameLabels(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for key, value := range a {
		if other, there := b[key]; !there || other != value {
			return false
		}
	}
	return true
}

// ProfilePage makes a page of a tenant's own profiles, ordered by name and
// already behind the cursor, and of the built-in ones. own may have one more
// than the page holds, to tell whether another one follows.
func ProfilePage(tenant string, own []export.Profile, f ProfileFilter) ([]export.Profile, string, error) {
	after, err := f.After()
	if err != nil {
		return nil, "", err
	}
	page := slices.Clone(own)
	for _, p := range export.BuiltinProfiles() {
		if p.Tenant = tenant; f.Admits(p) && p.Name > after {
			page = append(page, p)
		}
	}
	slices.SortStableFunc(page, func(a, b export.Profile) int { return cmp.Compare(a.Name, b.Name) })
	if len(page) <= f.Limit {
		return page, "", nil
	}
	page = page[:f.Limit]
	return page, profileCursor(page[f.Limit-1].Name), nil
}

// A cursor of profiles names the last one of its page: names do not change, so
// pages neither repeat nor skip a profile that was there all the time.
const profileCursorForm = "p1."

func profileCursor(name string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(profileCursorForm + name))
}

// After is the name the page begins behind; "" at the first.
func (f ProfileFilter) After() (string, error) {
	if f.Cursor == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(f.Cursor)
	name, ours := strings.CutPrefix(string(raw), profileCursorForm)
	if err != nil || !ours || len(name) > 64 || profileCursor(name) != f.Cursor || !plainName(name) {
		bad := export.Errorf(export.CodeValidation, "cursor is not one of ours; pass the nextCursor of the previous page unchanged, or none for the first page")
		bad.Field = "cursor"
		return "", bad
	}
	return name, nil
}

func plainName(name string) bool {
	return name != "" && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
