package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

const findSignature = `
	select algorithm, signature, statement from export_signatures
	where tenant = $1 and run_id = $2 and artifact = $3 and key_id = $4 and message = $5`

const keepSignature = `
	insert into export_signatures (tenant, project, run_id, artifact, key_id, message, algorithm, signature, statement)
	values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict do nothing`

// FindSignature gives a signature that was stored before, nil for none.
func (e *Execution) FindSignature(ctx context.Context, c storage.Claim, artifact, keyID string, message bundle.Digest) (*storage.StoredSignature, error) {
	var found *storage.StoredSignature
	err := e.claimed(ctx, c, "find signature", func(tx pgx.Tx, run export.Run) error {
		stored := storage.StoredSignature{Artifact: artifact, KeyID: keyID, Message: message}
		err := tx.QueryRow(ctx, findSignature, run.Tenant, run.ID, artifact, keyID, message[:]).Scan(&stored.Algorithm, &stored.Signature, &stored.Statement)
		if found = &stored; errors.Is(err, pgx.ErrNoRows) {
			found, err = nil, nil
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// KeepSignature stores a signature before it is used; the first one stays.
func (e *Execution) KeepSignature(ctx context.Context, c storage.Claim, s storage.StoredSignature) (storage.StoredSignature, error) {
	kept := storage.StoredSignature{Artifact: s.Artifact, KeyID: s.KeyID, Message: s.Message}
	err := e.claimed(ctx, c, "keep signature", func(tx pgx.Tx, run export.Run) error {
		batch := &pgx.Batch{}
		batch.Queue(keepSignature,
			run.Tenant, projectColumn(run.Project), run.ID, s.Artifact, s.KeyID, s.Message[:], s.Algorithm, s.Signature, s.Statement)
		batch.Queue(findSignature, run.Tenant, run.ID, s.Artifact, s.KeyID, s.Message[:])
		results := tx.SendBatch(ctx, batch)
		if _, err := results.Exec(); err != nil {
			return errors.Join(err, results.Close())
		}
		err := results.QueryRow().Scan(&kept.Algorithm, &kept.Signature, &kept.Statement)
		return errors.Join(err, results.Close())
	})
	if err != nil {
		return storage.StoredSignature{}, err
	}
	return kept, nil
}

// Attestations lists the signatures that have their statement with them.
func (r *Runs) Attestations(ctx context.Context, ref export.Ref) ([]storage.StoredSignature, error) {
	if !export.ValidRunID(ref.RunID) {
		return nil, absentRun(ref)
	}
	var found []storage.StoredSignature
	err := r.db.readOnce(ctx, ref.Tenant, func(rows pgx.Rows) error {
		var s storage.StoredSignature
		var message []byte
		_, err := pgx.ForEachRow(rows, []any{&s.Artifact, &s.KeyID, &s.Algorithm, &message, &s.Signature, &s.Statement}, func() error {
			s.Message = bundle.Digest(message)
			found = append(found, storage.StoredSignature{Artifact: s.Artifact, KeyID: s.KeyID, Algorithm: s.Algorithm, Message: s.Message,
				Signature: bytes.Clone(s.Signature), Statement: bytes.Clone(s.Statement)})
			return nil
		})
		return err
	}, `select artifact, key_id, algorithm, message, signature, statement from export_signatures
		where tenant = $1 and run_id = $2 and statement is not null order by artifact, key_id, message`, ref.Tenant, ref.RunID)
	if err != nil {
		return nil, fmt.Errorf("read attestations: %w", err)
	}
	return found, nil
}
