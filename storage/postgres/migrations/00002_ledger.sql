-- The evidence ledger (ARCHITECTURE D1): append-only, readable as of any
-- sequence. Every text is COLLATE "C": order and equality are those of bytes,
-- on every machine.

-- +goose Up

-- One row per tenant. The import's lock, and the highest sequence given out.
create table ledger_heads (
  tenant text collate "C" primary key,
  seq    bigint not null default 0 check (seq >= 0)
);

-- Documents by the digest of their original bytes.
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

-- Revisions of documents, in the order in which they were recorded. project is
-- "_" for a tenant without projects (ruling 14). modified is text in one fixed
-- form, "" without one, so that (modified, sha256) orders revisions.
create table ledger_observations (
  tenant          text   collate "C" not null,
  seq             bigint not null check (seq > 0),
  project         text   collate "C" not null default '_',
  kind            text   collate "C" not null,
  format          text   collate "C" not null,
  source          text   collate "C" not null,
  stream          text   collate "C" not null,
  upstream_id     text   collate "C" not null check (upstream_id <> ''),
  modified        text   collate "C" not null,
  sha256          bytea  not null,
  subject         text   collate "C" not null,
  raw_bytes       bigint not null,
  canonical_bytes bigint not null,
  ecosystems      text[] collate "C" not null,
  products        text[] collate "C" not null,
  aliases         text[] collate "C" not null,
  primary key (tenant, seq),
  foreign key (tenant, sha256) references ledger_contents (tenant, sha256)
);
-- A revision is recorded once. The included columns make the as-of read
-- index-only; it is ordered by identity, so DISTINCT ON needs no full sort.
create unique index ledger_observations_revision on ledger_observations
  (tenant, project, kind, upstream_id, source, stream, sha256)
  include (modified, seq, subject, canonical_bytes);

-- What observations can be selected by: axis is subject, product, ecosystem,
-- alias or modified. A b-tree and not arrays: array and LIKE operators use no
-- index under row level security. A prefix is a range.
create table ledger_terms (
  tenant text   collate "C" not null,
  axis   text   collate "C" not null,
  term   text   collate "C" not null,
  seq    bigint not null,
  primary key (tenant, axis, term, seq)
);

select protect_tenant_table('ledger_heads');
select protect_tenant_table('ledger_contents');
select protect_tenant_table('ledger_observations');
select protect_tenant_table('ledger_terms');

grant select, insert on ledger_contents, ledger_observations, ledger_terms to exportcenter_app;
grant select, insert on ledger_heads to exportcenter_app;
grant update (seq) on ledger_heads to exportcenter_app;

-- The as-of read is index-only on vacuumed pages and three times slower on
-- fresh ones; rows are only ever added, so vacuum early on inserts.
alter table ledger_observations set (autovacuum_vacuum_insert_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.05);
alter table ledger_terms set (autovacuum_vacuum_insert_scale_factor = 0.1,
  autovacuum_analyze_scale_factor = 0.05);
-- Updated by every import: room on the page keeps the update off the index.
alter table ledger_heads set (fillfactor = 50);

-- +goose Down
drop table ledger_terms;
drop table ledger_observations;
drop table ledger_contents;
drop table ledger_heads;
