-- How much a tenant, and a profile, may ask for (docs/quotas.md).

-- +goose Up

-- What the profile's revision bounds for the run, 0 = nothing, and the day it counts
-- for; null of a run that was asked for before there were quotas. The check is not
-- held against those: nobody waits for a scan.
alter table export_runs
  add column quota_active integer not null default 0,
  add column quota_daily integer not null default 0,
  add column quota_bytes bigint not null default 0,
  add column counted_on date;
alter table export_runs add constraint export_runs_quotas
  check (quota_active >= 0 and quota_daily >= 0 and quota_bytes >= 0) not valid;

-- What is used of quotas: the runs that were asked for on a day, and the bytes of
-- bundles that are kept; of a profile, or with '' of the tenant. Whoever asks for a
-- run changes it under the lock of the tenant's queue (00008); whoever locks a run
-- does that first. fsck counts again.
create table export_usage (
  tenant     text collate "C" not null,
  profile_id text collate "C" not null,
  day        date not null,              -- UTC, by the database's clock; it never goes back
  runs       bigint not null check (runs >= 0),
  bytes      bigint not null default 0 check (bytes >= 0),
  record_bytes bigint not null default 0 check (record_bytes >= 0), -- of the tenant's orchestrator_exports
  primary key (tenant, profile_id)
) with (fillfactor = 50); -- updated by every request, as export_queues
select protect_tenant_table('export_usage');
grant select, insert, update (day, runs, bytes, record_bytes) on export_usage to exportcenter_app;

-- The bundles and records that are there already. The wall holds back the owner too.
alter table export_runs no force row level security;
alter table orchestrator_exports no force row level security;
alter table export_usage no force row level security;
insert into export_usage (tenant, profile_id, day, runs, bytes)
select tenant, coalesce(profile_id, ''), (clock_timestamp() at time zone 'UTC')::date, 0, sum(archive_bytes)
from export_runs where status in ('succeeded', 'partial') group by grouping sets ((tenant), (tenant, profile_id));
insert into export_usage as u (tenant, profile_id, day, runs, record_bytes)
select tenant, '', (clock_timestamp() at time zone 'UTC')::date, 0, sum(octet_length(record)) from orchestrator_exports group by tenant
on conflict (tenant, profile_id) do update set record_bytes = excluded.record_bytes;
alter table export_usage force row level security;
alter table orchestrator_exports force row level security;
alter table export_runs force row level security;

-- A bundle counts from the moment it can be had until it has expired, whatever
-- statement said so.
-- +goose StatementBegin
create function export_runs_kept() returns trigger language plpgsql as $$
declare
  more bigint := case when new.status in ('succeeded', 'partial') then new.archive_bytes else 0 end
               - case when old.status in ('succeeded', 'partial') then old.archive_bytes else 0 end;
begin
  if more <> 0 then
    insert into export_usage as u (tenant, profile_id, day, runs, bytes)
    select new.tenant, p, (clock_timestamp() at time zone 'UTC')::date, 0, greatest(more, 0)
    from unnest(array['', new.profile_id]) p order by p collate "C" -- '' first, as all who change both
    on conflict (tenant, profile_id) do update set bytes = greatest(u.bytes + more, 0);
  end if;
  return null;
end $$;
-- +goose StatementEnd
create trigger export_runs_kept after update of status on export_runs for each row
  when (old.status is distinct from new.status) execute function export_runs_kept();

-- Records of exports are never removed: what they take is bounded.
-- +goose StatementBegin
create function orchestrator_exports_kept() returns trigger language plpgsql as $$
declare
  more bigint := octet_length(new.record) - case when tg_op = 'UPDATE' then octet_length(old.record) else 0 end;
begin
  insert into export_usage as u (tenant, profile_id, day, runs, record_bytes)
  values (new.tenant, '', (clock_timestamp() at time zone 'UTC')::date, 0, greatest(more, 0))
  on conflict (tenant, profile_id) do update set record_bytes = greatest(u.record_bytes + more, 0);
  return null;
end $$;
-- +goose StatementEnd
create trigger orchestrator_exports_kept after insert or update of record on orchestrator_exports
  for each row execute function orchestrator_exports_kept();

-- What an administrator says of a tenant: null = what the installation says of all,
-- 0 = no bound.
alter table tenants add column max_runs_per_day integer, add column max_bytes bigint;
alter table tenants add constraint tenants_quotas check (max_runs_per_day >= 0 and max_bytes >= 0) not valid;
grant update (max_runs_per_day, max_bytes) on tenants to exportcenter_app;

-- +goose Down
alter table tenants drop column max_runs_per_day, drop column max_bytes;
drop trigger orchestrator_exports_kept on orchestrator_exports;
drop function orchestrator_exports_kept();
drop trigger export_runs_kept on export_runs;
drop function export_runs_kept();
drop table export_usage;
alter table export_runs drop column quota_active, drop column quota_daily, drop column quota_bytes, drop column counted_on;
