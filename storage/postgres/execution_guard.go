package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// SaveSources records what each source gave a run; see storage.Execution.
func (e *Execution) SaveSources(ctx context.Context, c storage.Claim, sources []export.SourceCount) error {
	n := len(sources)
	names, streams, kinds, newest := make([]string, n), make([]string, n), make([]string, n), make([]string, n)
	documents, records := make([]int64, n), make([]int64, n)
	for i, s := range sources {
		names[i], streams[i], kinds[i], newest[i] = storable(s.Source), storable(s.Stream), s.Kind, s.Newest
		documents[i], records[i] = s.Documents, s.Records
	}
	return e.claimed(ctx, c, "save sources", func(tx pgx.Tx, run export.Run) error {
		if _, err := tx.Exec(ctx, "delete from export_sources where tenant = $1 and run_id = $2", run.Tenant, run.ID); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			insert into export_sources (tenant, project, run_id, source, stream, kind, documents, records, newest)
			select $1, $2, $3, * from unnest($4::text[], $5::text[], $6::text[], $7::bigint[], $8::bigint[], $9::text[])`,
			run.Tenant, projectColumn(run.Project), run.ID, names, streams, kinds, documents, records, newest)
		return err
	})
}

// Sources gives what SaveSources recorded, by source, stream and kind.
func (e *Execution) Sources(ctx context.Context, ref export.Ref) (sources []export.SourceCount, err error) {
	if !export.ValidRunID(ref.RunID) {
		return nil, absentRun(ref)
	}
	err = e.db.readOnce(ctx, ref.Tenant, func(rows pgx.Rows) (err error) {
		sources, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (s export.SourceCount, err error) {
			return s, row.Scan(&s.Source, &s.Stream, &s.Kind, &s.Documents, &s.Records, &s.Newest)
		})
		return err
	}, `select source, stream, kind, documents, records, newest from export_sources
		where tenant = $1 and run_id = $2 order by source, stream, kind`, ref.Tenant, ref.RunID)
	if err != nil {
		return nil, fmt.Errorf("read sources: %w", err)
	}
	return sources, nil
}
