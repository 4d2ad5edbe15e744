-- No silent shrink (docs/guard.md): what each source gave a run, what the guard made
-- of it, and runs that wait for somebody to decide.

-- +goose Up

-- What came of each source of a run. An attempt replaces what an earlier one wrote.
create table export_sources (
  tenant    text collate "C" not null,
  project   text collate "C" not null,
  run_id    text collate "C" not null,
  source    text collate "C" not null,
  stream    text collate "C" not null,
  kind      text collate "C" not null,
  documents bigint not null check (documents >= 0),
  records   bigint not null check (records >= 0),
  newest    text not null, -- ledger.ModifiedLayout, '' for none
  primary key (tenant, run_id, source, stream, kind),
  foreign key (tenant, run_id) references export_runs (tenant, id)
);
select protect_tenant_table('export_sources');
grant select, insert, delete on export_sources to exportcenter_app;

-- What the guard found, once for each run that it looked at. The report is bounded.
create table export_guards (
  tenant  text collate "C" not null,
  project text collate "C" not null,
  run_id  text collate "C" not null,
  parked  boolean not null,
  report  jsonb not null,
  made_at timestamptz not null,
  primary key (tenant, run_id),
  foreign key (tenant, run_id) references export_runs (tenant, id)
);
select protect_tenant_table('export_guards');
grant select, insert on export_guards to exportcenter_app;

-- guard is what the profile's revision says of it, null where it says nothing. The
-- others are of a run that waits, or did: for what, until when, what was decided, and
-- since when it has a slot again.
alter table export_runs
  add column guard jsonb,
  add column waiting_since timestamptz,
  add column waiting_until timestamptz,
  add column waiting_why text,
  add column decision text collate "C",
  add column decided_at timestamptz,
  add column decided_by text,
  add column decision_reason text,
  add column resumed_at timestamptz;
alter table export_runs add constraint export_runs_waits check (
  num_nulls(waiting_since, waiting_until, waiting_why) in (0, 3)
  and (status <> 'waiting' or waiting_since is not null)
  and decision in ('approved', 'rejected', 'expired')
  and num_nulls(decision, decided_at, decided_by, decision_reason) in (0, 4)
  and (decision is null or waiting_since is not null)
  and (resumed_at is null or decision = 'approved')) not valid;
grant update (waiting_since, waiting_until, waiting_why, decision, decided_at, decided_by, decision_reason, resumed_at)
  on export_runs to exportcenter_app;

-- The second defence: the first decision stands, and nothing but an approval lets a run
-- go on that was held back.
-- +goose StatementBegin
create function export_runs_parked() returns trigger language plpgsql as $$
begin
  if (new.waiting_since, new.waiting_until, new.waiting_why) is distinct from (old.waiting_since, old.waiting_until, old.waiting_why)
    or old.decision is not null and (new.decision, new.decided_at, new.decided_by, new.decision_reason)
      is distinct from (old.decision, old.decided_at, old.decided_by, old.decision_reason) then
    raise exception 'what was decided about a run stays as it is' using errcode = 'check_violation';
  end if;
  if new.status in ('running', 'succeeded', 'partial') and new.status <> old.status and new.decision is distinct from 'approved' then
    raise exception 'a run that waits goes on when somebody approves it' using errcode = 'check_violation';
  end if;
  return new;
end $$;
-- +goose StatementEnd
create trigger export_runs_parked before update on export_runs for each row
  when (old.waiting_since is not null) execute function export_runs_parked();

-- The dispatcher brings decisions to workflows as it does cancels, and gives a slot to
-- runs that were approved.
alter policy dispatcher on export_runs
  using (status = 'pending' or (cancel_requested_at is not null and status in ('pending', 'running', 'waiting'))
    or (status = 'waiting' and decision is not null));
grant select (decision, resumed_at) on export_runs to exportcenter_dispatch;
drop index export_runs_waiting;
create index export_runs_waiting on export_runs (tenant, queue_seq, requested_at, id)
  where status = 'pending' or (cancel_requested_at is not null and status in ('pending', 'running', 'waiting'))
    or (status = 'waiting' and decision is not null);

-- +goose Down
drop index export_runs_waiting;
create index export_runs_waiting on export_runs (tenant, queue_seq, requested_at, id)
  where status = 'pending' or (cancel_requested_at is not null and status in ('pending', 'running', 'waiting'));
revoke select (decision, resumed_at) on export_runs from exportcenter_dispatch;
alter policy dispatcher on export_runs
  using (status = 'pending' or (cancel_requested_at is not null and status in ('pending', 'running', 'waiting')));
drop trigger export_runs_parked on export_runs;
drop function export_runs_parked();
alter table export_runs drop constraint export_runs_waits;
alter table export_runs drop column guard, drop column waiting_since, drop column waiting_until, drop column waiting_why,
  drop column decision, drop column decided_at, drop column decided_by, drop column decision_reason, drop column resumed_at;
drop table export_guards, export_sources;
