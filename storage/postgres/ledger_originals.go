package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/ledger"
)

// originalsQuery gives, in the order of blocks, the block of originals where
// there is one, and else the block of records; never both.
const originalsQuery = `
select b.block, b.data
from (select block from unnest($2::bigint[]) as w (block) order by block) w
cross join lateral (select block, data from ledger_blocks b
  where b.tenant = $1 and b.block in (w.block, w.block + 1) order by block desc limit 1) b
order by w.block`

// Originals implements ledger.Store. Blocks of originals are read first; then
// the records of those documents of them that are their own canonical form. So
// every block is read once, and none whose documents are not wanted.
func (l *Ledger) Originals(ctx context.Context, tenant string, places []ledger.Place, yield func(place ledger.Place, original []byte) error) error {
	if len(places) == 0 {
		return nil
	}
	s := takeShelf()
	defer s.release()
	err := l.db.readTenant(ctx, tenant, func(tx pgx.Tx) error { return s.fillOriginals(ctx, tx, tenant, places) })
	for i := 0; i < len(places) && err == nil; i++ {
		err = yield(places[i], s.at[i])
	}
	if err != nil {
		return fmt.Errorf("read %d originals: %w", len(places), err)
	}
	return nil
}

// fillOriginals reads the originals of all places.
func (s *shelf) fillOriginals(ctx context.Context, tx pgx.Tx, tenant string, places []ledger.Place) error {
	s.sort(places)
	var canonical []int32 // places whose original is in the block of records
	err := s.eachBlock(ctx, tx, originalsQuery, tenant, places, s.order, func(block int64, stored []byte, wanted []int32) error {
		if err := s.take(stored, places, wanted); err != nil {
			return err
		}
		if block == places[wanted[0]].Block {
			return s.canonicalOnly(wanted)
		}
		for _, i := range wanted {
			if len(s.at[i]) == 0 {
				canonical = append(canonical, i)
			}
		}
		return nil
	})
	if err != nil || len(canonical) == 0 {
		return err
	}
	return s.eachBlock(ctx, tx, blocksQuery, tenant, places, canonical, func(_ int64, stored []byte, wanted []int32) error {
		if err := s.take(stored, places, wanted); err != nil {
			return err
		}
		return s.canonicalOnly(wanted)
	})
}

// canonicalOnly leaves of records that were taken their canonical forms.
func (s *shelf) canonicalOnly(taken []int32) error {
	var line ledger.Line
	for _, i := range taken {
		if err := readRecord(s.at[i], &line); err != nil {
			return err
		}
		s.at[i] = line.Canonical
	}
	return nil
}
