package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// SavePlan records the plan and its shards. A plan is named by its digest: the
// same one again changes nothing, so shards that are packed stay packed.
func (e *Execution) SavePlan(ctx context.Context, c storage.Claim, plan, selection bundle.Digest, shards []storage.Shard, at time.Time) error {
	return e.claimed(ctx, c, "save plan", func(tx pgx.Tx, run export.Run) error {
		total := export.Progress{Shards: len(shards)}
		for _, s := range shards {
			total.Records += s.Count
			total.Bytes += s.Bytes
		}
		tag, err := tx.Exec(ctx, `
			update export_runs set plan_digest = $3, shards = $4, records = $5, bytes = $6,
				shards_done = 0, records_done = 0, bytes_done = 0
			where tenant = $1 and id = $2 and plan_digest is distinct from $3`,
			run.Tenant, run.ID, plan[:], total.Shards, total.Records, total.Bytes)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		if run.RebuildOf == "" { // else later runs follow the plan that is being checked
			if err := notePlan(ctx, tx, run, selection); err != nil {
				return err
			}
		}
		if err := replaceShards(ctx, tx, run, shards); err != nil {
			return err
		}
		return addEvents(ctx, tx, run, entry{kind: export.EventPlanned, phase: c.Phase, at: at,
			message: fmt.Sprintf("%d documents in %d shards", total.Records, total.Shards),
			metrics: map[string]int64{"shards": int64(total.Shards), "records": total.Records, "bytes": total.Bytes}})
	})
}

func replaceShards(ctx context.Context, tx pgx.Tx, run export.Run, shards []storage.Shard) error {
	if _, err := tx.Exec(ctx, "delete from export_inputs where tenant = $1 and run_id = $2", run.Tenant, run.ID); err != nil {
		return err
	}
	n := len(shards)
	ordinals, counts, sizes := make([]int32, n), make([]int64, n), make([]int64, n)
	names, kinds, sources, cursors := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	hashes := make([][]byte, n)
	for i, s := range shards {
		ordinals[i], counts[i], sizes[i] = int32(s.Ordinal), s.Count, s.Bytes
		// A cursor is a document key, as the document has it; the row is for audit.
		names[i], kinds[i], sources[i], cursors[i] = s.Name, s.Kind, s.Source, s.Cursor
		hashes[i] = shards[i].Hash[:]
	}
	_, err := tx.Exec(ctx, `
		insert into export_inputs (tenant, project, run_id, ordinal, name, kind, source, cursor, count, bytes, hash)
		select $1, $2, $3, * from unnest($4::integer[], $5::text[], $6::text[], $7::text[], $8::text[],
			$9::bigint[], $10::bigint[], $11::bytea[])`,
		run.Tenant, projectColumn(run.Project), run.ID, ordinals, names, kinds, sources, cursors, counts, sizes, hashes)
	if err != nil {
		return fmt.Errorf("write %d shards: %w", n, err)
	}
	return nil
}

// Plan gives the plan and its shards in order; ErrNotFound before SavePlan.
func (e *Execution) Plan(ctx context.Context, ref export.Ref) (plan bundle.Digest, shards []storage.Shard, err error) {
	if !export.ValidRunID(ref.RunID) {
		return plan, nil, absentRun(ref)
	}
	err = e.db.readTenant(ctx, ref.Tenant, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			select r.plan_digest, i.ordinal, i.name, i.kind, i.source, i.cursor, i.count, i.bytes, i.hash,
				i.result_digest, i.result_size, i.result_records, i.result_content_digest, i.result_content_size, i.result_tally
			from export_runs r left join export_inputs i on i.tenant = r.tenant and i.run_id = r.id
			where r.tenant = $1 and r.id = $2 order by i.ordinal`, ref.Tenant, ref.RunID)
		if err != nil {
			return err
		}
		plan, shards, err = collectPlan(ref, rows)
		return err
	})
	if err != nil {
		return bundle.Digest{}, nil, fmt.Errorf("read plan: %w", err)
	}
	return plan, shards, nil
}

func collectPlan(ref export.Ref, rows pgx.Rows) (plan bundle.Digest, shards []storage.Shard, err error) {
	defer rows.Close()
	found := false
	for rows.Next() {
		found = true
		raw := rows.RawValues()
		if raw[0] == nil {
			return plan, nil, fmt.Errorf("run %s has no plan: %w", ref.RunID, storage.ErrNotFound)
		}
		if raw[1] == nil { // a plan without shards
			return plan, nil, rows.Scan((*digestColumn)(&plan), nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil, nil)
		}
		shard, err := scanShard(rows, &plan)
		if err != nil {
			return plan, nil, err
		}
		shards = append(shards, shard)
	}
	if err := rows.Err(); err != nil {
		return plan, nil, err
	}
	if !found {
		return plan, nil, absentRun(ref)
	}
	return plan, shards, nil
}

func scanShard(row pgx.Row, plan *bundle.Digest) (storage.Shard, error) {
	var first any = (*digestColumn)(plan)
	if plan == nil {
		first = nil
	}
	return scanShardAfter(row, first)
}

// scanShardAfter reads a shard behind a column for first.
func scanShardAfter(row pgx.Row, first any) (storage.Shard, error) {
	var s storage.Shard
	var digest, contentDigest []byte
	var size, records, contentSize *int64
	var tally *string
	err := row.Scan(first, &s.Ordinal, &s.Name, &s.Kind, &s.Source, &s.Cursor, &s.Count, &s.Bytes,
		(*digestColumn)(&s.Hash), &digest, &size, &records, &contentDigest, &contentSize, &tally)
	if err != nil || digest == nil {
		return s, err
	}
	s.Result = &storage.File{Path: s.Name, Size: *size, Records: *records, ContentSize: *contentSize, Payload: true, Tally: *tally}
	return s, errors.Join(
		(*digestColumn)(&s.Result.Digest).ScanBytes(digest),
		(*digestColumn)(&s.Result.ContentDigest).ScanBytes(contentDigest))
}

// digestColumn scans a bytea column of 32 bytes.
type digestColumn bundle.Digest

// ScanBytes implements pgtype.BytesScanner.
func (d *digestColumn) ScanBytes(raw []byte) error {
	if len(raw) != len(d) {
		return fmt.Errorf("digest column has %d bytes, want %d", len(raw), len(d))
	}
	copy(d[:], raw)
	return nil
}
