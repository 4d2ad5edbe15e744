-- Files that an adapter builds of its shards have an order that their names do
-- not tell; it is theirs among the payload files of the run.

-- +goose Up
alter table export_files add column ordinal integer not null default 0 check (ordinal >= 0);
grant update (ordinal) on export_files to exportcenter_app;

-- +goose Down
alter table export_files drop column ordinal;
