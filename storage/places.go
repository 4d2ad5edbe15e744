package storage

import (
	"encoding/binary"
	"fmt"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
)

// The places of a shard's documents, as they are kept between planning and
// packing: per document the difference to the block before, as a signed
// varint, and the slot, as a varint. About six bytes each.

// PlacesKey names a shard's places. Projects ("" = none) are told apart: the
// same documents of two lie in different places.
func PlacesKey(project string, shard bundle.Digest) bundle.Digest {
	return bundle.DigestOf(append([]byte(ledger.ProjectName(project)+"\n"), shard[:]...))
}

// AppendPlace appends a place that follows previous; the zero place precedes
// the first.
func AppendPlace(dst []byte, previous, place ledger.Place) []byte {
	dst = binary.AppendVarint(dst, place.Block-previous.Block)
	return binary.AppendUvarint(dst, uint64(place.Slot))
}

// ReadPlaces appends the places in kept, which must be count. Else it is
// ErrCorrupt.
func ReadPlaces(dst []ledger.Place, kept []byte, count int64) ([]ledger.Place, error) {
	var place ledger.Place
	for range count {
		difference, n := binary.Varint(kept)
		if n <= 0 {
			return nil, badPlaces(count)
		}
		slot, m := binary.Uvarint(kept[n:])
		if m <= 0 || slot > 1<<30 {
			return nil, badPlaces(count)
		}
		kept = kept[n+m:]
		place.Block += difference
		place.Slot = int32(slot)
		dst = append(dst, place)
	}
	if len(kept) > 0 {
		return nil, badPlaces(count)
	}
	return dst, nil
}

func badPlaces(count int64) error {
	return fmt.Errorf("the places of a shard are not those of %d documents: %w", count, ErrCorrupt)
}
