-- What orchestrators, and our own runs, report of exports to the Findings
-- Ledger (docs/orchestrator-exports.md).

-- +goose Up

-- One row per project and idempotency key. The record is canonical JSON, kept
-- as it was signed; the columns are what is looked for. What an export was, and
-- when it began, never changes.
create table orchestrator_exports (
  tenant          text collate "C" not null,
  project         text collate "C" not null,
  idempotency_key text collate "C" not null check (idempotency_key ~ '^sha256:[0-9a-f]{64}$'),
  run_id          text collate "C" not null
    check (run_id ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'),
  artifact_hash   text collate "C" not null check (artifact_hash ~ '^sha256:[0-9a-f]{64}$'),
  status          text collate "C" not null check (status in ('pending', 'running', 'succeeded', 'failed', 'canceled')),
  started_at      timestamptz not null,
  record          text not null,
  recorded_by     text not null,
  recorded_at     timestamptz not null,
  changed_at      timestamptz not null,
  primary key (tenant, project, idempotency_key),
  constraint orchestrator_exports_of_tenant foreign key (tenant) references tenants (tenant)
);
create index orchestrator_exports_by_artifact on orchestrator_exports (tenant, artifact_hash, run_id);
create index orchestrator_exports_listed on orchestrator_exports (tenant, run_id, started_at, project, idempotency_key);
select protect_tenant_table('orchestrator_exports');
grant select, insert, update (status, record, changed_at) on orchestrator_exports to exportcenter_app;
create trigger note_tenant before insert on orchestrator_exports for each row execute function note_tenant();

-- The second defence of what the statements say themselves.
-- +goose StatementBegin
create function orchestrator_exports_guard() returns trigger language plpgsql as $$
begin
  if not (old.status = 'pending' and new.status = 'running'
      or old.status = 'running' and new.status in ('succeeded', 'failed', 'canceled')) then
    raise exception 'an export goes on from pending to running to one end' using errcode = 'check_violation';
  end if;
  return new;
end $$;
-- +goose StatementEnd
create trigger orchestrator_exports_guard before update on orchestrator_exports
  for each row execute function orchestrator_exports_guard();

-- The outbox also has events that are about no run of ours.
alter table export_outbox alter column run_id drop not null;
create index export_outbox_unpublished_others on export_outbox (tenant, created_at, event_id)
  where published_at is null and run_id is null;

-- +goose Down
drop index export_outbox_unpublished_others;
-- The wall holds back the owner too; see 00004.
alter table export_outbox no force row level security;
delete from export_outbox where run_id is null;
alter table export_outbox force row level security;
alter table export_outbox alter column run_id set not null;
drop table orchestrator_exports;
drop function orchestrator_exports_guard();
