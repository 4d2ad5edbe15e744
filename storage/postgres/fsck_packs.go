package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/storage"
)

// PolicyPacks calls yield with every policy pack, hashed where it is.
func (s *Survey) PolicyPacks(ctx context.Context, tenant string, yield func(storage.PackRecord) error) error {
	return each(ctx, s, tenant, "policy packs", "select id, sha256, sha256(pack) from policy_snapshots where tenant = $1 order by id",
		func(row pgx.CollectableRow) (p storage.PackRecord, err error) {
			return p, row.Scan(&p.ID, (*digestColumn)(&p.Digest), (*digestColumn)(&p.Stored))
		}, yield)
}
