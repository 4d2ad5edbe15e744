-- The names of the tenants that have anything here. fsck must look at every
-- tenant, and row level security shows nobody a list of them (docs/decisions/0004).
--
-- A table of names and not a policy on the tables that have them: a policy lets
-- through rows, and whoever may see all rows is one grant away from their
-- columns. Here is nothing to see but a name.

-- +goose Up
create table tenants (tenant text collate "C" primary key);

-- The wall holds back the owner too, so it is lifted for him while this
-- transaction reads the names that are there; its locks keep everybody else out.
alter table ledger_heads no force row level security;
alter table export_runs no force row level security;
insert into tenants select tenant from ledger_heads union select tenant from export_runs;
alter table ledger_heads force row level security;
alter table export_runs force row level security;

select protect_tenant_table('tenants');
alter policy tenant_wall on tenants to exportcenter_app;
grant select, insert on tenants to exportcenter_app;
-- The role that looks across tenants already, at the names of waiting runs.
create policy names on tenants for select to exportcenter_dispatch using (true);
grant select on tenants to exportcenter_dispatch;

-- A tenant is noted by its first run or document, in the same transaction; the
-- foreign keys see to it that no tenant is ever left out.
-- +goose StatementBegin
create function note_tenant() returns trigger language plpgsql as $$
begin
  insert into tenants (tenant) values (new.tenant) on conflict do nothing;
  return new;
end $$;
-- +goose StatementEnd
create trigger note_tenant before insert on ledger_heads for each row execute function note_tenant();
create trigger note_tenant before insert on export_runs for each row execute function note_tenant();
alter table ledger_heads add constraint ledger_heads_of_tenant foreign key (tenant) references tenants (tenant);
alter table export_runs add constraint export_runs_of_tenant foreign key (tenant) references tenants (tenant);

-- +goose Down
alter table export_runs drop constraint export_runs_of_tenant;
alter table ledger_heads drop constraint ledger_heads_of_tenant;
drop trigger note_tenant on export_runs;
drop trigger note_tenant on ledger_heads;
drop function note_tenant();
drop table tenants;
