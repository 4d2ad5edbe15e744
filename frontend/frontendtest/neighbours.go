package frontendtest

import (
	"context"
	"slices"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// Neighbours is storage.Neighbours over a World: its tenants, its ledger and its
// clock, which stands for the database's.
type Neighbours struct{ *World }

// Look implements storage.Neighbours.
func (n Neighbours) Look(ctx context.Context, name string) (storage.Outlook, error) {
	tenant, err := n.Tenants.GetTenant(ctx, name)
	if err != nil {
		return storage.Outlook{}, err
	}
	n.Ledger.mu.Lock()
	defer n.Ledger.mu.Unlock()
	found := storage.Outlook{Now: n.Now().UTC(), Active: tenant.State == export.TenantActive, Head: int64(len(n.Ledger.records[name]))}
	for _, r := range n.Ledger.records[name] {
		if project := ledger.ProjectName(r.Project); !slices.Contains(found.Projects, project) {
			found.Projects = append(found.Projects, project)
		}
	}
	slices.Sort(found.Projects)
	return found, nil
}
