package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// currentQuery lists the current revisions as of $3. Kind and source are part
// of a document's identity and narrow the search; the ecosystem is a property
// of a revision, so only the current one is asked. Selectors are parameters.
func currentQuery(tenant, project string, seq int64, sel export.Selectors) (string, []any) {
	args := []any{tenant, ledger.ProjectName(project), seq}
	param := func(values []string) string {
		args = append(args, values)
		return fmt.Sprintf("any ($%d::text[])", len(args))
	}
	var identity, revision string
	if len(sel.Kinds) > 0 {
		identity += " and kind = " + param(sel.Kinds)
	}
	if len(sel.Sources) > 0 {
		identity += " and source = " + param(sel.Sources)
	}
	if len(sel.Ecosystems) > 0 {
		revision = ` where seq in (select t.seq from ledger_terms t
			where t.tenant = $1 and t.axis = 'ecosystem' and t.term = ` + param(sel.Ecosystems) + ")"
	}
	return `
select seq, kind, subject, upstream_id, source, stream, sha256, canonical_bytes
from (
  select distinct on (kind, upstream_id, source, stream)
    seq, kind, subject, upstream_id, source, stream, sha256, canonical_bytes
  from ledger_observations
  where tenant = $1 and project = $2 and seq <= $3` + identity + `
  order by kind, upstream_id, source, stream, modified desc, sha256 desc
) current` + revision + `
order by kind, subject, upstream_id, source, stream`, args
}

// currentSettings hold for one read: room for the sort, and joins by hash or
// merge whatever the statistics say. Of a ledger that was just filled they say
// nothing, and a nested loop then took 11 s for 9,000 documents.
const currentSettings = `select set_config('work_mem', '64MB', true), set_config('enable_nestloop', 'off', true)`

// Current implements ledger.Store. Rows are sorted by the server and read one
// by one, so memory here does not grow with their number; the server sorts in
// 64 MiB and on disk beyond.
func (l *Ledger) Current(ctx context.Context, tenant, project string, seq int64, sel export.Selectors, yield func(ledger.Row) error) error {
	err := l.db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, currentSettings); err != nil {
			return err
		}
		sql, args := currentQuery(tenant, project, seq, sel)
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r ledger.Row
			var digest pgtype.DriverBytes
			if err := rows.Scan(&r.Seq, (*string)(&r.Kind), &r.Subject, &r.UpstreamID, &r.Source, &r.Stream,
				&digest, &r.CanonicalBytes); err != nil {
				return err
			}
			copy(r.Digest[:], digest)
			if err := yield(r); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	if err != nil {
		return fmt.Errorf("read current documents as of %d: %w", seq, err)
	}
	return nil
}

// linesQuery looks every document up by its keys. The lateral subqueries are
// fenced (offset 0), so the planner cannot turn the lookups into one join with
// all of the tenant's rows: without statistics, as after a first import, it
// did, and each chunk then read the whole ledger.
const linesQuery = `
select o.seq, o.kind, o.subject, o.upstream_id, o.source, o.stream, o.sha256, o.canonical_bytes,
  o.format, o.modified, o.raw_bytes, o.ecosystems, o.products, o.aliases, c.bytes
from unnest($2::bigint[]) with ordinality as w (seq, n)
cross join lateral (select * from ledger_observations o where o.tenant = $1 and o.seq = w.seq offset 0) o
cross join lateral (select coalesce(c.canonical, c.raw) as bytes from ledger_contents c
  where c.tenant = $1 and c.sha256 = o.sha256 offset 0) c
order by w.n`

// linesChunk bounds one query of Lines: the server may sort its answer.
const linesChunk = 500

// Lines implements ledger.Store. A sequence that is not there is
// storage.ErrNotFound: a reader is never given fewer documents than it asked for.
func (l *Ledger) Lines(ctx context.Context, tenant string, seqs []int64, yield func(ledger.Line) error) error {
	err := l.db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		for chunk := range slices.Chunk(seqs, linesChunk) {
			if err := readLines(ctx, tx, tenant, chunk, yield); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("read %d documents: %w", len(seqs), err)
	}
	return nil
}

func readLines(ctx context.Context, tx pgx.Tx, tenant string, seqs []int64, yield func(ledger.Line) error) error {
	rows, err := tx.Query(ctx, linesQuery, tenant, seqs)
	if err != nil {
		return err
	}
	defer rows.Close()
	read := 0
	for rows.Next() {
		var line ledger.Line
		var digest, canonical pgtype.DriverBytes
		if err := rows.Scan(&line.Seq, (*string)(&line.Kind), &line.Subject, &line.UpstreamID, &line.Source, &line.Stream,
			&digest, &line.CanonicalBytes, &line.Format, &line.Modified, &line.RawBytes,
			&line.Ecosystems, &line.Products, &line.Aliases, &canonical); err != nil {
			return err
		}
		if read == len(seqs) || line.Seq != seqs[read] {
			return fmt.Errorf("document %d: %w", seqs[min(read, len(seqs)-1)], storage.ErrNotFound)
		}
		read++
		copy(line.Digest[:], digest)
		line.Canonical = canonical
		if int64(len(canonical)) != line.CanonicalBytes {
			return fmt.Errorf("document %d: canonical form has %d bytes, %d were recorded: %w",
				line.Seq, len(canonical), line.CanonicalBytes, storage.ErrCorrupt)
		}
		if err := yield(line); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if read < len(seqs) {
		return fmt.Errorf("document %d: %w", seqs[read], storage.ErrNotFound)
	}
	return nil
}
