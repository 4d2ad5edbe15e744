package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/storage"
)

// Notary sees, across tenants, whose chains wait for a checkpoint, as the role
// that sees nothing else of them, and keeps checkpoints as the service.
type Notary struct{ db *DB }

var _ storage.Notary = (*Notary)(nil)

// NewNotary makes the notary's view; db must have been opened with Config.Dispatch.
func NewNotary(db *DB) *Notary { return &Notary{db: db} }

// Unsigned lists chains with entries behind their checkpoint; see storage.Notary.
func (n *Notary) Unsigned(ctx context.Context, after string, limit int) ([]string, error) {
	if n.db.dispatch == nil {
		return nil, errors.New("list unsigned audit chains: no connection string for the dispatcher (database.dispatch)")
	}
	rows, err := n.db.dispatch.Query(ctx, "select tenant from audit_heads where signed_seq < seq and tenant > $1 order by tenant limit $2", after, limit)
	if err != nil {
		return nil, fmt.Errorf("list unsigned audit chains: %w", classify("query", err))
	}
	tenants, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("list unsigned audit chains: %w", classify("query", err))
	}
	return tenants, nil
}

// End gives the place of a chain's last entry; see storage.Notary.
func (n *Notary) End(ctx context.Context, tenant string) (end audit.Link, err error) {
	err = n.db.readChain(ctx, tenant, func(tx pgx.Tx) error {
		var hash []byte
		err := tx.QueryRow(ctx, "select seq, hash from audit_heads where tenant = $1", tenant).Scan(&end.Seq, &hash)
		if err == nil {
			end.Hash = bundle.Digest(hash)
		}
		return err
	})
	if err != nil {
		return end, fmt.Errorf("read the end of the audit record: %w", err)
	}
	return end, nil
}

// KeepCheckpoint stores a checkpoint, once; see storage.Notary.
func (n *Notary) KeepCheckpoint(ctx context.Context, tenant string, c storage.SignedCheckpoint) error {
	err := n.db.withChain(ctx, tenant, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue("insert into audit_checkpoints (tenant, seq, envelope) values ($1, $2, $3) on conflict do nothing", tenant, c.Seq, string(c.Envelope))
		batch.Queue("update audit_heads set signed_seq = greatest(signed_seq, $2) where tenant = $1", tenant, c.Seq)
		return tx.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return fmt.Errorf("keep the audit checkpoint: %w", err)
	}
	return nil
}
