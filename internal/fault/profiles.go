package fault

import (
	"context"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Profiles passes what is done to profiles to inner through its point.
func (i *Injector) Profiles(inner storage.Profiles) storage.Profiles { return &profiles{i, inner} }

type profiles struct {
	injector *Injector
	inner    storage.Profiles
}

func (p *profiles) CreateProfile(ctx context.Context, profile export.Profile, idem storage.Idempotency) (stored export.Profile, created bool, err error) {
	stored, err = answer(ctx, p.injector, CreateProfile, func(ctx context.Context) (first export.Profile, err error) {
		first, created, err = p.inner.CreateProfile(ctx, profile, idem)
		return first, err
	})
	return stored, created && err == nil, err
}

func (p *profiles) GetProfile(ctx context.Context, tenant, ref string) (export.Profile, error) {
	return read(p.injector, func() (export.Profile, error) { return p.inner.GetProfile(ctx, tenant, ref) })
}

func (p *profiles) ListRevisions(ctx context.Context, tenant, id string, below, limit int) ([]export.Profile, error) {
	return read(p.injector, func() ([]export.Profile, error) { return p.inner.ListRevisions(ctx, tenant, id, below, limit) })
}

func (p *profiles) ListProfiles(ctx context.Context, tenant string, f storage.ProfileFilter) (page []export.Profile, next string, err error) {
	page, err = read(p.injector, func() (found []export.Profile, err error) {
		found, next, err = p.inner.ListProfiles(ctx, tenant, f)
		return found, err
	})
	return page, next, err
}

func (p *profiles) ChangeProfile(ctx context.Context, tenant, id string, c storage.ProfileChange) (export.Profile, error) {
	return answer(ctx, p.injector, ChangeProfile, func(ctx context.Context) (export.Profile, error) {
		return p.inner.ChangeProfile(ctx, tenant, id, c)
	})
}
