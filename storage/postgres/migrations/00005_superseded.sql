-- What an as-of listing in export order needs: which revision was overtaken,
-- and when, and an index in the order of an export. With both, the listing is
-- one ordered scan of an index: nothing is sorted, nothing is held.

-- +goose Up

-- A revision is current as of S when its seq is at most S and no row here says
-- by_seq <= S. by_seq is the number of the revision that overtook it, or its
-- own when a greater one was there before. A row is written once, in the
-- transaction that records by_seq, under the head's lock; it never changes.
create table ledger_superseded (
  tenant text   collate "C" not null,
  seq    bigint not null,
  by_seq bigint not null,
  primary key (tenant, seq) include (by_seq),
  check (by_seq >= seq)
);
alter table ledger_superseded set (autovacuum_vacuum_insert_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.05);

-- The export's order, and all that planning reads of a document.
create index ledger_observations_export on ledger_observations
  (tenant, project, kind, subject, upstream_id, source, stream, seq)
  include (sha256, canonical_bytes);

-- The index of revisions serves the import only, so it is thin again. It is
-- made after the other: where the planner knows nothing and finds both equal,
-- it takes the later one.
drop index ledger_observations_revision;
create unique index ledger_observations_revision on ledger_observations
  (tenant, project, kind, upstream_id, source, stream, sha256)
  include (modified, seq);

-- Revisions recorded so far. The owner is behind the tenant wall as well; for
-- this one statement it is not.
alter table ledger_observations no force row level security;
insert into ledger_superseded (tenant, seq, by_seq)
select tenant, seq, greatest(seq, first_greater) from (
  select tenant, seq, min(seq) over (
    partition by tenant, project, kind, upstream_id, source, stream
    order by modified desc, sha256 desc
    rows between unbounded preceding and 1 preceding) as first_greater
  from ledger_observations
) revisions where first_greater is not null;
alter table ledger_observations force row level security;

select protect_tenant_table('ledger_superseded');
grant select, insert on ledger_superseded to exportcenter_app;

-- +goose Down
drop table ledger_superseded;
drop index ledger_observations_export;
drop index ledger_observations_revision;
create unique index ledger_observations_revision on ledger_observations
  (tenant, project, kind, upstream_id, source, stream, sha256)
  include (modified, seq, subject, canonical_bytes);
