package frontend

import (
	"context"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// ownReading is what a run that reads several tenants' evidence reads of its own.
func ownReading(run export.Run) export.Reading {
	for _, r := range run.Reach.Readings {
		if r.Tenant == run.Tenant {
			return r
		}
	}
	return export.Reading{}
}

// tenantShares tells how much is of whom, for a run that reads several tenants'
// evidence, in the order of the run; nil for others. It has a line for each reading,
// also of one that gave nothing. The sequences of other tenants' ledgers are not
// told: they say how much somebody imports (docs/decisions/0002).
func tenantShares(run export.Run, sources []storage.Share) []TenantShare {
	if run.Reach == nil {
		return nil
	}
	var shares []TenantShare
	at := map[[2]string]int{}
	for _, r := range run.Reach.Readings {
		at[[2]string{r.Tenant, r.Project}] = len(shares)
		shares = append(shares, TenantShare{Tenant: r.Tenant, Project: r.Project})
	}
	own := ownReading(run)
	for _, s := range sources {
		tenant, project, foreign := storage.Holder(s.Source)
		if !foreign {
			tenant, project = own.Tenant, own.Project
		}
		if i, known := at[[2]string{tenant, project}]; known {
			shares[i].Shards += s.Shards
			shares[i].Records += s.Records
			shares[i].Bytes += s.Bytes
		}
	}
	return shares
}

// plannedShares is tenantShares of a stored plan, all of it, which the store sums up:
// a plan may have very many shards, and each page of it tells this.
func (s *Server) plannedShares(ctx context.Context, run export.Run) ([]TenantShare, error) {
	if run.Reach == nil {
		return nil, nil
	}
	sources, err := s.cfg.Runs.Shares(ctx, run.Ref())
	if err != nil {
		return nil, err
	}
	return tenantShares(run, sources), nil
}

// eachAsShare are the shards of a plan that is not stored.
func eachAsShare(shards []storage.Shard) []storage.Share {
	shares := make([]storage.Share, len(shards))
	for i, s := range shards {
		shares[i] = storage.Share{Source: s.Source, Shards: 1, Records: s.Count, Bytes: s.Bytes}
	}
	return shares
}
