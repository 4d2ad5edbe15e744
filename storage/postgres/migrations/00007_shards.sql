-- What a run leaves for the next one: where the documents of a shard are, what
-- was packed of it, and the last plan of a selection. A shard is known by its
-- hash, over the keys and digests of its documents.

-- +goose Up

-- Where a shard's documents are, in order, as the activities write it. A
-- shard's documents never move, so a row never changes.
create table export_shards (
  tenant text collate "C" not null,
  hash   bytea not null check (length(hash) = 32),
  places bytea not null,
  primary key (tenant, hash)
);
select protect_tenant_table('export_shards');
grant select, insert on export_shards to exportcenter_app;

-- The payload file that was packed of a shard. The recipe is the digest of all
-- else that its bytes depend on: adapter, version, options, encoder. Whether
-- the blob is still there is to be asked when it is reused.
create table export_packed (
  tenant         text collate "C" not null,
  hash           bytea not null check (length(hash) = 32),
  recipe         bytea not null check (length(recipe) = 32),
  digest         bytea not null check (length(digest) = 32),
  size           bigint not null check (size >= 0),
  records        bigint not null check (records >= 0),
  content_digest bytea not null check (length(content_digest) = 32),
  content_size   bigint not null check (content_size >= 0),
  tally          text not null,
  primary key (tenant, hash, recipe)
);
create index export_packed_by_digest on export_packed (tenant, digest);
select protect_tenant_table('export_packed');
grant select, insert, delete on export_packed to exportcenter_app;

-- The newest plan of each selection; the shards are those of its run.
create table export_plans (
  tenant    text collate "C" not null,
  project   text collate "C" not null,
  selection bytea not null check (length(selection) = 32),
  as_of     bigint not null check (as_of >= 0),
  run_id    text collate "C" not null,
  primary key (tenant, project, selection),
  foreign key (tenant, run_id) references export_runs (tenant, id)
);
select protect_tenant_table('export_plans');
grant select, insert, update (as_of, run_id) on export_plans to exportcenter_app;

-- What was counted while a shard was packed; "" is nothing.
alter table export_inputs add column result_tally text not null default '';
grant update (result_tally) on export_inputs to exportcenter_app;

-- +goose Down
alter table export_inputs drop column result_tally;
drop table export_plans, export_packed, export_shards;
