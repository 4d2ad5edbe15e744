-- How many runs of a tenant work at once, and in which order the others follow
-- (CONTRACT ruling 7). A run holds a slot from the moment it is given to
-- Temporal until it ends; only so many are given out, the rest wait.

-- +goose Up

-- One row per tenant that asked for a run. Whoever counts a tenant's runs to
-- add one or to give one out holds it, and locks runs after it, never before.
-- seq is the number of the last run that was asked for.
create table export_queues (
  tenant text collate "C" primary key,
  seq    bigint not null check (seq >= 0)
) with (fillfactor = 50); -- updated by every request: room on the page keeps the update off the index
select protect_tenant_table('export_queues');
grant select, insert, update (seq) on export_queues to exportcenter_app;

-- Requests are stamped with whole seconds, so their order needs a number of
-- its own; 0 came before there was one. dispatched_at is set once, before
-- Temporal hears of the run: a run that has it and is pending is started
-- again until it runs, and starting twice is starting once.
alter table export_runs add column queue_seq bigint not null default 0 check (queue_seq >= 0);
alter table export_runs add column dispatched_at timestamptz;
grant update (dispatched_at) on export_runs to exportcenter_app;

-- The dispatcher goes from tenant to tenant and reads each one's in order. It
-- still sees waiting runs only, and nothing of them but name and place.
grant select (queue_seq, dispatched_at) on export_runs to exportcenter_dispatch;
drop index export_runs_waiting;
create index export_runs_waiting on export_runs (tenant, queue_seq, requested_at, id)
  where status = 'pending' or (cancel_requested_at is not null and status in ('pending', 'running', 'waiting'));

-- +goose Down
drop index export_runs_waiting;
create index export_runs_waiting on export_runs (requested_at, tenant, id)
  where status = 'pending' or (cancel_requested_at is not null and status in ('pending', 'running', 'waiting'));
revoke select (queue_seq, dispatched_at) on export_runs from exportcenter_dispatch;
alter table export_runs drop column dispatched_at, drop column queue_seq;
drop table export_queues;
