package postgres

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
)

// blocksMigration moves the documents from a row each into blocks
// (docs/decisions/0005). It is in Go because SQL cannot write a block. Like the
// others it is one transaction. The owner is behind the tenant wall as well;
// for what it moves the wall is lifted, and its locks keep everybody else out.
func blocksMigration() *goose.Migration {
	return goose.NewGoMigration(6,
		&goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			return inSteps(ctx, tx, blocksBegin, moveIntoBlocks, blocksEnd)
		}},
		&goose.GoFunc{RunTx: func(ctx context.Context, tx *sql.Tx) error {
			return inSteps(ctx, tx, contentsBegin, moveOutOfBlocks, contentsEnd)
		}})
}

func inSteps(ctx context.Context, tx *sql.Tx, before string, move func(context.Context, *sql.Tx) error, after string) error {
	if _, err := tx.ExecContext(ctx, before); err != nil {
		return err
	}
	if err := move(ctx, tx); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, after)
	return err
}

const blocksBegin = `
-- Numbers of segments: a segment is the blocks of one import batch. They say
-- nothing about a tenant and are shown to nobody.
create sequence ledger_segments;
grant usage on sequence ledger_segments to exportcenter_app;

-- Documents, many to a row; storage/postgres/block.go has the form. They are
-- compressed already.
create table ledger_blocks (
  tenant text  collate "C" not null,
  block  bigint not null,
  data   bytea not null,
  primary key (tenant, block)
);
alter table ledger_blocks alter column data set storage external;
select protect_tenant_table('ledger_blocks');
grant select, insert on ledger_blocks to exportcenter_app;

-- When the ledger had grown to which sequence: a row per import transaction.
create table ledger_moments (
  tenant text   collate "C" not null,
  seq    bigint not null,
  at     timestamptz not null,
  primary key (tenant, seq)
);
select protect_tenant_table('ledger_moments');
grant select, insert on ledger_moments to exportcenter_app;

alter table ledger_observations
  add column identity   bytea check (octet_length(identity) = 16),
  add column block      bigint,
  add column slot       integer,
  add column severities smallint not null default 0;
comment on column ledger_observations.identity is
  'The first 16 bytes of the SHA-256 of project, kind, source, stream and upstream id, joined by line feeds.';
comment on column ledger_observations.severities is
  'The severities the document gives: none 1, low 2, medium 4, high 8, critical 16. 0 also for what was imported before they were read.';

alter table ledger_heads no force row level security;
alter table ledger_contents no force row level security;
alter table ledger_observations no force row level security;
alter table ledger_superseded no force row level security;
alter table ledger_blocks no force row level security;
alter table ledger_moments no force row level security;

-- What documents can be selected by, many to a row; storage/postgres/term_page.go
-- has the form. The documents of a row are those behind base.
drop table ledger_terms;
create table ledger_terms (
  tenant text     collate "C" not null,
  axis   text     collate "C" not null check (axis in ('product', 'ecosystem', 'alias')),
  base   bigint   not null,
  nth    smallint not null,
  first  text     collate "C" not null,
  last   text     collate "C" not null,
  data   bytea    not null,
  primary key (tenant, axis, base, nth)
);
create index ledger_terms_span on ledger_terms (tenant, axis, first, last, base);
select protect_tenant_table('ledger_terms');
grant select, insert on ledger_terms to exportcenter_app;
alter table ledger_terms no force row level security;
update ledger_observations set identity = substring(sha256(convert_to(
  concat_ws(E'\n', project, kind, source, stream, upstream_id), 'UTF8')) for 16);
insert into ledger_moments (tenant, seq, at) select tenant, seq, now() from ledger_heads where seq > 0;`

const blocksEnd = `
alter table ledger_observations drop constraint ledger_observations_tenant_sha256_fkey;
drop table ledger_contents;
drop index ledger_observations_export;
drop index ledger_observations_revision;
alter table ledger_observations
  drop column ecosystems, drop column products, drop column aliases,
  alter column identity set not null, alter column block set not null, alter column slot set not null;

-- The export's order, and all that planning reads of a document.
create index ledger_observations_export on ledger_observations
  (tenant, project, kind, subject, upstream_id, source, stream, seq)
  include (sha256, canonical_bytes, block, slot);
-- A revision is recorded once; and a document is found by its digest.
create unique index ledger_observations_revision on ledger_observations (tenant, sha256, identity);
-- The greatest revision of a document.
create index ledger_observations_identity on ledger_observations (tenant, identity, modified desc, sha256 desc) include (seq);
-- What a change of the ledger overtook.
create index ledger_superseded_by on ledger_superseded (tenant, by_seq) include (seq);

alter table ledger_heads force row level security;
alter table ledger_observations force row level security;
alter table ledger_terms force row level security;
alter table ledger_superseded force row level security;
alter table ledger_blocks force row level security;
alter table ledger_moments force row level security;`

const contentsBegin = `
create table ledger_contents (
  tenant    text  collate "C" not null,
  sha256    bytea not null check (octet_length(sha256) = 32),
  raw       bytea compression lz4 not null,
  canonical bytea compression lz4,
  primary key (tenant, sha256)
);
comment on column ledger_contents.raw is
  'The original bytes. An original above 1 MiB may live in the blob store under cas://sha256/<sha256>: a later migration then drops this NOT NULL and says which of the two holds it.';
comment on column ledger_contents.canonical is 'RFC 8785 form; NULL when it equals raw.';
alter table ledger_observations
  add column ecosystems text[] collate "C", add column products text[] collate "C", add column aliases text[] collate "C";
create table ledger_terms_before (
  tenant text   collate "C" not null,
  axis   text   collate "C" not null,
  term   text   collate "C" not null,
  seq    bigint not null,
  primary key (tenant, axis, term, seq)
);
alter table ledger_observations no force row level security;
alter table ledger_superseded no force row level security;
alter table ledger_blocks no force row level security;`

const contentsEnd = `
drop table ledger_terms;
alter table ledger_terms_before rename to ledger_terms;
alter index ledger_terms_before_pkey rename to ledger_terms_pkey;
insert into ledger_terms (tenant, axis, term, seq)
  select tenant, 'subject', subject, seq from ledger_observations where subject <> ''
  union all select tenant, 'modified', modified, seq from ledger_observations where modified <> ''
  union all select tenant, 'product', unnest(products), seq from ledger_observations
  union all select tenant, 'ecosystem', unnest(ecosystems), seq from ledger_observations
  union all select tenant, 'alias', unnest(aliases), seq from ledger_observations;
select protect_tenant_table('ledger_terms');
grant select, insert on ledger_terms to exportcenter_app;
alter table ledger_terms set (autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_analyze_scale_factor = 0.05);
drop index ledger_superseded_by;
drop index ledger_observations_identity;
drop index ledger_observations_export;
drop index ledger_observations_revision;
alter table ledger_observations
  drop column identity, drop column block, drop column slot, drop column severities,
  alter column ecosystems set not null, alter column products set not null, alter column aliases set not null,
  add foreign key (tenant, sha256) references ledger_contents (tenant, sha256);
select protect_tenant_table('ledger_contents');
grant select, insert on ledger_contents to exportcenter_app;
create index ledger_observations_export on ledger_observations
  (tenant, project, kind, subject, upstream_id, source, stream, seq)
  include (sha256, canonical_bytes);
create unique index ledger_observations_revision on ledger_observations
  (tenant, project, kind, upstream_id, source, stream, sha256)
  include (modified, seq);
alter table ledger_observations force row level security;
alter table ledger_superseded force row level security;
drop table ledger_moments, ledger_blocks;
drop sequence ledger_segments;`

// What a migration holds of the documents: so many, or the first that have so
// many bytes, and one document at least.
const (
	movedAtOnce = 200
	movedBytes  = 8 << 20
)

// stored is a document as the rows had it.
type stored struct {
	tenant   string
	seq      int64
	document ledger.Observation
}

// moveIntoBlocks writes the blocks of everything that is recorded.
func moveIntoBlocks(ctx context.Context, tx *sql.Tx) error {
	tenant, after := "", int64(0)
	for {
		page, err := storedDocuments(ctx, tx, tenant, after)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, ofTenant := range byTenant(page) {
			if err := moveSegment(ctx, tx, ofTenant); err != nil {
				return err
			}
		}
		tenant, after = page[len(page)-1].tenant, page[len(page)-1].seq
	}
}

func byTenant(page []stored) [][]stored {
	var parts [][]stored
	for len(page) > 0 {
		n := 1
		for n < len(page) && page[n].tenant == page[0].tenant {
			n++
		}
		parts, page = append(parts, page[:n]), page[n:]
	}
	return parts
}

func storedDocuments(ctx context.Context, tx *sql.Tx, tenant string, after int64) (page []stored, err error) {
	rows, err := tx.QueryContext(ctx, `
		select o.tenant, o.seq, o.kind, o.format, o.source, o.stream, o.upstream_id, o.modified, o.sha256, o.subject,
			array_to_json(o.ecosystems)::text, array_to_json(o.products)::text, array_to_json(o.aliases)::text,
			c.raw, coalesce(c.canonical, c.raw)
		from ledger_observations o join ledger_contents c on c.tenant = o.tenant and c.sha256 = o.sha256
		where (o.tenant, o.seq) in (
			select tenant, seq from (
				select tenant, seq, sum(raw_bytes + canonical_bytes) over (order by tenant, seq) as size, row_number() over (order by tenant, seq) as n
				from (select tenant, seq, raw_bytes, canonical_bytes from ledger_observations
					where (tenant, seq) > ($1, $2) order by tenant, seq limit $3) next) sized
			where size <= $4 or n = 1)
		order by o.tenant, o.seq`, tenant, after, movedAtOnce, movedBytes)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s stored
		var digest []byte
		var lists [3]string
		o := &s.document
		err := rows.Scan(&s.tenant, &s.seq, (*string)(&o.Kind), &o.Format, &o.Source, &o.Stream, &o.UpstreamID, &o.Modified,
			&digest, &o.Subject, &lists[0], &lists[1], &lists[2], &o.Raw, &o.Canonical)
		if err != nil {
			return nil, err
		}
		for i, list := range []*[]string{&o.Ecosystems, &o.Products, &o.Aliases} {
			if err := json.Unmarshal([]byte(lists[i]), list); err != nil {
				return nil, err
			}
		}
		o.Digest = bundle.Digest(digest)
		page = append(page, s)
	}
	return page, rows.Err()
}

func moveSegment(ctx context.Context, tx *sql.Tx, documents []stored) error {
	if err := moveTerms(ctx, tx, documents); err != nil {
		return err
	}
	slices.SortStableFunc(documents, func(a, b stored) int { return compareKeys(&a.document, &b.document) })
	var segment int64
	if err := tx.QueryRowContext(ctx, "select nextval('ledger_segments')").Scan(&segment); err != nil {
		return err
	}
	observations := make([]*ledger.Observation, len(documents))
	for i := range documents {
		observations[i] = &documents[i].document
	}
	blocks, places, err := packBlocks(segment, observations)
	if err != nil {
		return err
	}
	for _, b := range blocks {
		if _, err := tx.ExecContext(ctx, "insert into ledger_blocks (tenant, block, data) values ($1, $2, $3)",
			documents[0].tenant, b.number, b.stored); err != nil {
			return err
		}
	}
	for i, d := range documents {
		if _, err := tx.ExecContext(ctx, "update ledger_observations set block = $3, slot = $4 where tenant = $1 and seq = $2",
			d.tenant, d.seq, places[i].Block, places[i].Slot); err != nil {
			return err
		}
	}
	return nil
}

// moveTerms writes the pages of documents that are in the order of their
// sequences, each behind a base of its own run of numbers.
func moveTerms(ctx context.Context, tx *sql.Tx, documents []stored) error {
	for len(documents) > 0 {
		n := 1
		for n < len(documents) && documents[n].seq == documents[n-1].seq+1 {
			n++
		}
		observations := make([]*ledger.Observation, n)
		for i := range observations {
			observations[i] = &documents[i].document
		}
		for _, p := range termPages(observations) {
			_, err := tx.ExecContext(ctx, `insert into ledger_terms (tenant, axis, base, nth, first, last, data)
				values ($1, $2, $3, $4, $5, $6, $7)`, documents[0].tenant, p.axis, documents[0].seq-1, p.nth, p.first, p.last, p.data)
			if err != nil {
				return err
			}
		}
		documents = documents[n:]
	}
	return nil
}

// moveOutOfBlocks gives every document its row again.
func moveOutOfBlocks(ctx context.Context, tx *sql.Tx) error {
	type place struct {
		tenant string
		seq    int64
		ledger.Place
	}
	var last place
	for {
		var p place
		err := tx.QueryRowContext(ctx, `select tenant, seq, block, slot from ledger_observations
			where (tenant, seq) > ($1, $2) order by tenant, seq limit 1`, last.tenant, last.seq).
			Scan(&p.tenant, &p.seq, &p.Block, &p.Slot)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := moveOut(ctx, tx, p.tenant, p.seq, p.Place); err != nil {
			return fmt.Errorf("document %d: %w", p.seq, err)
		}
		last = p
	}
}

func moveOut(ctx context.Context, tx *sql.Tx, tenant string, seq int64, at ledger.Place) error {
	slot := func(number int64) ([]byte, error) {
		var data []byte
		err := tx.QueryRowContext(ctx, "select data from ledger_blocks where tenant = $1 and block = $2", tenant, number).Scan(&data)
		if err != nil {
			return nil, err
		}
		content, err := openBlock(nil, data)
		if err != nil {
			return nil, err
		}
		return slotOf(content, at.Slot)
	}
	record, err := slot(at.Block)
	if err != nil {
		return err
	}
	var line ledger.Line
	if err := readRecord(record, &line); err != nil {
		return err
	}
	original, err := slot(at.Block + 1)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return err
	}
	raw, canonical := line.Canonical, []byte(nil)
	if len(original) > 0 {
		raw, canonical = original, line.Canonical
	}
	if _, err := tx.ExecContext(ctx, `insert into ledger_contents (tenant, sha256, raw, canonical)
		values ($1, $2, $3, $4) on conflict do nothing`, tenant, line.Digest[:], raw, canonical); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `update ledger_observations set ecosystems = $3::text[], products = $4::text[], aliases = $5::text[]
		where tenant = $1 and seq = $2`, tenant, seq, textArray(line.Ecosystems), textArray(line.Products), textArray(line.Aliases))
	return err
}

var arrayEscape = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// textArray writes an array literal.
func textArray(values []string) string {
	var b strings.Builder
	b.WriteByte('{')
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		b.WriteString(arrayEscape.Replace(v))
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return b.String()
}
