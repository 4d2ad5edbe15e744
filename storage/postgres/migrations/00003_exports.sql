-- Runs of exports: what was asked, how far it is, what came of it, and what
-- the rest of the platform is to hear of it.
--
-- Keys begin with the tenant. Ids and paths sort bytewise on every machine
-- (collate "C"). "project" is '_' for a tenant without projects (CONTRACT
-- ruling 14). Business times are arguments, never now(). Digests are 32 bytes,
-- or text "sha256:<hex>" where they are only passed on.
--
-- Whoever writes more than one of these tables locks the export_runs row
-- first, so no two transactions wait for each other in a circle.

-- +goose Up

-- Profiles that tenants made; the built-in ones live in the code. A revision
-- never changes: there is no UPDATE.
create table export_profiles (
  tenant     text collate "C" not null,
  project    text collate "C" not null,
  id         text collate "C" not null,
  revision   integer not null check (revision > 0),
  name       text collate "C" not null check (length(name) between 3 and 64),
  kind       text not null,
  variant    text not null,
  config     jsonb not null,
  created_by text not null,
  created_at timestamptz not null,
  primary key (tenant, id, revision),
  unique (tenant, name, revision)
);
select protect_tenant_table('export_profiles');
grant select, insert on export_profiles to exportcenter_app;

create table export_runs (
  tenant           text collate "C" not null,
  project          text collate "C" not null,
  id               text collate "C" not null
    check (id ~ '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'),
  -- what was asked; never changes (no UPDATE on these columns)
  profile_id       text collate "C" not null,
  profile_revision integer not null,
  profile_name     text not null,
  kind             text not null,
  variant          text not null,
  selectors        jsonb not null,
  options          jsonb not null,
  labels           jsonb not null,
  policy_snapshot_id text not null default '',
  requested_by     text not null,
  requested_at     timestamptz not null,
  -- where it stands
  status           text collate "C" not null check (status in
    ('pending', 'running', 'waiting', 'succeeded', 'partial', 'failed', 'aborted', 'expired')),
  as_of            bigint not null default 0 check (as_of >= 0),
  started_at       timestamptz,
  completed_at     timestamptz,
  duration_ms      bigint generated always as
    ((extract(epoch from completed_at - coalesce(started_at, requested_at)) * 1000)::bigint) stored,
  error_code       text,
  error_message    text,
  error_phase      text,
  cancel_requested_at timestamptz,
  cancel_by        text,
  cancel_reason    text,
  event_seq        bigint not null default 0, -- the last event's number: they have no gaps
  -- how far it is
  plan_digest      bytea check (length(plan_digest) = 32),
  shards           integer not null default 0,
  shards_done      integer not null default 0,
  records          bigint not null default 0,
  records_done     bigint not null default 0,
  bytes            bigint not null default 0,
  bytes_done       bigint not null default 0,
  -- what came of it
  manifest_digest  text not null default '' check (manifest_digest ~ '^(sha256:[0-9a-f]{64})?$'),
  payload_digest   text not null default '' check (payload_digest ~ '^(sha256:[0-9a-f]{64})?$'),
  rerun_hash       text not null default '' check (rerun_hash ~ '^(sha256:[0-9a-f]{64})?$'),
  archive_digest   text not null default '' check (archive_digest ~ '^(sha256:[0-9a-f]{64})?$'),
  archive_bytes    bigint not null default 0 check (archive_bytes >= 0),
  signatures       jsonb not null default '[]',
  primary key (tenant, id),
  check ((completed_at is not null) = (status in ('succeeded', 'partial', 'failed', 'aborted', 'expired'))),
  check (started_at is not null or status not in ('running', 'waiting', 'succeeded', 'partial', 'expired')),
  check ((error_code is not null) = (error_message is not null)),
  check (error_code is not null or status <> 'failed'),
  check ((cancel_requested_at is null) = (cancel_by is null) and (cancel_by is null) = (cancel_reason is null))
) with (fillfactor = 70); -- progress rewrites a row often: leave room for it on its page
create index export_runs_newest on export_runs (tenant, requested_at desc, id desc);
create index export_runs_by_status on export_runs (tenant, status, requested_at desc, id desc);
create index export_runs_by_profile on export_runs (tenant, profile_id, requested_at desc, id desc);
create index export_runs_waiting on export_runs (requested_at, tenant, id)
  where status = 'pending' or (cancel_requested_at is not null and status in ('pending', 'running', 'waiting'));
select protect_tenant_table('export_runs');
grant select, insert on export_runs to exportcenter_app;
grant update (status, as_of, started_at, completed_at, error_code, error_message, error_phase,
  cancel_requested_at, cancel_by, cancel_reason, event_seq, plan_digest,
  shards, shards_done, records, records_done, bytes, bytes_done,
  manifest_digest, payload_digest, rerun_hash, archive_digest, archive_bytes, signatures)
  on export_runs to exportcenter_app;

-- The dispatcher looks across tenants, at the names of waiting runs only. The
-- tenant wall does not admit it: it could set any tenant for itself.
alter policy tenant_wall on export_runs to exportcenter_app;
create policy dispatcher on export_runs for select to exportcenter_dispatch
  using (status = 'pending' or (cancel_requested_at is not null and status in ('pending', 'running', 'waiting')));
grant select (tenant, id, profile_id, status, requested_at, cancel_requested_at) on export_runs to exportcenter_dispatch;

-- The second defence of what the statements say themselves: an end is final
-- (retention may turn a bundle's run into expired), the past does not change.
-- +goose StatementBegin
create function export_runs_guard() returns trigger language plpgsql as $$
begin
  if old.status in ('succeeded', 'partial', 'failed', 'aborted', 'expired') then
    if new.status <> old.status and not (new.status = 'expired' and old.status in ('succeeded', 'partial')) then
      raise exception 'a run that has ended stays as it is' using errcode = 'check_violation';
    end if;
    if (new.completed_at, new.started_at, new.as_of, new.error_code, new.error_message, new.error_phase,
        new.cancel_requested_at, new.cancel_by, new.cancel_reason,
        new.manifest_digest, new.payload_digest, new.rerun_hash, new.archive_digest, new.archive_bytes, new.signatures)
      is distinct from
       (old.completed_at, old.started_at, old.as_of, old.error_code, old.error_message, old.error_phase,
        old.cancel_requested_at, old.cancel_by, old.cancel_reason,
        old.manifest_digest, old.payload_digest, old.rerun_hash, old.archive_digest, old.archive_bytes, old.signatures)
    then
      raise exception 'the result of a run that has ended stays as it is' using errcode = 'check_violation';
    end if;
    if new.event_seq <> old.event_seq and new.status = old.status then
      raise exception 'a run that has ended has no more events' using errcode = 'check_violation';
    end if;
  end if;
  if new.status = 'pending' and old.status <> 'pending' then
    raise exception 'a run that has started is not pending again' using errcode = 'check_violation';
  end if;
  if old.started_at is not null and (new.started_at, new.as_of) is distinct from (old.started_at, old.as_of) then
    raise exception 'the moment a run reads at is fixed once' using errcode = 'check_violation';
  end if;
  if new.event_seq < old.event_seq then
    raise exception 'events are not taken back' using errcode = 'check_violation';
  end if;
  return new;
end $$;
-- +goose StatementEnd
create trigger export_runs_guard before update on export_runs for each row execute function export_runs_guard();

-- Idempotency keys of mutating requests. The run follows in the same
-- transaction: the key is taken first, so that two requests with it queue.
create table export_idempotency_keys (
  tenant       text collate "C" not null,
  operation    text collate "C" not null,
  key          text collate "C" not null check (length(key) between 1 and 255),
  project      text collate "C" not null,
  request_hash bytea not null check (length(request_hash) = 32),
  run_id       text collate "C" not null,
  created_at   timestamptz not null,
  primary key (tenant, operation, key),
  foreign key (tenant, run_id) references export_runs (tenant, id) deferrable initially deferred
);
select protect_tenant_table('export_idempotency_keys');
grant select, insert on export_idempotency_keys to exportcenter_app;

-- The newest attempt of each phase: older ones may not write.
create table export_attempts (
  tenant  text collate "C" not null,
  project text collate "C" not null,
  run_id  text collate "C" not null,
  phase   text collate "C" not null check (phase <> ''),
  attempt bigint not null check (attempt > 0),
  primary key (tenant, run_id, phase),
  foreign key (tenant, run_id) references export_runs (tenant, id)
);
select protect_tenant_table('export_attempts');
grant select, insert, update (attempt) on export_attempts to exportcenter_app;

-- Shards of the plan, in order, and what packing made of each.
create table export_inputs (
  tenant         text collate "C" not null,
  project        text collate "C" not null,
  run_id         text collate "C" not null,
  ordinal        integer not null check (ordinal >= 0),
  name           text collate "C" not null,
  kind           text not null,
  source         text not null,
  cursor         text not null,
  count          bigint not null check (count >= 0),
  bytes          bigint not null check (bytes >= 0),
  hash           bytea not null check (length(hash) = 32),
  result_digest  bytea check (length(result_digest) = 32),
  result_size    bigint,
  result_records bigint,
  result_content_digest bytea check (length(result_content_digest) = 32),
  result_content_size   bigint,
  primary key (tenant, run_id, ordinal),
  unique (tenant, run_id, name),
  foreign key (tenant, run_id) references export_runs (tenant, id),
  check (num_nulls(result_digest, result_size, result_records, result_content_digest, result_content_size) in (0, 5))
);
select protect_tenant_table('export_inputs');
grant select, insert, delete on export_inputs to exportcenter_app;
grant update (result_digest, result_size, result_records, result_content_digest, result_content_size)
  on export_inputs to exportcenter_app;

-- The journal of a run, for SSE and audit. Nothing is changed or removed. One
-- event per (phase, type, subject): a repeated write finds it there.
create table export_events (
  tenant     text collate "C" not null,
  project    text collate "C" not null,
  run_id     text collate "C" not null,
  seq        bigint not null check (seq > 0),
  event_type text collate "C" not null,
  phase      text collate "C" not null, -- '' when the API wrote it
  subject    text collate "C" not null, -- what the event is about within its phase, '' for the whole
  message    text not null,
  at         timestamptz not null,
  metrics    jsonb not null,
  primary key (tenant, run_id, seq),
  unique (tenant, run_id, phase, event_type, subject),
  foreign key (tenant, run_id) references export_runs (tenant, id)
);
select protect_tenant_table('export_events');
grant select, insert on export_events to exportcenter_app;

-- Timeline events to publish. The id is derived from run and transition, so
-- there is one row per transition however often it is written.
create table export_outbox (
  tenant       text collate "C" not null,
  project      text collate "C" not null,
  event_id     text collate "C" not null,
  run_id       text collate "C" not null,
  seq          bigint not null, -- the run's last event when it was written: its place in the run's story
  event_type   text collate "C" not null,
  payload      text not null, -- canonical JSON, published byte for byte
  created_at   timestamptz not null,
  published_at timestamptz,
  primary key (tenant, event_id),
  unique (tenant, run_id, event_type),
  foreign key (tenant, run_id) references export_runs (tenant, id)
);
create index export_outbox_unpublished on export_outbox (tenant, run_id, seq) where published_at is null;
select protect_tenant_table('export_outbox');
grant select, insert, update (published_at) on export_outbox to exportcenter_app;

-- Blobs a run may have stored. A deleting blob is being removed on behalf of
-- an ended run; nobody can pin it until its row is gone (EXPERIMENTS 6).
create table blobs (
  tenant     text collate "C" not null,
  project    text collate "C" not null,
  sha256     bytea not null check (length(sha256) = 32),
  size       bigint not null check (size >= 0),
  state      text not null check (state in ('live', 'deleting')),
  deleting_for text collate "C",
  primary key (tenant, sha256),
  foreign key (tenant, deleting_for) references export_runs (tenant, id),
  check ((state = 'deleting') = (deleting_for is not null))
);
create index blobs_deleting on blobs (tenant, deleting_for) where state = 'deleting';
select protect_tenant_table('blobs');
grant select, insert, update (state, deleting_for), delete on blobs to exportcenter_app;

-- A pin keeps a blob from the collector; taken before a put and before a reuse.
create table blob_pins (
  tenant  text collate "C" not null,
  project text collate "C" not null,
  sha256  bytea not null,
  run_id  text collate "C" not null,
  primary key (tenant, sha256, run_id),
  foreign key (tenant, sha256) references blobs (tenant, sha256),
  foreign key (tenant, run_id) references export_runs (tenant, id)
);
create index blob_pins_by_run on blob_pins (tenant, run_id);
select protect_tenant_table('blob_pins');
grant select, insert, delete on blob_pins to exportcenter_app;

-- Entries of a run's bundle.
create table export_files (
  tenant         text collate "C" not null,
  project        text collate "C" not null,
  run_id         text collate "C" not null,
  path           text collate "C" not null check (path <> ''),
  digest         bytea not null check (length(digest) = 32),
  size           bigint not null check (size >= 0),
  records        bigint not null check (records >= 0),
  content_digest bytea not null check (length(content_digest) = 32),
  content_size   bigint not null check (content_size >= 0),
  payload        boolean not null,
  primary key (tenant, run_id, path),
  foreign key (tenant, run_id) references export_runs (tenant, id)
);
create index export_files_by_digest on export_files (tenant, digest);
select protect_tenant_table('export_files');
grant select, insert, delete on export_files to exportcenter_app;
grant update (digest, size, records, content_digest, content_size, payload) on export_files to exportcenter_app;

-- Signatures, kept before they are used: a retry uses the same bytes, even
-- when the key service would give others.
create table export_signatures (
  tenant    text collate "C" not null,
  project   text collate "C" not null,
  run_id    text collate "C" not null,
  artifact  text collate "C" not null,
  key_id    text collate "C" not null,
  message   bytea not null check (length(message) = 32),
  algorithm text not null,
  signature bytea not null check (length(signature) > 0),
  primary key (tenant, run_id, artifact, key_id, message),
  foreign key (tenant, run_id) references export_runs (tenant, id)
);
select protect_tenant_table('export_signatures');
grant select, insert on export_signatures to exportcenter_app;

-- Where a bundle was delivered to.
create table export_distributions (
  tenant         text collate "C" not null,
  project        text collate "C" not null,
  run_id         text collate "C" not null,
  type           text collate "C" not null check (type in ('http', 'oci', 'object')),
  location       text collate "C" not null,
  digest         bytea not null check (length(digest) = 32),
  size           bigint not null check (size >= 0),
  expires_at     timestamptz,
  distributed_at timestamptz not null,
  primary key (tenant, run_id, type, location),
  foreign key (tenant, run_id) references export_runs (tenant, id)
);
select protect_tenant_table('export_distributions');
grant select, insert on export_distributions to exportcenter_app;
grant update (digest, size, expires_at, distributed_at) on export_distributions to exportcenter_app;

-- +goose Down
drop table export_distributions, export_signatures, export_files, blob_pins, blobs, export_outbox,
  export_events, export_inputs, export_attempts, export_idempotency_keys, export_runs, export_profiles;
drop function export_runs_guard();
