-- Mirrors (docs/formats/mirror.md): generations, and blobs that hold many entries of an
-- archive.

-- +goose Up

-- The last generation that a run of the tenant was given.
create table mirror_generations (
  tenant text collate "C" not null primary key,
  last   bigint not null check (last > 0)
);
select protect_tenant_table('mirror_generations');
grant select, insert, update (last) on mirror_generations to exportcenter_app;

-- 0 of runs that are no full mirrors, and of those that have not started.
alter table export_runs add column generation bigint not null default 0 check (generation >= 0);
grant update (generation) on export_runs to exportcenter_app;
create unique index export_runs_generation on export_runs (tenant, generation) where generation > 0;

-- A segment of originals: the blob has headers and padding, as the archive does.
alter table export_files add column entries boolean not null default false;
grant update (entries) on export_files to exportcenter_app;

-- +goose Down
alter table export_files drop column entries;
drop index export_runs_generation;
alter table export_runs drop column generation;
drop table mirror_generations;
