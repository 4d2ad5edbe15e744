-- Runs that build another run again, to compare their bytes with its bundle's. They
-- read as of the same moment, and have no bundle of their own. rebuilt is what came of
-- it. NULL: every other run.

-- +goose Up
-- No foreign key: rows of a tenant that leaves go some at a time.
alter table export_runs add column rebuild_of text collate "C", add column rebuilt jsonb,
  add check (rebuild_of <> id), add check (rebuilt is null or rebuild_of is not null);
create index export_runs_rebuilds on export_runs (tenant, rebuild_of) where rebuild_of is not null;
grant update (rebuilt) on export_runs to exportcenter_app;

-- A worker of an older release would make a bundle of such a run, and publish it: see
-- 00018 for how it is kept away.
-- +goose StatementBegin
create function export_rebuilds_guard() returns trigger language plpgsql as $$
begin
  if current_setting('app.reads_rebuild', true) is distinct from 'on' and exists (
    select from export_runs where tenant = new.tenant and id = new.run_id and rebuild_of is not null) then
    raise exception 'a worker that knows rebuilds takes this one' using errcode = 'lock_not_available';
  end if;
  return new;
end $$;
-- +goose StatementEnd
create trigger export_rebuilds_guard before insert or update on export_attempts for each row execute function export_rebuilds_guard();

-- +goose Down
drop trigger export_rebuilds_guard on export_attempts;
drop function export_rebuilds_guard();
drop index export_runs_rebuilds;
alter table export_runs drop column rebuilt, drop column rebuild_of;
