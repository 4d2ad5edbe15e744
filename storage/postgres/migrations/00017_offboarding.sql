-- Offboarding: what a tenant has here is removed, and what was removed is written
-- down (docs/offboarding.md).

-- +goose Up
alter table tenants drop constraint tenants_state_check;
alter table tenants add constraint tenants_state_check check (state in ('active', 'suspended', 'offboarding', 'offboarded'));
alter table tenants add column offboarded_at timestamptz;
alter table tenants add check ((offboarded_at is not null) = (state = 'offboarded'));

-- There is one way out, and no way back. Only the role that removes says that
-- everything is gone, and it says nothing else: who leaves is the service's to say.
-- +goose StatementBegin
create function tenants_guard() returns trigger language plpgsql as $$
begin
  if old.state = 'offboarded' and (new.state <> 'offboarded' or new.offboarded_at <> old.offboarded_at)
      or old.state = 'offboarding' and new.state not in ('offboarding', 'offboarded')
      or new.state = 'offboarding' and old.state not in ('suspended', 'offboarding')
      or new.state = 'offboarded' and (old.state <> 'offboarding' or current_user <> 'exportcenter_offboard')
      or current_user = 'exportcenter_offboard' and (old.state <> 'offboarding' or new.state <> 'offboarded') then
    raise exception 'a tenant is offboarded once, after it was suspended, and for good' using errcode = 'check_violation';
  end if;
  return new;
end $$;
-- +goose StatementEnd
create trigger tenants_guard before update on tenants for each row execute function tenants_guard();

-- What is kept of a tenant: what there was before anything was removed, what was
-- removed so far, and the signed record of it all.
create table offboardings (
  tenant     text collate "C" primary key,
  begun_at   timestamptz not null,
  found      text not null,               -- canonical JSON
  removed    jsonb not null default '{}', -- rows, by table
  changed_at timestamptz not null,        -- when something was last removed
  ended_at   timestamptz,
  record     text,                        -- DSSE envelope
  foreign key (tenant) references tenants (tenant),
  check ((ended_at is null) = (record is null))
);
select protect_tenant_table('offboardings');
grant select on offboardings to exportcenter_app;

-- A line for each of its runs; the record has their digest.
create table offboarding_runs (
  tenant text collate "C" not null,
  id     text collate "C" not null,
  line   text not null, -- canonical JSON
  primary key (tenant, id),
  foreign key (tenant) references offboardings (tenant)
);
select protect_tenant_table('offboarding_runs');
grant select on offboarding_runs to exportcenter_app;

-- Whether the tenant of the running transaction is being offboarded.
create function app_offboarding() returns boolean
  language sql stable
  return exists (select from tenants where tenant = app_current_tenant() and state = 'offboarding');

-- What was there is noted of a tenant that is being offboarded, before its record is
-- signed; a record that is there stays as it is.
-- +goose StatementBegin
create function offboardings_guard() returns trigger language plpgsql as $$
begin
  if tg_op = 'INSERT' and not app_offboarding() or exists (select from offboardings o where o.tenant = new.tenant and o.ended_at is not null) then
    raise exception 'a tenant is offboarded once, and its record does not change' using errcode = 'check_violation';
  end if;
  return new;
end $$;
-- +goose StatementEnd
create trigger offboardings_guard before insert or update on offboardings for each row execute function offboardings_guard();
create trigger offboarding_runs_guard before insert or update on offboarding_runs for each row execute function offboardings_guard();

-- A tenant that is being offboarded, or was, gets nothing new, whatever an old
-- process still believes.
-- +goose StatementBegin
create function refuse_offboarded() returns trigger language plpgsql as $$
begin
  if exists (select from tenants where tenant = new.tenant and state in ('offboarding', 'offboarded')) then
    raise exception 'the tenant is offboarded' using errcode = 'check_violation', constraint = 'tenant_offboarded';
  end if;
  return new;
end $$;

create or replace function note_tenant() returns trigger language plpgsql as $$
begin
  insert into tenants (tenant) values (new.tenant) on conflict do nothing;
  if exists (select from tenants where tenant = new.tenant and state in ('offboarding', 'offboarded')) then
    raise exception 'the tenant is offboarded' using errcode = 'check_violation', constraint = 'tenant_offboarded';
  end if;
  return new;
end $$;
-- +goose StatementEnd
create trigger refuse_offboarded before insert on audit_heads for each row execute function refuse_offboarded();

-- The audit record is only added to, until its tenant is offboarded.
-- +goose StatementBegin
create or replace function audit_guard() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' and current_user = 'exportcenter_offboard' and app_offboarding() then
    return null; -- of a trigger for each statement it means nothing
  end if;
  raise exception 'the audit record is only added to' using errcode = 'check_violation';
end $$;

-- The role that removes: behind the wall like the service, and besides only where
-- the tenant is being offboarded; it deletes, and writes what is kept. It is given
-- every table that is protected later, and everything by `exportcenter migrate`, which
-- calls this, when the role is made later than this migration was run.
create function grant_offboarding() returns void language plpgsql as $$
declare
  t regclass;
begin
  perform pg_advisory_xact_lock(hashtextextended('grant_offboarding', 0));
  if not exists (select from pg_roles where rolname = 'exportcenter_offboard') then
    return;
  end if;
  if not has_schema_privilege('exportcenter_offboard', 'public', 'usage') then
    grant usage on schema public to exportcenter_offboard;
  end if;
  for t in
    select c.oid from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant'
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
      and c.relname not in ('dpop_epochs', 'dpop_proofs') -- the installation's own
      and c.relowner = (select oid from pg_roles where rolname = current_user) -- what others keep here is theirs to give
    order by c.relname
  loop
    if not has_table_privilege('exportcenter_offboard', t, 'select') then
      execute format('grant select on %s to exportcenter_offboard', t);
    end if;
    if exists (select from pg_policy p where p.polrelid = t and p.polname = 'tenant_wall'
        and p.polroles <> '{0}' and not 'exportcenter_offboard'::regrole = any (p.polroles)) then
      execute format('alter policy tenant_wall on %s to exportcenter_app, exportcenter_offboard', t);
    end if;
    continue when t in ('tenants'::regclass, 'offboardings'::regclass, 'offboarding_runs'::regclass); -- kept
    if not has_table_privilege('exportcenter_offboard', t, 'delete') then
      execute format('grant delete on %s to exportcenter_offboard', t);
    end if;
    if not exists (select from pg_policy p where p.polrelid = t and p.polname = 'offboarding_only') then
      execute format('create policy offboarding_only on %s as restrictive to exportcenter_offboard using ((select app_offboarding()))', t);
    end if;
  end loop;
  if not has_column_privilege('exportcenter_offboard', 'tenants', 'offboarded_at', 'update') then
    grant update (state, display_name, offboarded_at) on tenants to exportcenter_offboard;
    grant insert, update (removed, changed_at, ended_at, record) on offboardings to exportcenter_offboard;
    grant insert on offboarding_runs to exportcenter_offboard;
  end if;
end $$;

create or replace function protect_tenant_table(name regclass) returns void
  language plpgsql as $$
begin
  execute format('alter table %s enable row level security', name);
  execute format('alter table %s force row level security', name);
  execute format('create policy tenant_wall on %s
    using (tenant = (select app_current_tenant()))
    with check (tenant = (select app_current_tenant()))', name);
  perform grant_offboarding();
end $$;
-- +goose StatementEnd
revoke all on function grant_offboarding() from public;
select grant_offboarding();

-- +goose Down
-- +goose StatementBegin
do $$
declare
  t regclass;
begin
  if exists (select from pg_roles where rolname = 'exportcenter_offboard') then
    for t in
      select c.oid from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant'
      where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname not in ('dpop_epochs', 'dpop_proofs')
    loop
      execute format('drop policy if exists offboarding_only on %s', t);
      execute format('revoke all on %s from exportcenter_offboard', t);
      if exists (select from pg_policy p where p.polrelid = t and p.polname = 'tenant_wall' and 'exportcenter_offboard'::regrole = any (p.polroles)) then
        execute format('alter policy tenant_wall on %s to exportcenter_app', t);
      end if;
    end loop;
    revoke update (state, display_name, offboarded_at) on tenants from exportcenter_offboard;
    revoke update (removed, changed_at, ended_at, record) on offboardings from exportcenter_offboard;
    revoke usage on schema public from exportcenter_offboard;
  end if;
end $$;

create or replace function audit_guard() returns trigger language plpgsql as $$
begin
  raise exception 'the audit record is only added to' using errcode = 'check_violation';
end $$;

create or replace function note_tenant() returns trigger language plpgsql as $$
begin
  insert into tenants (tenant) values (new.tenant) on conflict do nothing;
  return new;
end $$;

create or replace function protect_tenant_table(name regclass) returns void
  language plpgsql as $$
begin
  execute format('alter table %s enable row level security', name);
  execute format('alter table %s force row level security', name);
  execute format('create policy tenant_wall on %s
    using (tenant = (select app_current_tenant()))
    with check (tenant = (select app_current_tenant()))', name);
end $$;
-- +goose StatementEnd
drop function grant_offboarding();
drop trigger refuse_offboarded on audit_heads;
drop function refuse_offboarded();
drop table offboarding_runs, offboardings;
drop function offboardings_guard();
drop function app_offboarding();
drop trigger tenants_guard on tenants;
drop function tenants_guard();
-- Whoever was offboarded stays out.
alter table tenants no force row level security;
alter table tenants drop constraint tenants_check;
update tenants set state = 'suspended' where state in ('offboarding', 'offboarded');
alter table tenants force row level security;
alter table tenants drop column offboarded_at, drop constraint tenants_state_check;
alter table tenants add constraint tenants_state_check check (state in ('active', 'suspended'));
