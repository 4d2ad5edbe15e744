-- Removals of documents (docs/decisions/0019): that a document is not published
-- any more is recorded like a revision, with a sequence of its own.

-- +goose Up

-- A removal is greater than every revision modified until its time, that moment
-- included, and less than every later one. It stands in no listing: a revision
-- that it overtakes has its number in ledger_superseded.by_seq, and a removal
-- that is overtaken has a row there like a revision. What is less than what
-- stands already is not recorded. A row never changes.
create table ledger_removals (
  tenant      text   collate "C" not null,
  seq         bigint not null check (seq > 0),
  project     text   collate "C" not null,
  kind        text   collate "C" not null,
  source      text   collate "C" not null,
  stream      text   collate "C" not null,
  upstream_id text   collate "C" not null check (upstream_id <> ''),
  identity    bytea  not null check (octet_length(identity) = 16),
  modified    text   collate "C" not null check (modified <> ''),
  reason      text   not null check (octet_length(reason) <= 1024),
  said_by     text   not null check (octet_length(said_by) <= 1024),
  primary key (tenant, seq)
);
-- The greatest removal of a document.
create unique index ledger_removals_identity on ledger_removals (tenant, identity, modified desc) include (seq);
select protect_tenant_table('ledger_removals');
grant select, insert on ledger_removals to exportcenter_app;

-- +goose Down
-- The release before knows of no removals: what they overtook is current again,
-- unless a greater revision overtook it too. Their sequences stay unused.
alter table ledger_observations no force row level security;
alter table ledger_superseded no force row level security;
alter table ledger_removals no force row level security;
with affected as (
  select distinct tenant, identity from ledger_removals
), right_now as (
  select o.tenant, o.seq, greatest(o.seq, min(o.seq) over (
    partition by o.tenant, o.identity order by o.modified desc, o.sha256 desc
    rows between unbounded preceding and 1 preceding)) as by_seq,
    row_number() over (partition by o.tenant, o.identity order by o.modified desc, o.sha256 desc) as nth
  from ledger_observations o join affected a on a.tenant = o.tenant and a.identity = o.identity
), gone as (
  delete from ledger_superseded s using ledger_removals r where s.tenant = r.tenant and s.seq = r.seq
), current_again as (
  delete from ledger_superseded s using right_now n where n.nth = 1 and s.tenant = n.tenant and s.seq = n.seq
)
update ledger_superseded s set by_seq = n.by_seq from right_now n
where n.nth > 1 and s.tenant = n.tenant and s.seq = n.seq and s.by_seq <> n.by_seq;
alter table ledger_observations force row level security;
alter table ledger_superseded force row level security;
drop table ledger_removals;
