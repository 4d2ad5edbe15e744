package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/ledger"
)

// Catalog reads lists and counts of the evidence ledger. It remembers counts:
// the ledger only grows, so what was counted up to a sequence stays true.
type Catalog struct {
	db     *DB
	window int64 // listWindow
	few    int   // listFew
	step   int64 // tallyStep

	mu      sync.Mutex
	tallies map[[2]string]*tally // by tenant and project
}

var _ ledger.Catalog = (*Catalog)(nil)

// NewCatalog gives the lists and counts of db's ledger.
func NewCatalog(db *DB) *Catalog {
	return &Catalog{db: db, window: listWindow, few: listFew, step: tallyStep, tallies: map[[2]string]*tally{}}
}

// SeqAt implements ledger.Catalog. Each import notes its last sequence and its
// time, and times do not go back; what an import of that moment holds is in.
func (c *Catalog) SeqAt(ctx context.Context, tenant string, at time.Time) (seq int64, err error) {
	err = c.db.readTenant(ctx, tenant, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx,
			"select seq from ledger_moments where tenant = $1 and at <= $2 order by seq desc limit 1", tenant, at).Scan(&seq)
		return absentIsNone(err)
	})
	if err != nil {
		return 0, fmt.Errorf("read ledger as of %s: %w", at.Format(time.RFC3339), err)
	}
	return seq, nil
}

// recordedBetween reads when the first revision and revision seq were recorded.
func recordedBetween(ctx context.Context, tx pgx.Tx, tenant string, seq int64, s *ledger.Stats) error {
	if seq == 0 {
		return nil
	}
	moment := func(at *time.Time, sql string, args ...any) error {
		err := tx.QueryRow(ctx, sql, args...).Scan(at)
		*at = at.UTC()
		return absentIsNone(err)
	}
	return errors.Join(
		moment(&s.First, "select at from ledger_moments where tenant = $1 order by seq limit 1", tenant),
		moment(&s.Last, "select at from ledger_moments where tenant = $1 and seq >= $2 order by seq limit 1", tenant, seq))
}

func absentIsNone(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}
