-- Runs that read the evidence of other tenants too: what each was allowed to read
-- of whom, and up to where, as it was when the run was asked for. There is no right
-- to change it. NULL: its own tenant's evidence only.

-- +goose Up
alter table export_runs add column reach jsonb;

-- A worker of an older release does not see reach and would export the own tenant's
-- evidence only. So nobody claims a part of such a run who has not said, in the same
-- transaction, that he reads it. lock_not_available: the one refusal for which that
-- worker leaves the work to another attempt, which another worker may take.
-- +goose StatementBegin
create function export_attempts_guard() returns trigger language plpgsql as $$
begin
  if current_setting('app.reads_reach', true) is distinct from 'on' and exists (
    select from export_runs where tenant = new.tenant and id = new.run_id and reach is not null) then
    raise exception 'a worker that knows runs over several tenants takes this one' using errcode = 'lock_not_available';
  end if;
  return new;
end $$;
-- +goose StatementEnd
create trigger export_attempts_guard before insert or update on export_attempts for each row execute function export_attempts_guard();

-- +goose Down
drop trigger export_attempts_guard on export_attempts;
drop function export_attempts_guard();
alter table export_runs drop column reach;
