-- Attestations: what a signature is over, where no bundle has it. The statement
-- about a whole archive cannot be inside it.

-- +goose Up
alter table export_signatures add column statement bytea check (length(statement) > 0);

-- +goose Down
alter table export_signatures drop column statement;
