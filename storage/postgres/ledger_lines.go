package postgres

import (
	"context"
	"encoding/binary"
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
	order  []int32 // places by block and slot
	blocks []int64
	chunks [][]byte // blocks are opened in these, and the records stay there
	used   int      // chunks that hold some
	at     [][]byte // the record of each place
}

// chunkBytes is the size of a chunk: a shelf takes what it needs and no more,
// and keeps it for the next reader.
const chunkBytes = 1 << 20

// room is where the next block is opened: behind what is kept. It is large enough
// for a block of several documents.
func (s *shelf) room() []byte {
	if s.used > 0 {
		if chunk := s.chunks[s.used-1]; cap(chunk)-len(chunk) >= 2*blockBytes {
			return chunk[len(chunk):cap(chunk)]
		}
	}
	if s.used == len(s.chunks) {
		s.chunks = append(s.chunks, make([]byte, 0, chunkBytes))
	}
	s.chunks[s.used] = s.chunks[s.used][:0]
	s.used++
	return s.chunks[s.used-1][:chunkBytes]
}

// keep keeps the first n bytes of the room.
func (s *shelf) keep(n int) {
	chunk := &s.chunks[s.used-1]
	*chunk = (*chunk)[:len(*chunk)+n]
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
	return s.eachBlock(ctx, tx, blocksQuery, tenant, places, s.order, func(_ int64, stored []byte, wanted []int32) error {
		return s.take(stored, places, wanted)
	})
}

// eachBlock calls take with every block that wanted places name, or with what
// the query gives in its stead, and with the places in it. wanted is in the
// order of blocks.
func (s *shelf) eachBlock(ctx context.Context, tx pgx.Tx, query, tenant string, places []ledger.Place, wanted []int32,
	take func(block int64, stored []byte, wanted []int32) error,
) error {
	s.name(places, wanted)
	rows, err := tx.Query(ctx, query, pgx.QueryResultFormats{pgx.BinaryFormatCode}, tenant, s.blocks)
	if err != nil {
		return err
	}
	defer rows.Close()
	for _, number := range s.blocks {
		if !rows.Next() {
			break
		}
		raw := rows.RawValues()
		found := int64FromWire(raw[0])
		if found != number && found != originalsOf(number) {
			break
		}
		n := 1
		for n < len(wanted) && places[wanted[n]].Block == number {
			n++
		}
		if err := take(found, raw[1], wanted[:n]); err != nil {
			return fmt.Errorf("block %d: %w", found, err)
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

// sort puts the places in the order of blocks and slots.
func (s *shelf) sort(places []ledger.Place) {
	s.order, s.used = s.order[:0], 0
	for i := range places {
		s.order = append(s.order, int32(i))
	}
	slices.SortFunc(s.order, func(a, b int32) int { return comparePlaces(places[a], places[b]) })
	s.at = slices.Grow(s.at[:0], len(places))[:len(places)]
}

// name notes the blocks that wanted places name, each once.
func (s *shelf) name(places []ledger.Place, wanted []int32) {
	s.blocks = s.blocks[:0]
	for _, i := range wanted {
		if n := len(s.blocks); n == 0 || s.blocks[n-1] != places[i].Block {
			s.blocks = append(s.blocks, places[i].Block)
		}
	}
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
// may be wanted twice. What lies together stays where it is, since neighbours in
// a block are neighbours in the export; the rest is moved together. A block that
// is too large for the room has one of its own.
func (s *shelf) take(stored []byte, places []ledger.Place, wanted []int32) error {
	room := s.room()
	content, err := openBlock(room, stored)
	if err != nil {
		return err
	}
	inRoom := len(content) > 0 && &content[0] == &room[0]
	kept := 0
	err = eachSlot(content, func(slot int32, record []byte) error {
		if len(wanted) == 0 {
			return errFound
		}
		if places[wanted[0]].Slot != slot {
			return nil
		}
		if inRoom {
			if begin := cap(content) - cap(record); begin-kept > sizeOfSize {
				record = room[kept : kept+copy(room[kept:], record)]
			} else {
				kept = begin
			}
			kept += len(record)
		}
		for len(wanted) > 0 && places[wanted[0]].Slot == slot {
			s.at[wanted[0]] = record
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
	s.keep(kept)
	return nil
}

// sizeOfSize is what stands between two records at most (eachSlot).
const sizeOfSize = binary.MaxVarintLen64

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
