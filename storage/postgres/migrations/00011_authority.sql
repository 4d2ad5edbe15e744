-- The memory of used DPoP proofs, and whether a tenant may use the service.

-- +goose Up

-- Rows with the tenant '_' are the installation's own: no tenant can have that
-- name. Proofs are 32 bytes of a hash and belong to nobody's data.
--
-- Both tables are UNLOGGED: they write no WAL, and PostgreSQL empties them exactly
-- when what they say may be incomplete (a crash, a restored base backup, a standby
-- that takes over). The epoch goes with the proofs, so whoever finds none knows
-- that the memory was lost, and makes a new one; until every older proof has
-- expired only proofs with its nonce are taken (docs/authority.md). A stop that is
-- asked for keeps both.
create unlogged table dpop_epochs (
  tenant text collate "C" primary key check (tenant = '_'),
  nonce  text not null check (length(nonce) between 16 and 64),
  since  timestamptz not null -- by the database's own clock; -infinity: nothing was ever lost
);
select protect_tenant_table('dpop_epochs');
grant select, insert on dpop_epochs to exportcenter_app;

create unlogged table dpop_proofs (
  tenant     text collate "C" not null check (tenant = '_'),
  id         bytea not null check (length(id) = 32),
  expires_at timestamptz not null,
  primary key (tenant, id)
);
create index dpop_proofs_by_end on dpop_proofs (tenant, expires_at);
select protect_tenant_table('dpop_proofs');
grant select, insert, delete on dpop_proofs to exportcenter_app;

-- A new database has forgotten nothing. The wall holds back the owner too.
select set_config('app.current_tenant', '_', true);
insert into dpop_epochs (tenant, nonce, since) values ('_', 'nothing-was-ever-lost', '-infinity');
select set_config('app.current_tenant', '', true);

-- Who may come in. Tenants that were noted by their first run or document are
-- active. Beside the name the dispatcher sees the state, nothing else.
alter table tenants
  add column state text collate "C" not null default 'active' check (state in ('active', 'suspended')),
  add column display_name text not null default '' check (length(display_name) <= 256),
  add column created_at timestamptz,
  add column created_by text not null default '' check (length(created_by) <= 256),
  add column changed_at timestamptz,
  add column changed_by text not null default '' check (length(changed_by) <= 256),
  add column change_reason text not null default '' check (length(change_reason) <= 1024);
grant update (state, display_name, changed_at, changed_by, change_reason) on tenants to exportcenter_app;
revoke select on tenants from exportcenter_dispatch;
grant select (tenant, state) on tenants to exportcenter_dispatch;
create index tenants_closed on tenants (tenant) where state <> 'active';

-- +goose Down
drop index tenants_closed;
revoke select (tenant, state) on tenants from exportcenter_dispatch;
grant select on tenants to exportcenter_dispatch;
revoke update (state, display_name, changed_at, changed_by, change_reason) on tenants from exportcenter_app;
alter table tenants
  drop column state, drop column display_name, drop column created_at, drop column created_by,
  drop column changed_at, drop column changed_by, drop column change_reason;
drop table dpop_proofs, dpop_epochs;
