-- Runs that read the evidence of other tenants too: what each was allowed to read
-- of whom, and up to where, as it was when the run was asked for. There is no right
-- to change it. NULL: its own tenant's evidence only.

-- +goose Up
alter table export_runs add column reach jsonb;

-- +goose Down
alter table export_runs drop column reach;
