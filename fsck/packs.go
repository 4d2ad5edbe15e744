package fsck

import (
	"context"

	"github.com/stella-ops/exportcenter/storage"
)

// packs hashes the packs of policy snapshots: they are what runs decide by.
func (l *look) packs(ctx context.Context, tenant string) error {
	if !l.Deep {
		return nil
	}
	return l.Records.PolicyPacks(ctx, tenant, func(p storage.PackRecord) error {
		if p.Stored == p.Digest {
			return nil
		}
		return l.tell(packBytes, Divergence{Tenant: tenant, Subject: p.ID}, "%s was imported, stored is %s", p.Digest, p.Stored)
	})
}
