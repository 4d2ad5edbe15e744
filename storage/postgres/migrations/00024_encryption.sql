-- Bundles that leave encrypted (docs/formats/encryption.md).

-- +goose Up

-- encryption is what the profile's revision says of it, null where it says nothing;
-- encrypted is what came of it: mode, recipients, and the digest of the plain archive.
alter table export_runs add column encryption jsonb, add column encrypted jsonb;
grant update (encrypted) on export_runs to exportcenter_app;

-- An entry is of both archives (0), of the plain one that was signed (1), or of the
-- encrypted one that leaves (2). Whoever gives out a bundle leaves out layer 1.
alter table export_files add column layer smallint not null default 0 check (layer in (0, 1, 2));
grant update (layer) on export_files to exportcenter_app;

-- The part of a phase that pinned the blob, where its blobs are made anew by every
-- attempt: what only an earlier attempt had can then be told from what is in use.
alter table blob_pins add column part text collate "C" not null default '';

-- The second defence: nothing but ciphertext of a run that is to be encrypted is ever
-- offered, whatever statement said so.
-- +goose StatementBegin
create function export_runs_encrypted() returns trigger language plpgsql as $$
begin
  if new.encryption is distinct from old.encryption then
    raise exception 'how a run is encrypted is fixed when it is asked for' using errcode = 'check_violation';
  end if;
  if old.status in ('succeeded', 'partial', 'failed', 'aborted', 'expired') and new.encrypted is distinct from old.encrypted then
    raise exception 'the result of a run that has ended stays as it is' using errcode = 'check_violation';
  end if;
  if new.status in ('succeeded', 'partial') and new.encrypted is null then
    raise exception 'the bundle of this run is to be encrypted, and is not' using errcode = 'check_violation';
  end if;
  return new;
end $$;
-- +goose StatementEnd
create trigger export_runs_encrypted before update on export_runs for each row
  when (old.encryption is not null or new.encryption is not null) execute function export_runs_encrypted();

-- +goose Down
drop trigger export_runs_encrypted on export_runs;
drop function export_runs_encrypted();
alter table blob_pins drop column part;
alter table export_files drop column layer;
alter table export_runs drop column encryption, drop column encrypted;
