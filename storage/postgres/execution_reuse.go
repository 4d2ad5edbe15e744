package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// SavePlaces records where the documents of shards are. What is known is left:
// a shard's hash says which documents it has, and they do not move.
func (e *Execution) SavePlaces(ctx context.Context, c storage.Claim, shards []storage.ShardPlaces) error {
	hashes, places := make([][]byte, len(shards)), make([][]byte, len(shards))
	for i, s := range shards {
		hashes[i], places[i] = shards[i].Hash[:], s.Places
	}
	return e.claimed(ctx, c, "save places", func(tx pgx.Tx, run export.Run) error {
		_, err := tx.Exec(ctx, `
			insert into export_shards (tenant, hash, places)
			select $1, s.hash, s.places from unnest($2::bytea[], $3::bytea[]) as s (hash, places) order by s.hash
			on conflict do nothing`, run.Tenant, hashes, places)
		return err
	})
}

// Places gives what SavePlaces recorded of each shard, nil where nothing was.
func (e *Execution) Places(ctx context.Context, ref export.Ref, shards []bundle.Digest) ([][]byte, error) {
	hashes, places := make([][]byte, len(shards)), make([][]byte, len(shards))
	for i := range shards {
		hashes[i] = shards[i][:]
	}
	err := e.db.readOnce(ctx, ref.Tenant, func(rows pgx.Rows) error {
		var nth int
		var kept []byte
		_, err := pgx.ForEachRow(rows, []any{&nth, &kept}, func() error {
			places[nth-1] = kept // a copy: Scan makes one
			return nil
		})
		return err
	}, `
		select w.nth, s.places from unnest($2::bytea[]) with ordinality as w (hash, nth)
		cross join lateral (select places from export_shards s where s.tenant = $1 and s.hash = w.hash offset 0) s`,
		ref.Tenant, hashes)
	if err != nil {
		return nil, fmt.Errorf("read places: %w", err)
	}
	return places, nil
}

// Packed gives those of a run's shards that are not packed yet, but were by the
// same recipe in another run, with that result. Each is looked up (offset 0 is a
// fence): without statistics the planner once compared all with all.
func (e *Execution) Packed(ctx context.Context, ref export.Ref, recipe bundle.Digest) (shards []storage.Shard, err error) {
	if !export.ValidRunID(ref.RunID) {
		return nil, absentRun(ref)
	}
	err = e.db.readTenant(ctx, ref.Tenant, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			select null::bytea, i.ordinal, i.name, i.kind, i.source, i.cursor, i.count, i.bytes, i.hash,
				p.digest, p.size, p.records, p.content_digest, p.content_size, p.tally
			from export_inputs i
			cross join lateral (select * from export_packed p
				where p.tenant = $1 and p.hash = i.hash and p.recipe = $3 offset 0) p
			cross join lateral (select from blobs b
				where b.tenant = $1 and b.sha256 = p.digest and b.state = 'live' offset 0) b
			where i.tenant = $1 and i.run_id = $2 and i.result_digest is null order by i.ordinal`,
			ref.Tenant, ref.RunID, recipe[:])
		if err != nil {
			return err
		}
		shards, err = collectShards(rows)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read packed shards: %w", err)
	}
	return shards, nil
}

// ForgetPacked forgets what was packed of the run's shards, for all runs to come.
func (e *Execution) ForgetPacked(ctx context.Context, c storage.Claim) error {
	return e.claimed(ctx, c, "forget packed shards", func(tx pgx.Tx, run export.Run) error {
		_, err := tx.Exec(ctx, `
			delete from export_packed p using export_inputs i
			where i.tenant = $1 and i.run_id = $2 and p.tenant = i.tenant and p.digest = i.result_digest`, run.Tenant, run.ID)
		return err
	})
}

// Shards gives a part of a run's plan.
func (e *Execution) Shards(ctx context.Context, ref export.Ref, from, to int) (shards []storage.Shard, err error) {
	if !export.ValidRunID(ref.RunID) {
		return nil, absentRun(ref)
	}
	err = e.db.readTenant(ctx, ref.Tenant, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			select null::bytea, ordinal, name, kind, source, cursor, count, bytes, hash, result_digest, result_size,
				result_records, result_content_digest, result_content_size, result_tally
			from export_inputs where tenant = $1 and run_id = $2 and ordinal >= $3 and ordinal < $4 order by ordinal`,
			ref.Tenant, ref.RunID, from, to)
		if err != nil {
			return err
		}
		shards, err = collectShards(rows)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read shards: %w", err)
	}
	return shards, nil
}

func collectShards(rows pgx.Rows) (shards []storage.Shard, err error) {
	defer rows.Close()
	for rows.Next() {
		shard, err := scanShard(rows, nil)
		if err != nil {
			return nil, err
		}
		shards = append(shards, shard)
	}
	return shards, rows.Err()
}

// LastPlan gives the newest plan of a selection: the moment it is of, and its
// shards. ErrNotFound when there is none.
func (e *Execution) LastPlan(ctx context.Context, run export.Run, selection bundle.Digest) (asOf int64, shards []storage.Shard, err error) {
	last := export.Ref{Tenant: run.Tenant}
	err = e.db.readTenant(ctx, run.Tenant, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `
			select as_of, run_id from export_plans where tenant = $1 and project = $2 and selection = $3`,
			run.Tenant, projectColumn(run.Project), selection[:]).Scan(&asOf, &last.RunID)
		if errors.Is(err, pgx.ErrNoRows) {
			return storage.ErrNotFound
		}
		return err
	})
	if err != nil {
		return 0, nil, fmt.Errorf("read last plan: %w", err)
	}
	// Its shards outlive what was packed of them: also those of a run that failed.
	shards, err = e.Shards(ctx, last, 0, math.MaxInt32)
	return asOf, shards, err
}

// notePlan makes the run's plan the newest of its selection, unless a newer
// moment has one.
func notePlan(ctx context.Context, tx pgx.Tx, run export.Run, selection bundle.Digest) error {
	_, err := tx.Exec(ctx, `
		insert into export_plans as p (tenant, project, selection, as_of, run_id) values ($1, $2, $3, $4, $5)
		on conflict (tenant, project, selection) do update set as_of = excluded.as_of, run_id = excluded.run_id
		where p.as_of <= excluded.as_of`,
		run.Tenant, projectColumn(run.Project), selection[:], run.AsOf, run.ID)
	return err
}
