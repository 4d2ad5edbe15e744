-- Policy snapshots: the policy packs that a tenant has imported, which its runs
-- decide by (docs/policy-snapshots.md).

-- +goose Up

-- Nothing of a row changes but that it is archived, and none is removed: a run that
-- names it can be made again.
create table policy_snapshots (
  tenant      text collate "C" not null,
  project     text collate "C" not null,
  id          text collate "C" not null
    check (id ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'),
  name        text collate "C" not null check (length(name) between 3 and 64),
  version     text collate "C" not null check (octet_length(version) between 1 and 256),
  sha256      bytea not null check (octet_length(sha256) = 32), -- of the pack
  bytes       bigint not null,
  pack        bytea not null check (octet_length(pack) between 1 and 4194304),
  description text not null default '',
  created_by  text not null,
  created_at  timestamptz not null,
  archived_by text,
  archived_at timestamptz,
  primary key (tenant, id),
  unique (tenant, name, version),
  foreign key (tenant) references tenants (tenant),
  check (bytes = octet_length(pack)),
  check ((archived_at is null) = (archived_by is null))
);
alter table policy_snapshots alter column pack set storage external; -- it is compressed already
create trigger note_tenant before insert on policy_snapshots for each row execute function note_tenant();
select protect_tenant_table('policy_snapshots');
grant select, insert, update (archived_by, archived_at) on policy_snapshots to exportcenter_app;

-- The second defence of what the statements say themselves.
-- +goose StatementBegin
create function policy_snapshots_guard() returns trigger language plpgsql as $$
begin
  if old.archived_at is not null then
    raise exception 'an archived policy snapshot stays as it is' using errcode = 'check_violation';
  end if;
  return new;
end $$;
-- +goose StatementEnd
create trigger policy_snapshots_guard before update on policy_snapshots
  for each row execute function policy_snapshots_guard();

-- A key is for one thing that was made: a run, a profile, or a policy snapshot.
alter table export_idempotency_keys add column policy_snapshot_id text collate "C";
alter table export_idempotency_keys drop constraint export_idempotency_keys_one;
alter table export_idempotency_keys add constraint export_idempotency_keys_one
  check (num_nonnulls(run_id, profile_id, policy_snapshot_id) = 1);
alter table export_idempotency_keys add constraint export_idempotency_keys_snapshot
  foreign key (tenant, policy_snapshot_id) references policy_snapshots (tenant, id) deferrable initially deferred;

-- +goose Down
alter table export_idempotency_keys no force row level security;
delete from export_idempotency_keys where policy_snapshot_id is not null;
alter table export_idempotency_keys force row level security;
alter table export_idempotency_keys drop column policy_snapshot_id;
alter table export_idempotency_keys add constraint export_idempotency_keys_one check (num_nonnulls(run_id, profile_id) = 1);
drop table policy_snapshots;
drop function policy_snapshots_guard();
