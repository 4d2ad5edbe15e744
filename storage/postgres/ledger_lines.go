package postgres

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

// blocksQuery gives blocks in the order of their numbers. The lateral subquery
// is fenced (offset 0), so that the planner looks each up.
const blocksQuery = `
select w.block, b.data
from (select block from unnest($2::bigint[]) as w (block) order by block) w
cross join lateral (select data from ledger_blocks b where b.tenant = $1 and b.block = w.block offset 0) b
order by w.block`

// Lines implements ledger.Store. Every block is read once, however many of its
// documents are wanted and wherever in the order they stand; what is wanted of
// it is kept until all are there. A document that is not there is
// storage.ErrNotFound: a reader is never given fewer documents than it asked for.
func (l *Ledger) Lines(ctx context.Context, tenant string, places []ledger.Place, yield func(ledger.Line) error) error {
	if len(places) == 0 {
		return nil
	}
	s := takeShelf()
	defer s.release()
	err := l.db.readTenant(ctx, tenant, func(tx pgx.Tx) error { return s.fill(ctx, tx, tenant, places) })
	if err == nil {
		err = s.each(places, yield)
	}
	if err != nil {
		return fmt.Errorf("read %d documents: %w", len(places), err)
	}
	return nil
}

// shelf holds records until they are yielded in order.
type shelf struct {
	order   []int32 // places by block and slot
	blocks  []int64
	content []byte   // of the block being read
	chunks  [][]byte // the records lie in these
	used    int      // chunks that hold some
	at      [][]byte // the record of each place
}

// chunkBytes is the size of a chunk: a shelf takes what it needs and no more,
// and keeps it for the next reader.
const chunkBytes = 1 << 20

// put keeps a copy of record.
func (s *shelf) put(record []byte) []byte {
	if len(record) > chunkBytes/4 { // a chunk of its own, not kept for others
		return append([]byte(nil), record...)
	}
	if s.used == 0 || len(s.chunks[s.used-1])+len(record) > chunkBytes {
		if s.used == len(s.chunks) {
			s.chunks = append(s.chunks, make([]byte, 0, chunkBytes))
		}
		s.chunks[s.used] = s.chunks[s.used][:0]
		s.used++
	}
	chunk := &s.chunks[s.used-1]
	*chunk = append(*chunk, record...)
	return (*chunk)[len(*chunk)-len(record):]
}

// shelves holds a few idle shelves, which are kept: a sync.Pool gives its things
// to the garbage collector. keepShelf bounds what one may hold on to.
var shelves = make(chan *shelf, 4)

// keepPlaces bounds the places a shelf has room for at rest.
const keepPlaces = 1 << 17

func takeShelf() *shelf {
	select {
	case s := <-shelves:
		return s
	default:
		return new(shelf)
	}
}

const keepShelf = 28 << 20

func (s *shelf) release() {
	if cap(s.content) > 4*blockBytes {
		s.content = nil
	}
	if len(s.chunks) > keepShelf/chunkBytes {
		clear(s.chunks[keepShelf/chunkBytes:]) // or they live on behind the end
		s.chunks = s.chunks[:keepShelf/chunkBytes]
	}
	if clear(s.at); cap(s.at) > keepPlaces {
		s.at, s.order, s.blocks = nil, nil, nil
	}
	select {
	case shelves <- s:
	default:
	}
}

// fill reads all blocks that places name.
func (s *shelf) fill(ctx context.Context, tx pgx.Tx, tenant string, places []ledger.Place) error {
	s.sort(places)
	rows, err := tx.Query(ctx, blocksQuery, pgx.QueryResultFormats{pgx.BinaryFormatCode}, tenant, s.blocks)
	if err != nil {
		return err
	}
	defer rows.Close()
	wanted := s.order
	for _, number := range s.blocks {
		if !rows.Next() {
			break
		}
		raw := rows.RawValues()
		if int64FromWire(raw[0]) != number {
			break
		}
		n := 1
		for n < len(wanted) && places[wanted[n]].Block == number {
			n++
		}
		if err := s.take(raw[1], places, wanted[:n]); err != nil {
			return fmt.Errorf("block %d: %w", number, err)
		}
		wanted = wanted[n:]
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(wanted) > 0 {
		return fmt.Errorf("block %d: %w", places[wanted[0]].Block, storage.ErrNotFound)
	}
	return nil
}

func (s *shelf) sort(places []ledger.Place) {
	s.order, s.blocks, s.used = s.order[:0], s.blocks[:0], 0
	for i := range places {
		s.order = append(s.order, int32(i))
	}
	slices.SortFunc(s.order, func(a, b int32) int { return comparePlaces(places[a], places[b]) })
	for _, i := range s.order {
		if n := len(s.blocks); n == 0 || s.blocks[n-1] != places[i].Block {
			s.blocks = append(s.blocks, places[i].Block)
		}
	}
	s.at = slices.Grow(s.at[:0], len(places))[:len(places)]
}

func comparePlaces(a, b ledger.Place) int {
	if a.Block != b.Block {
		if a.Block < b.Block {
			return -1
		}
		return 1
	}
	return int(a.Slot - b.Slot)
}

// take keeps the wanted records of a block. They are in the order of slots; one
// may be wanted twice.
func (s *shelf) take(stored []byte, places []ledger.Place, wanted []int32) error {
	content, err := openBlock(s.content, stored)
	if err != nil {
		return err
	}
	s.content = content
	err = eachSlot(content, func(slot int32, record []byte) error {
		if len(wanted) == 0 {
			return errFound
		}
		if places[wanted[0]].Slot != slot {
			return nil
		}
		kept := s.put(record)
		for len(wanted) > 0 && places[wanted[0]].Slot == slot {
			s.at[wanted[0]] = kept
			wanted = wanted[1:]
		}
		return nil
	})
	if err != nil && err != errFound { //nolint:errorlint // our own, unwrapped
		return err
	}
	if len(wanted) > 0 {
		return fmt.Errorf("slot %d: %w", places[wanted[0]].Slot, storage.ErrNotFound)
	}
	return nil
}

func (s *shelf) each(places []ledger.Place, yield func(ledger.Line) error) error {
	var line ledger.Line
	for i, place := range places {
		if err := readRecord(s.at[i], &line); err != nil {
			return err
		}
		line.Place = place
		if err := yield(line); err != nil {
			return err
		}
	}
	return nil
}

func int64FromWire(b []byte) (n int64) {
	for _, c := range b {
		n = n<<8 | int64(c)
	}
	return n
}
