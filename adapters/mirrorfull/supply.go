package mirrorfull

import (
	"bufio"
	"context"
	"fmt"
	"io"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
)

// supply reads originals of the mirror before, one segment open at a time. What is asked
// for comes in archive order, so a segment is read once, from its begin to its end:
// originals are small, and a read of the store for each would cost more than their bytes.
type supply struct {
	ctx    context.Context
	prior  *adapters.Prior
	number int
	blob   bundle.Source
	ahead  *bufio.Reader
	passed int64 // of the segment
}

// supplyAhead is how much is read of a segment at once.
const supplyAhead = 256 << 10

// at gives size bytes of a segment at offset. What it gave before is not valid any more.
func (s *supply) at(segment int, offset, size int64) (io.Reader, error) {
	if s.blob == nil || s.number != segment || offset < s.passed {
		if err := s.open(segment); err != nil {
			return nil, err
		}
	}
	if skip := offset - s.passed; skip > supplyAhead {
		s.begin(offset)
	} else if _, err := s.ahead.Discard(int(skip)); err != nil {
		return nil, fmt.Errorf("%s: %w", s.prior.Segments[segment].Path, err)
	}
	s.passed = offset + size
	return io.LimitReader(s.ahead, size), nil
}

func (s *supply) open(segment int) error {
	s.close()
	blob, err := s.prior.Segments[segment].Open(s.ctx)
	if err != nil {
		return err
	}
	s.number, s.blob = segment, blob
	s.begin(0)
	return nil
}

// begin reads on from offset.
func (s *supply) begin(offset int64) {
	rest := io.NewSectionReader(s.blob, offset, s.prior.Segments[s.number].Size-offset)
	if s.ahead == nil {
		s.ahead = bufio.NewReaderSize(rest, supplyAhead)
	}
	s.ahead.Reset(rest)
	s.passed = offset
}

func (s *supply) close() {
	if s.blob != nil {
		s.blob.Close()
	}
	s.blob = nil
}
