-- What can be asked of runs later: who asked for them, and which of a plan's
-- shards were taken over from a run before.

-- +goose Up
alter table export_inputs add column reused boolean not null default false;
grant update (reused) on export_inputs to exportcenter_app;
create index export_runs_by_requester on export_runs (tenant, requested_by, requested_at desc, id desc);

-- +goose Down
drop index export_runs_by_requester;
alter table export_inputs drop column reused;
