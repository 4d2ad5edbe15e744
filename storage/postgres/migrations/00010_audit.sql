-- Who did what: a chain of entries for each tenant, and how far the
-- installation's key has signed it (docs/audit.md). The tenant '_' stands for the
-- installation: calls of which nobody proved whose they are.

-- +goose Up

-- The end of each chain. Whoever appends holds its row.
create table audit_heads (
  tenant     text collate "C" primary key,
  seq        bigint not null check (seq >= 0),
  hash       bytea not null check (length(hash) = 32),
  signed_seq bigint not null default 0 check (signed_seq between 0 and seq)
) with (fillfactor = 50); -- updated by every append
select protect_tenant_table('audit_heads');
grant select, insert, update (seq, hash, signed_seq) on audit_heads to exportcenter_app;

-- line is what is hashed; the other columns are what it is looked up by.
create table audit_entries (
  tenant    text collate "C" not null,
  seq       bigint not null check (seq > 0),
  at        timestamptz not null,
  event     text collate "C" not null,
  subject   text collate "C" not null,
  operation text collate "C" not null,
  project   text collate "C" not null,
  line      text not null,
  primary key (tenant, seq),
  foreign key (tenant) references audit_heads (tenant)
);
create index audit_entries_by_subject on audit_entries (tenant, subject, seq);
create index audit_entries_by_operation on audit_entries (tenant, operation, seq);
select protect_tenant_table('audit_entries');
grant select, insert on audit_entries to exportcenter_app;

create table audit_checkpoints (
  tenant   text collate "C" not null,
  seq      bigint not null check (seq > 0),
  envelope text not null,
  primary key (tenant, seq),
  foreign key (tenant, seq) references audit_entries (tenant, seq)
);
select protect_tenant_table('audit_checkpoints');
grant select, insert on audit_checkpoints to exportcenter_app;

-- What is written stays, for the owner too: the grants hold the service, this
-- holds a mistake. Against intent there are the checkpoints that have left the house.
-- +goose StatementBegin
create function audit_guard() returns trigger language plpgsql as $$
begin
  raise exception 'the audit record is only added to' using errcode = 'check_violation';
end $$;
-- +goose StatementEnd
create trigger audit_entries_guard before update or delete or truncate on audit_entries execute function audit_guard();
create trigger audit_checkpoints_guard before update or delete or truncate on audit_checkpoints execute function audit_guard();

-- The role that looks across tenants sees which chains wait for a signature.
alter policy tenant_wall on audit_heads to exportcenter_app;
create policy unsigned on audit_heads for select to exportcenter_dispatch using (signed_seq < seq);
grant select (tenant, seq, signed_seq) on audit_heads to exportcenter_dispatch;
create index audit_heads_unsigned on audit_heads (tenant) where signed_seq < seq;

-- +goose Down
drop table audit_checkpoints, audit_entries, audit_heads;
drop function audit_guard();
