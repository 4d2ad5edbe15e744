-- The tenant wall's two functions, and who may enter the schema.

-- +goose Up

-- The tenant of the running transaction; NULL when unset or ''. After a
-- SET LOCAL has ended the setting reads '', not NULL: both are nobody.
create function app_current_tenant() returns text
  language sql stable parallel safe
  return nullif(current_setting('app.current_tenant', true), '');

-- Puts a table behind the wall. FORCE makes the owner obey too; the scalar
-- subquery makes PostgreSQL ask for the tenant once per statement, not per row.
-- +goose StatementBegin
create function protect_tenant_table(name regclass) returns void
  language plpgsql as $$
begin
  execute format('alter table %s enable row level security', name);
  execute format('alter table %s force row level security', name);
  execute format('create policy tenant_wall on %s
    using (tenant = (select app_current_tenant()))
    with check (tenant = (select app_current_tenant()))', name);
end $$;
-- +goose StatementEnd
revoke all on function protect_tenant_table(regclass) from public;

revoke all on schema public from public;
grant usage on schema public to exportcenter_app, exportcenter_dispatch;

-- +goose Down
drop function protect_tenant_table(regclass);
drop function app_current_tenant();
