package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// Ledger is the evidence ledger in PostgreSQL.
type Ledger struct{ db *DB }

var _ ledger.Store = (*Ledger)(nil)

// NewLedger gives the ledger of db.
func NewLedger(db *DB) *Ledger { return &Ledger{db: db} }

// Head implements ledger.Store.
func (l *Ledger) Head(ctx context.Context, tenant string) (int64, error) {
	var seq int64
	err := l.db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, "select seq from ledger_heads where tenant = $1", tenant).Scan(&seq)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // nothing was ever imported
		}
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("read ledger head: %w", err)
	}
	return seq, nil
}

// Original implements ledger.Store. Bytes that are not what the digest says
// are storage.ErrCorrupt.
func (l *Ledger) Original(ctx context.Context, tenant string, digest bundle.Digest) ([]byte, error) {
	var raw []byte
	err := l.db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx,
			"select raw from ledger_contents where tenant = $1 and sha256 = $2", tenant, digest[:]).Scan(&raw)
		if errors.Is(err, pgx.ErrNoRows) {
			return storage.ErrNotFound
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read original %s: %w", digest, err)
	}
	if got := bundle.DigestOf(raw); got != digest {
		return nil, fmt.Errorf("read original %s: the bytes have digest %s: %w", digest, got, storage.ErrCorrupt)
	}
	return raw, nil
}
