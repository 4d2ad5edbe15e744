package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// SaveFiles records bundle entries by path. What is built, and what the manifest
// lists, comes as a whole, so payload entries that only an earlier plan or attempt
// had go with it, and so do segments of originals that were built before.
func (e *Execution) SaveFiles(ctx context.Context, c storage.Claim, files []storage.File) error {
	n := len(files)
	paths, payload, entries, seen := make([]string, n), make([]bool, n), make([]bool, n), make(map[string]bool, n)
	digests, contentDigests := make([][]byte, n), make([][]byte, n)
	sizes, records, contentSizes, ordinals := make([]int64, n), make([]int64, n), make([]int64, n), make([]int32, n)
	built := []string{}
	for i, f := range files {
		ordinals[i] = int32(f.Ordinal)
		if seen[f.Path] {
			return fmt.Errorf("save files: %s is given twice", f.Path)
		}
		seen[f.Path] = true
		if f.Entries || f.Payload && !bundle.IsEvidence(f.Path) {
			built = append(built, f.Path)
		}
		paths[i], payload[i], entries[i] = f.Path, f.Payload, f.Entries
		digests[i], sizes[i], records[i] = files[i].Digest[:], f.Size, f.Records
		contentDigests[i], contentSizes[i] = files[i].ContentDigest[:], f.ContentSize
	}
	return e.claimed(ctx, c, "save files", func(tx pgx.Tx, run export.Run) error {
		if err := plainAgain(ctx, tx, run); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			insert into export_files as f
				(tenant, project, run_id, path, digest, size, records, content_digest, content_size, payload, ordinal, entries)
			select $1, $2, $3, * from unnest($4::text[], $5::bytea[], $6::bigint[], $7::bigint[], $8::bytea[], $9::bigint[], $10::boolean[], $11::integer[], $12::boolean[])
			on conflict (tenant, run_id, path) do update set digest = excluded.digest, size = excluded.size,
				records = excluded.records, content_digest = excluded.content_digest,
				content_size = excluded.content_size, payload = excluded.payload, ordinal = excluded.ordinal, entries = excluded.entries
			where (f.digest, f.size, f.records, f.content_digest, f.content_size, f.payload, f.ordinal, f.entries) is distinct from
				(excluded.digest, excluded.size, excluded.records, excluded.content_digest, excluded.content_size, excluded.payload, excluded.ordinal, excluded.entries)`,
			run.Tenant, projectColumn(run.Project), run.ID, paths, digests, sizes, records, contentDigests, contentSizes, payload, ordinals, entries)
		if err != nil || c.Phase != export.PhaseManifest && c.Phase != export.PhaseAdapt {
			return err
		}
		if export.BuildsEvidence(run.Kind, run.Variant) { // the plan's shards are no files of the bundle
			built = paths
		}
		// Segments are built, and not listed in a manifest. Not as a join: without
		// statistics it would compare each with each.
		_, err = tx.Exec(ctx, `
			delete from export_files f where f.tenant = $1 and f.run_id = $2 and f.path = any (array(
				select path from export_files where tenant = $1 and run_id = $2 and (payload or entries and $4)
				except select name from export_inputs where tenant = $1 and run_id = $2
				except select unnest($3::text[])))`, run.Tenant, run.ID, built, c.Phase == export.PhaseAdapt)
		return err
	})
}

// BundleFiles lists what SaveFiles recorded.
func (e *Execution) BundleFiles(ctx context.Context, ref export.Ref) ([]storage.File, error) {
	return bundleFiles(ctx, e.db, ref, layerEncrypted)
}

// OfferedFiles lists the entries of the archive that leaves.
func (e *Execution) OfferedFiles(ctx context.Context, ref export.Ref) ([]storage.File, error) {
	return bundleFiles(ctx, e.db, ref, layerPlain)
}

// Layers of entries (00024): of the plain archive alone, and of the encrypted one alone;
// 0 is of both.
const (
	layerPlain     = 1
	layerEncrypted = 2
)

// bundleFiles lists a run's entries but those of a layer, in archive order: bytewise by
// path, the seals after everything (bundle.PathBefore).
func bundleFiles(ctx context.Context, db *DB, ref export.Ref, without int) ([]storage.File, error) {
	if !export.ValidRunID(ref.RunID) {
		return nil, absentRun(ref)
	}
	var files []storage.File
	// One query: a run without files is a row of nulls, an absent run is none.
	err := db.readOnce(ctx, ref.Tenant, func(rows pgx.Rows) (err error) {
		files, err = collectFiles(ref, rows)
		return err
	}, `
		select f.path, f.digest, f.size, f.records, f.content_digest, f.content_size, f.payload, f.ordinal, f.entries
		from export_runs r left join export_files f on f.tenant = r.tenant and f.run_id = r.id and f.layer <> $5
		where r.tenant = $1 and r.id = $2 order by f.path = $4, f.path = $3, f.path`,
		ref.Tenant, ref.RunID, bundle.SealPath, bundle.OuterSealPath, without)
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	return files, nil
}

func collectFiles(ref export.Ref, rows pgx.Rows) ([]storage.File, error) {
	defer rows.Close()
	var files []storage.File
	found := false
	for rows.Next() {
		if found = true; rows.RawValues()[0] == nil {
			continue
		}
		var f storage.File
		err := rows.Scan(&f.Path, (*digestColumn)(&f.Digest), &f.Size, &f.Records,
			(*digestColumn)(&f.ContentDigest), &f.ContentSize, &f.Payload, &f.Ordinal, &f.Entries)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	if !found {
		return nil, absentRun(ref)
	}
	return files, nil
}
