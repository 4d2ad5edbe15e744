package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// encryptPart is the part of phase sign that encrypts. What it stores is random: every
// attempt makes other blobs.
const encryptPart = "encrypt"

// madeAnew is what pins of a claim are marked with: the part whose every attempt makes
// other blobs, "" for all others.
func madeAnew(c storage.Claim) string {
	if c.Phase == export.PhaseSign && c.Part == encryptPart {
		return encryptPart
	}
	return ""
}

// SaveEncrypted puts the encrypted archive in the place of the plain one, in one
// transaction: there is no moment at which both, or neither, are the run's.
func (e *Execution) SaveEncrypted(ctx context.Context, c storage.Claim, secret []string, files []storage.File, r export.Result, attestation storage.StoredSignature, at time.Time) error {
	signatures, err := jsonColumn(r.Signatures, "[]")
	if err != nil {
		return fmt.Errorf("save encrypted: %w", err)
	}
	encrypted, err := jsonColumn(r.Encrypted, "null")
	if err != nil {
		return fmt.Errorf("save encrypted: %w", err)
	}
	return e.claimed(ctx, c, "save encrypted", func(tx pgx.Tx, run export.Run) error {
		switch {
		case run.Encryption == nil || r.Encrypted == nil:
			return fmt.Errorf("the run is not to be encrypted: %w", storage.ErrConflict)
		case run.Result.Encrypted != nil && run.Result.ArchiveDigest != r.ArchiveDigest:
			return fmt.Errorf("the run is encrypted already, as %s: %w", run.Result.ArchiveDigest, storage.ErrConflict)
		case run.Result.Encrypted != nil:
			return nil
		case r.Encrypted.PlainDigest != run.Result.ArchiveDigest:
			return fmt.Errorf("the plain archive was signed again meanwhile: %w", storage.ErrConflict)
		}
		if err := switchLayers(ctx, tx, run, secret, files); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `
			update export_runs set signatures = $3, archive_digest = $4, archive_bytes = $5, encrypted = $6
			where tenant = $1 and id = $2`, run.Tenant, run.ID, signatures, r.ArchiveDigest, r.ArchiveBytes, encrypted)
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, keepSignature, run.Tenant, projectColumn(run.Project), run.ID, attestation.Artifact, attestation.KeyID,
			attestation.Message[:], attestation.Algorithm, attestation.Signature, attestation.Statement)
		if err != nil {
			return err
		}
		return addEvents(ctx, tx, run, encryptedEvents(c, r, at)...)
	})
}

// switchLayers marks what only the plain archive has, and adds what only the encrypted
// one has.
func switchLayers(ctx context.Context, tx pgx.Tx, run export.Run, secret []string, files []storage.File) error {
	tag, err := tx.Exec(ctx, `update export_files set layer = $4 where tenant = $1 and run_id = $2 and path = any ($3)`,
		run.Tenant, run.ID, secret, layerPlain)
	if err != nil {
		return err
	}
	if tag.RowsAffected() != int64(len(secret)) {
		return fmt.Errorf("%d of %d plain entries are there: %w", tag.RowsAffected(), len(secret), storage.ErrConflict)
	}
	n := len(files)
	paths, digests, sizes, entries := make([]string, n), make([][]byte, n), make([]int64, n), make([]bool, n)
	for i := range files {
		paths[i], digests[i], sizes[i], entries[i] = files[i].Path, files[i].Digest[:], files[i].Size, files[i].Entries
	}
	_, err = tx.Exec(ctx, `
		insert into export_files (tenant, project, run_id, path, digest, size, records, content_digest, content_size, payload, ordinal, layer, entries)
		select $1, $2, $3, f.path, f.digest, f.size, 0, $4, 0, false, 0, $5, f.entries
		from unnest($6::text[], $7::bytea[], $8::bigint[], $9::boolean[]) as f (path, digest, size, entries)`,
		run.Tenant, projectColumn(run.Project), run.ID, make([]byte, len(bundle.Digest{})), layerEncrypted, paths, digests, sizes, entries)
	return err
}

func encryptedEvents(c storage.Claim, r export.Result, at time.Time) []entry {
	var events []entry
	for _, o := range r.Encrypted.Omitted {
		events = append(events, entry{kind: export.EventLeftOut, phase: c.Phase, subject: o.Recipient, at: at,
			message: fmt.Sprintf("warning: %s was left out and cannot open the bundle: %s", o.Recipient, o.Reason)})
	}
	return append(events, entry{kind: export.EventEncrypted, phase: c.Phase, subject: r.ArchiveDigest, at: at,
		message: fmt.Sprintf("encrypted in mode %s for %d recipients, archive %s", r.Encrypted.Mode, len(r.Encrypted.Recipients), r.ArchiveDigest),
		metrics: map[string]int64{"recipients": int64(len(r.Encrypted.Recipients)), "omitted": int64(len(r.Encrypted.Omitted)), "archiveBytes": r.ArchiveBytes}})
}

// plainAgain takes an encryption back when the plain bundle is made again, as after a
// reset of the workflow: the new one is encrypted anew.
func plainAgain(ctx context.Context, tx pgx.Tx, run export.Run) error {
	if run.Result.Encrypted == nil {
		return nil
	}
	for _, statement := range []string{
		`delete from export_files where tenant = $1 and run_id = $2 and layer = 2`,
		`update export_files set layer = 0 where tenant = $1 and run_id = $2 and layer = 1`,
		`update export_runs set encrypted = null where tenant = $1 and id = $2`,
	} {
		if _, err := tx.Exec(ctx, statement, run.Tenant, run.ID); err != nil {
			return err
		}
	}
	return nil
}

// EraseCiphers erases what an earlier attempt left. Nobody else knows these blobs: as
// long as its transaction holds their rows no pin can appear, and with the end of the
// transaction they are forgotten.
func (e *Execution) EraseCiphers(ctx context.Context, c storage.Claim, limit int, erase func(bundle.Digest, storage.Still) error) (erased int, err error) {
	err = e.claimed(ctx, c, "erase ciphers", func(tx pgx.Tx, run export.Run) error {
		left, err := collectDigests(tx.Query(ctx, `
			select b.sha256 from blobs b join blob_pins p on p.tenant = b.tenant and p.sha256 = b.sha256 and p.run_id = $2
			where b.tenant = $1 and b.state = 'live' and p.part = $3 and $3 <> ''
				and not exists (select from blob_pins o where o.tenant = b.tenant and o.sha256 = b.sha256 and o.run_id <> $2)
				and not exists (select from export_files f where f.tenant = b.tenant and f.digest = b.sha256)
			order by b.sha256 limit $4 for update of b`, run.Tenant, run.ID, madeAnew(c), limit))
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `delete from blob_pins where tenant = $1 and run_id = $2 and sha256 = any ($3)`, run.Tenant, run.ID, rawDigests(left)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `delete from blobs where tenant = $1 and sha256 = any ($2)`, run.Tenant, rawDigests(left)); err != nil {
			return err
		}
		for _, d := range left {
			if err := erase(d, stillIn(tx)); err != nil {
				return err
			}
		}
		erased = len(left)
		return nil
	})
	return erased, err
}
