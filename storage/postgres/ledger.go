package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// Ledger is the evidence ledger in PostgreSQL.
type Ledger struct {
	db    *DB
	clock func() time.Time // when documents are recorded
}

var _ ledger.Store = (*Ledger)(nil)

// NewLedger gives the ledger of db.
func NewLedger(db *DB) *Ledger { return &Ledger{db: db, clock: clock.System} }

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
	var at ledger.Place
	var blocks [][]byte
	err := l.db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `
			select o.block, o.slot, array(select b.data from ledger_blocks b
				where b.tenant = $1 and b.block in (o.block, o.block + 1) order by b.block)
			from ledger_observations o where o.tenant = $1 and o.sha256 = $2 order by o.seq limit 1`,
			tenant, digest[:]).Scan(&at.Block, &at.Slot, &blocks)
		if errors.Is(err, pgx.ErrNoRows) {
			return storage.ErrNotFound
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read original %s: %w", digest, err)
	}
	raw, err := originalIn(blocks, at.Slot)
	if err != nil {
		return nil, fmt.Errorf("read original %s: %w", digest, err)
	}
	if got := bundle.DigestOf(raw); got != digest {
		return nil, fmt.Errorf("read original %s: the bytes have digest %s: %w", digest, got, storage.ErrCorrupt)
	}
	return raw, nil
}

// originalIn gives the original in slot of a block of records and, if there is
// one, the block of originals beside it.
func originalIn(blocks [][]byte, slot int32) ([]byte, error) {
	if len(blocks) == 2 {
		original, err := inBlock(blocks[1], slot)
		if err != nil || len(original) > 0 {
			return original, err
		}
	}
	if len(blocks) == 0 {
		return nil, corruptBlock("it is not there")
	}
	record, err := inBlock(blocks[0], slot)
	if err != nil {
		return nil, err
	}
	var line ledger.Line
	err = readRecord(record, &line)
	return line.Canonical, err
}

func inBlock(stored []byte, slot int32) ([]byte, error) {
	content, err := openBlock(nil, stored)
	if err != nil {
		return nil, err
	}
	return slotOf(content, slot)
}
