package frontendtest

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

type profileKey struct{ tenant, id string }

// Profiles is storage.Profiles in memory.
type Profiles struct {
	mu        sync.Mutex
	revisions map[profileKey][]export.Profile // oldest first
	keys      map[[2]string]idempotentProfile
}

type idempotentProfile struct {
	idem storage.Idempotency
	id   string
}

var _ storage.Profiles = (*Profiles)(nil)

// NewProfiles makes an empty store.
func NewProfiles() *Profiles {
	return &Profiles{revisions: map[profileKey][]export.Profile{}, keys: map[[2]string]idempotentProfile{}}
}

// newest gives the last revision of the profile an id or a name means.
func (p *Profiles) newest(tenant, ref string) (export.Profile, error) {
	for key, revisions := range p.revisions {
		last := revisions[len(revisions)-1]
		if key.tenant == tenant && (key.id == ref || last.Name == ref) {
			return last, nil
		}
	}
	return export.Profile{}, &export.Error{Code: export.CodeProfileNotFound, Class: export.ClassPermanent, Message: "there is no such profile", Err: storage.ErrNotFound}
}

// CreateProfile implements storage.Profiles.
func (p *Profiles) CreateProfile(_ context.Context, profile export.Profile, idem storage.Idempotency) (export.Profile, bool, error) {
	if err := export.CheckProfileName(profile.Name); err != nil {
		return export.Profile{}, false, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	key := [2]string{profile.Tenant, idem.Key}
	if known, ok := p.keys[key]; ok && idem.Key != "" {
		if known.idem != idem {
			return export.Profile{}, false, storage.ErrConflict
		}
		first, err := p.newest(profile.Tenant, known.id)
		return first, false, err
	}
	if _, err := p.newest(profile.Tenant, profile.Name); err == nil {
		return export.Profile{}, false, &export.Error{Code: export.CodeStateConflict, Class: export.ClassPermanent, Field: "name",
			Message: "name: is taken", Err: storage.ErrConflict}
	}
	if idem.Key != "" {
		p.keys[key] = idempotentProfile{idem, profile.ID}
	}
	profile.Revision, profile.Version, profile.Config = 1, 1, profile.Config.Normal()
	profile.UpdatedBy, profile.UpdatedAt = profile.CreatedBy, profile.CreatedAt
	p.revisions[profileKey{profile.Tenant, profile.ID}] = []export.Profile{profile}
	return profile, true, nil
}

// GetProfile implements storage.Profiles.
func (p *Profiles) GetProfile(_ context.Context, tenant, ref string) (export.Profile, error) {
	if builtin, ok := export.BuiltinProfile(ref); ok {
		builtin.Tenant = tenant
		return builtin, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.newest(tenant, ref)
}

// ListRevisions implements storage.Profiles.
func (p *Profiles) ListRevisions(_ context.Context, tenant, id string, below, limit int) (list []export.Profile, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	revisions := p.revisions[profileKey{tenant, id}]
	if builtin, ok := export.BuiltinProfile(id); ok {
		builtin.Tenant = tenant
		revisions = []export.Profile{builtin}
	}
	if len(revisions) == 0 {
		_, err := p.newest(tenant, id)
		return nil, err
	}
	newest := revisions[len(revisions)-1]
	for _, r := range slices.Backward(revisions) {
		if (below == 0 || r.Revision < below) && len(list) < limit {
			shown := newest
			shown.Revision, shown.Config, shown.CreatedBy, shown.CreatedAt = r.Revision, r.Config, r.CreatedBy, r.CreatedAt
			list = append(list, shown)
		}
	}
	return list, nil
}

// ListProfiles implements storage.Profiles.
func (p *Profiles) ListProfiles(_ context.Context, tenant string, f storage.ProfileFilter) ([]export.Profile, string, error) {
	after, err := f.After()
	if err != nil {
		return nil, "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var own []export.Profile
	for key, revisions := range p.revisions {
		if last := revisions[len(revisions)-1]; key.tenant == tenant && f.Admits(last) && last.Name > after {
			own = append(own, last)
		}
	}
	slices.SortFunc(own, func(a, b export.Profile) int { return cmp.Compare(a.Name, b.Name) })
	return storage.ProfilePage(tenant, own, f)
}

// ChangeProfile implements storage.Profiles.
func (p *Profiles) ChangeProfile(_ context.Context, tenant, id string, c storage.ProfileChange) (export.Profile, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := profileKey{tenant, id}
	if len(p.revisions[key]) == 0 {
		_, err := p.newest(tenant, "")
		return export.Profile{}, err
	}
	before := p.revisions[key][len(p.revisions[key])-1]
	after, changed, err := c.Apply(before)
	switch {
	case err != nil:
		return export.Profile{}, err
	case !changed:
		return before, nil
	case after.Revision != before.Revision:
		p.revisions[key] = append(p.revisions[key], after)
	default:
		p.revisions[key][len(p.revisions[key])-1] = after
	}
	return after, nil
}
