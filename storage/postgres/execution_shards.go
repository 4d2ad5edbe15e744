package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// SaveShards records packed shards, counts those that were not packed before,
// and writes one adapter.chunk event for them: a heartbeat's worth of progress
// is one event (ARCHITECTURE D6), and shards saved again are none.
func (e *Execution) SaveShards(ctx context.Context, c storage.Claim, recipe bundle.Digest, shards []storage.Shard, at time.Time) error {
	if len(shards) == 0 {
		return nil
	}
	return e.claimed(ctx, c, "save shards", func(tx pgx.Tx, run export.Run) error {
		fresh, err := updateShards(ctx, tx, run, shards, c.Phase == export.PhaseResolve)
		if err != nil || fresh.shards == 0 {
			return err
		}
		var done, all, records, bytes int64
		err = tx.QueryRow(ctx, `
			update export_runs set shards_done = shards_done + $3, records_done = records_done + $4, bytes_done = bytes_done + $5
			where tenant = $1 and id = $2 returning shards_done, shards, records_done, bytes_done`,
			run.Tenant, run.ID, fresh.shards, fresh.records, fresh.bytes).Scan(&done, &all, &records, &bytes)
		if err != nil {
			return err
		}
		if run.RebuildOf == "" { // else later runs take over what is being checked
			if err := keepPacked(ctx, tx, run, recipe, shards); err != nil {
				return err
			}
		}
		events := []entry{{kind: export.EventAdapterChunk, phase: c.Phase, subject: fresh.first, at: at,
			message: fmt.Sprintf("%d of %d shards packed", done, all),
			metrics: map[string]int64{"shards": fresh.shards, "records": fresh.records, "bytes": fresh.bytes,
				"shardsDone": done, "shardsTotal": all}},
			{kind: export.EventProgress, phase: c.Phase, subject: fresh.first, at: at,
				message: fmt.Sprintf("%d documents are packed", records),
				metrics: map[string]int64{"shards": all, "shardsDone": done, "recordsDone": records, "bytesDone": bytes}}}
		if done == all && !export.Assembled(run.Kind, run.Variant) {
			events = append(events, entry{kind: export.EventAdapterComplete, phase: c.Phase, at: at, message: "all shards are packed",
				metrics: map[string]int64{"shards": all, "records": records, "bytes": bytes}})
		}
		return addEvents(ctx, tx, run, events...)
	})
}

// keepPacked keeps what was packed for runs to come. In the order of the hashes:
// two runs with the same shards wait for each other and cannot deadlock.
func keepPacked(ctx context.Context, tx pgx.Tx, run export.Run, recipe bundle.Digest, shards []storage.Shard) error {
	ordinals := make([]int32, len(shards))
	for i, s := range shards {
		ordinals[i] = int32(s.Ordinal)
	}
	_, err := tx.Exec(ctx, `
		insert into export_packed (tenant, hash, recipe, digest, size, records, content_digest, content_size, tally)
		select tenant, hash, $3, result_digest, result_size, result_records, result_content_digest, result_content_size, result_tally
		from export_inputs where tenant = $1 and run_id = $2 and ordinal = any ($4) order by hash
		on conflict do nothing`, run.Tenant, run.ID, recipe[:], ordinals)
	return err
}

// freshShards counts shards that were packed for the first time.
type freshShards struct {
	shards, records, bytes int64
	first                  string // name of the first of them
}

// updateShards records what was packed; reused says that another run did.
func updateShards(ctx context.Context, tx pgx.Tx, run export.Run, shards []storage.Shard, reused bool) (freshShards, error) {
	n := len(shards)
	ordinals, names := make([]int32, n), make([]string, n)
	digests, contentDigests := make([][]byte, n), make([][]byte, n)
	sizes, records, contentSizes := make([]int64, n), make([]int64, n), make([]int64, n)
	tallies := make([]string, n)
	for i, s := range shards {
		if s.Result == nil {
			return freshShards{}, fmt.Errorf("shard %s has no result", s.Name)
		}
		ordinals[i], names[i] = int32(s.Ordinal), s.Name
		digests[i], sizes[i], records[i] = s.Result.Digest[:], s.Result.Size, s.Result.Records
		contentDigests[i], contentSizes[i] = s.Result.ContentDigest[:], s.Result.ContentSize
		tallies[i] = s.Result.Tally
	}
	var known int
	var fresh freshShards
	// "before" reads the rows as they were when the statement began.
	err := tx.QueryRow(ctx, `
		with given as (
			select * from unnest($3::integer[], $4::text[], $5::bytea[], $6::bigint[], $7::bigint[], $8::bytea[], $9::bigint[], $10::text[])
				as g (ordinal, name, digest, size, records, content_digest, content_size, tally)
		), before as (
			select i.ordinal, i.name, i.count, i.bytes, i.result_digest is null as fresh
			from export_inputs i join given g on g.ordinal = i.ordinal and g.name = i.name
			where i.tenant = $1 and i.run_id = $2
		), saved as (
			update export_inputs i set result_digest = g.digest, result_size = g.size, result_records = g.records,
				result_content_digest = g.content_digest, result_content_size = g.content_size,
				result_tally = g.tally, reused = $11
			from given g where i.tenant = $1 and i.run_id = $2 and i.ordinal = g.ordinal and i.name = g.name
				and i.result_digest is distinct from g.digest
		)
		select count(*), count(*) filter (where fresh),
			coalesce(sum(count) filter (where fresh), 0)::bigint, coalesce(sum(bytes) filter (where fresh), 0)::bigint,
			coalesce((array_agg(name order by ordinal) filter (where fresh))[1], '')
		from before`,
		run.Tenant, run.ID, ordinals, names, digests, sizes, records, contentDigests, contentSizes, tallies, reused).
		Scan(&known, &fresh.shards, &fresh.records, &fresh.bytes, &fresh.first)
	if err == nil && known != n {
		err = fmt.Errorf("%d of %d shards are not in the run's plan: %w", n-known, n, storage.ErrConflict)
	}
	return fresh, err
}
