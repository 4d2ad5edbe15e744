package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Planned gives a part of a run's plan.
func (r *Runs) Planned(ctx context.Context, ref export.Ref, from, limit int) (plan bundle.Digest, shards []storage.PlannedShard, err error) {
	if !export.ValidRunID(ref.RunID) {
		return plan, nil, absentRun(ref)
	}
	err = r.db.readTenant(ctx, ref.Tenant, func(tx pgx.Tx) error {
		var stored []byte
		err := tx.QueryRow(ctx, "select plan_digest from export_runs where tenant = $1 and id = $2", ref.Tenant, ref.RunID).Scan(&stored)
		if err != nil {
			return presentRun(ref, err)
		}
		if stored == nil {
			return fmt.Errorf("run %s has no plan: %w", ref.RunID, storage.ErrNotFound)
		}
		if err := (*digestColumn)(&plan).ScanBytes(stored); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `
			select reused, ordinal, name, kind, source, cursor, count, bytes, hash, result_digest, result_size,
				result_records, result_content_digest, result_content_size, result_tally
			from export_inputs where tenant = $1 and run_id = $2 and ordinal >= $3 order by ordinal limit $4`,
			ref.Tenant, ref.RunID, from, limit)
		if err != nil {
			return err
		}
		shards, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (storage.PlannedShard, error) {
			var planned storage.PlannedShard
			var err error
			planned.Shard, err = scanShardAfter(row, &planned.Reused)
			return planned, err
		})
		return err
	})
	if err != nil {
		return bundle.Digest{}, nil, fmt.Errorf("read plan: %w", err)
	}
	return plan, shards, nil
}

// Shares sums up a run's plan by source.
func (r *Runs) Shares(ctx context.Context, ref export.Ref) (shares []storage.Share, err error) {
	if !export.ValidRunID(ref.RunID) {
		return nil, absentRun(ref)
	}
	err = r.db.readOnce(ctx, ref.Tenant, func(rows pgx.Rows) (err error) {
		shares, err = pgx.CollectRows(rows, pgx.RowToStructByPos[storage.Share])
		return err
	}, `
		select source, count(*), sum(count)::bigint, sum(bytes)::bigint
		from export_inputs where tenant = $1 and run_id = $2 group by source order by source collate "C"`,
		ref.Tenant, ref.RunID)
	if err != nil {
		return nil, fmt.Errorf("sum up plan: %w", err)
	}
	return shares, nil
}

// PackedBefore tells which shards were packed by a recipe and can be taken over.
func (r *Runs) PackedBefore(ctx context.Context, tenant string, recipe bundle.Digest, hashes []bundle.Digest) ([]bool, error) {
	packed, wanted := make([]bool, len(hashes)), make([][]byte, len(hashes))
	for i := range hashes {
		wanted[i] = hashes[i][:]
	}
	err := r.db.readOnce(ctx, tenant, func(rows pgx.Rows) error {
		var nth int
		_, err := pgx.ForEachRow(rows, []any{&nth}, func() error {
			packed[nth-1] = true
			return nil
		})
		return err
	}, `
		select w.nth from unnest($2::bytea[]) with ordinality as w (hash, nth)
		cross join lateral (select p.digest from export_packed p where p.tenant = $1 and p.hash = w.hash and p.recipe = $3 offset 0) p
		cross join lateral (select from blobs b where b.tenant = $1 and b.sha256 = p.digest and b.state = 'live' offset 0) b`,
		tenant, wanted, recipe[:])
	if err != nil {
		return nil, fmt.Errorf("find packed shards: %w", err)
	}
	return packed, nil
}
