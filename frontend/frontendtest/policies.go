package frontendtest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Policies is storage.PolicySnapshots in memory, of all tenants.
type Policies struct {
	mu   sync.Mutex
	all  []export.PolicySnapshot
	keys map[[2]string]idempotentProfile
	// packs are by tenant and id.
	packs map[[2]string][]byte
}

var _ storage.PolicySnapshots = (*Policies)(nil)

// NewPolicies makes an empty store.
func NewPolicies() *Policies {
	return &Policies{keys: map[[2]string]idempotentProfile{}, packs: map[[2]string][]byte{}}
}

// ImportSnapshot implements storage.PolicySnapshots.
func (p *Policies) ImportSnapshot(_ context.Context, s export.PolicySnapshot, pack []byte, idem storage.Idempotency) (export.PolicySnapshot, bool, error) {
	if err := s.Check(); err != nil {
		return export.PolicySnapshot{}, false, err
	}
	if bundle.DigestOf(pack).String() != s.Digest || int64(len(pack)) != s.Bytes {
		return export.PolicySnapshot{}, false, storage.ErrCorrupt
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	at := slices.IndexFunc(p.all, func(o export.PolicySnapshot) bool {
		return o.Tenant == s.Tenant && storage.PlaceOf(o) == storage.PlaceOf(s)
	})
	first := s
	if at >= 0 {
		if first = p.all[at]; first.Digest != s.Digest {
			return export.PolicySnapshot{}, false, storage.OtherPack(first)
		}
	}
	if key := [2]string{s.Tenant, idem.Key}; idem.Key != "" {
		if known, used := p.keys[key]; used && known.idem != idem {
			return export.PolicySnapshot{}, false, storage.ErrConflict
		}
		p.keys[key] = idempotentProfile{idem, first.ID}
	}
	if at < 0 {
		p.all = append(p.all, s)
		p.packs[[2]string{s.Tenant, s.ID}] = slices.Clone(pack)
	}
	return first, at < 0, nil
}

func (p *Policies) find(tenant, id string) (*export.PolicySnapshot, error) {
	for i := range p.all {
		if p.all[i].Tenant == tenant && p.all[i].ID == id {
			return &p.all[i], nil
		}
	}
	return nil, storage.NoSnapshot(id)
}

// GetSnapshot implements storage.PolicySnapshots.
func (p *Policies) GetSnapshot(_ context.Context, tenant, id string) (export.PolicySnapshot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found, err := p.find(tenant, id)
	if err != nil {
		return export.PolicySnapshot{}, err
	}
	return *found, nil
}

// ReadPack implements storage.PolicySnapshots.
func (p *Policies) ReadPack(_ context.Context, tenant, id string) (export.PolicySnapshot, []byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found, err := p.find(tenant, id)
	if err != nil {
		return export.PolicySnapshot{}, nil, err
	}
	pack := slices.Clone(p.packs[[2]string{tenant, id}])
	if bundle.DigestOf(pack).String() != found.Digest {
		return export.PolicySnapshot{}, nil, storage.ErrCorrupt
	}
	return *found, pack, nil
}

// Rot damages a pack.
func (p *Policies) Rot(tenant, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.packs[[2]string{tenant, id}][0] ^= 1
}

// ListSnapshots implements storage.PolicySnapshots.
func (p *Policies) ListSnapshots(_ context.Context, tenant string, f storage.SnapshotFilter) ([]export.PolicySnapshot, string, error) {
	after, err := f.After()
	if err != nil {
		return nil, "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	var found []export.PolicySnapshot
	for _, s := range p.all {
		if s.Tenant == tenant && f.Admits(s) && storage.PlaceOf(s).Compare(after) > 0 {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b export.PolicySnapshot) int { return storage.PlaceOf(a).Compare(storage.PlaceOf(b)) })
	page, next := storage.SnapshotPage(found, f.Limit)
	return page, next, nil
}

// ArchiveSnapshot implements storage.PolicySnapshots.
func (p *Policies) ArchiveSnapshot(_ context.Context, tenant, id, by string, at time.Time) (export.PolicySnapshot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found, err := p.find(tenant, id)
	if err != nil {
		return export.PolicySnapshot{}, err
	}
	if !found.Archived() {
		found.ArchivedBy, found.ArchivedAt = by, at
	}
	return *found, nil
}

// Pack is a policy pack as CheckPack takes it.
func Pack(version, rules string) string { return "pack " + version + "\n" + rules }

// CheckPack stands for the check of real packs (policy.ReadPack): what it takes
// begins with "pack VERSION", and has no http.send.
func CheckPack(pack []byte) (version string, err error) {
	head, rules, whole := strings.Cut(string(pack), "\n")
	version, ours := strings.CutPrefix(head, "pack ")
	switch {
	case !whole || !ours:
		return "", refusedPack("it is not a .tar.gz file")
	case strings.Contains(rules, "http.send"):
		return "", refusedPack("decision.rego:3: http.send is not allowed:\n\t%s", rules)
	case strings.Contains(rules, "broken"):
		return "", errors.New("the compiler broke")
	}
	return version, nil
}

func refusedPack(format string, args ...any) error {
	err := export.Errorf(export.CodePolicySnapshot, "policy pack: "+format, args...)
	err.Field = "pack"
	return err
}

// Baseline is the built-in policy snapshot of a World.
func Baseline() storage.Baseline {
	return storage.NewBaseline("baseline", "baseline-1", []byte(Pack("baseline-1", "allow")))
}
