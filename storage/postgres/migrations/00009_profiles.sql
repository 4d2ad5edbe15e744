-- Profiles that tenants change: one row of what may change, beside the rows of
-- revisions, which never do (00003).

-- +goose Up
create table export_profile_heads (
  tenant      text collate "C" not null,
  project     text collate "C" not null,
  id          text collate "C" not null,
  name        text collate "C" not null check (length(name) between 3 and 64),
  kind        text collate "C" not null,
  variant     text collate "C" not null,
  revision    integer not null check (revision > 0), -- the newest
  version     bigint not null check (version > 0),   -- counts every change; what If-Match compares
  description text not null default '',
  labels      jsonb not null default '{}',
  updated_by  text not null,
  updated_at  timestamptz not null,
  archived_by text,
  archived_at timestamptz,
  primary key (tenant, id),
  unique (tenant, name), -- archived ones keep theirs: a bundle's manifest names a profile for years
  foreign key (tenant, id, revision) references export_profiles (tenant, id, revision),
  foreign key (tenant) references tenants (tenant),
  check ((archived_at is null) = (archived_by is null))
);
create index export_profile_heads_by_kind on export_profile_heads (tenant, kind, variant, name);

-- What is there already gets its row. The wall holds back the owner too, so it
-- is lifted for him while this transaction reads.
alter table export_profiles no force row level security;
alter table tenants no force row level security;
insert into tenants (tenant) select distinct tenant from export_profiles on conflict do nothing;
insert into export_profile_heads (tenant, project, id, name, kind, variant, revision, version, updated_by, updated_at)
select distinct on (tenant, id) tenant, project, id, name, kind, variant, revision, revision, created_by, created_at
from export_profiles order by tenant, id, revision desc;
alter table tenants force row level security;
alter table export_profiles force row level security;

create trigger note_tenant before insert on export_profile_heads for each row execute function note_tenant();
select protect_tenant_table('export_profile_heads');
grant select, insert, update (revision, version, description, labels, updated_by, updated_at, archived_by, archived_at)
  on export_profile_heads to exportcenter_app;

-- The second defence of what the statements say themselves.
-- +goose StatementBegin
create function export_profile_heads_guard() returns trigger language plpgsql as $$
begin
  if old.archived_at is not null then
    raise exception 'an archived profile stays as it is' using errcode = 'check_violation';
  end if;
  if new.version <> old.version + 1 or new.revision not in (old.revision, old.revision + 1) then
    raise exception 'changes of a profile are counted one by one' using errcode = 'check_violation';
  end if;
  return new;
end $$;
-- +goose StatementEnd
create trigger export_profile_heads_guard before update on export_profile_heads
  for each row execute function export_profile_heads_guard();

-- A key is for one thing that was made: a run, or a profile.
alter table export_idempotency_keys alter column run_id drop not null;
alter table export_idempotency_keys add column profile_id text collate "C";
alter table export_idempotency_keys add constraint export_idempotency_keys_one check (num_nonnulls(run_id, profile_id) = 1);
alter table export_idempotency_keys add constraint export_idempotency_keys_profile
  foreign key (tenant, profile_id) references export_profile_heads (tenant, id) deferrable initially deferred;

-- +goose Down
alter table export_idempotency_keys no force row level security;
delete from export_idempotency_keys where run_id is null;
alter table export_idempotency_keys force row level security;
alter table export_idempotency_keys drop column profile_id;
alter table export_idempotency_keys alter column run_id set not null;
drop table export_profile_heads;
drop function export_profile_heads_guard();
