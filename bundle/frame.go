package bundle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// ErrFrame is wrapped when a payload file is not exactly one zstd frame of the
// form a bundle allows.
var ErrFrame = errors.New("not one zstd frame with a checksum")

// frameGuard passes a zstd frame through while it follows the frame's
// structure (RFC 8878 section 3.1.1), so that a decoder behind it, which would
// accept several frames and skippable ones, sees exactly one.
type frameGuard struct {
	r    io.Reader
	step frameStep
	head []byte // bytes of the structure field being gathered
	need int    // how many make it whole
	skip int64  // bytes of block content still to pass
	last bool   // the block being passed is the last
	err  error
}

type frameStep int

const (
	stepMagic frameStep = iota
	stepDescriptor
	stepFields
	stepBlock
	stepChecksum
	stepDone
)

const zstdMagic = 0xFD2FB528

func newFrameGuard(r io.Reader) *frameGuard {
	return &frameGuard{r: r, step: stepMagic, need: 4, head: make([]byte, 0, 16)}
}

func (g *frameGuard) Read(p []byte) (int, error) {
	if g.err != nil {
		return 0, g.err
	}
	n, err := g.r.Read(p)
	if follow := g.follow(p[:n]); follow != nil {
		g.err = follow
		return 0, follow
	}
	if err == io.EOF && g.step != stepDone {
		err = fmt.Errorf("%w: it ends early", ErrFrame)
	}
	if err != nil {
		g.err = err
	}
	return n, err
}

// finish reads on to the end of the input, which must be here.
func (g *frameGuard) finish() error {
	var rest [512]byte
	for g.err == nil {
		if _, err := g.Read(rest[:]); err != nil {
			break
		}
	}
	if g.err == io.EOF && g.step == stepDone {
		return nil
	}
	return g.err
}

// follow walks through b.
func (g *frameGuard) follow(b []byte) error {
	for len(b) > 0 {
		if g.skip > 0 {
			n := min(g.skip, int64(len(b)))
			g.skip -= n
			b = b[n:]
			if g.skip == 0 {
				g.afterBlock()
			}
			continue
		}
		if g.step == stepDone {
			return fmt.Errorf("%w: more bytes follow it", ErrFrame)
		}
		n := min(g.need-len(g.head), len(b))
		g.head = append(g.head, b[:n]...)
		b = b[n:]
		if len(g.head) == g.need {
			if err := g.field(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (g *frameGuard) expect(step frameStep, need int) {
	g.step, g.need, g.head = step, need, g.head[:0]
}

// field acts on a whole structure field.
func (g *frameGuard) field() error {
	switch g.step {
	case stepMagic:
		if magic := binary.LittleEndian.Uint32(g.head); magic != zstdMagic {
			return fmt.Errorf("%w: it begins with 0x%08x", ErrFrame, magic)
		}
		g.expect(stepDescriptor, 1)
	case stepDescriptor:
		return g.descriptor(g.head[0])
	case stepFields:
		g.expect(stepBlock, 3)
	case stepBlock:
		return g.block()
	case stepChecksum:
		g.expect(stepDone, 0)
	}
	return nil
}

// descriptor reads the frame header descriptor (section 3.1.1.1.1).
func (g *frameGuard) descriptor(d byte) error {
	switch {
	case d&0x04 == 0:
		return fmt.Errorf("%w: it has no checksum", ErrFrame)
	case d&0x03 != 0:
		return fmt.Errorf("%w: it wants a dictionary", ErrFrame)
	case d&0x18 != 0:
		return fmt.Errorf("%w: reserved bits are set", ErrFrame)
	}
	single := d&0x20 != 0
	size := [4]int{0, 2, 4, 8}[d>>6]
	if single && size == 0 {
		size = 1
	}
	if !single {
		size++ // window descriptor
	}
	g.expect(stepFields, size)
	return nil
}

// block reads a block header (section 3.1.1.2).
func (g *frameGuard) block() error {
	header := uint32(g.head[0]) | uint32(g.head[1])<<8 | uint32(g.head[2])<<16
	g.last = header&1 != 0
	g.skip = int64(header >> 3)
	switch kind := header >> 1 & 3; kind {
	case 1: // one byte, repeated
		g.skip = 1
	case 3:
		return fmt.Errorf("%w: reserved block type", ErrFrame)
	}
	g.head = g.head[:0]
	if g.skip == 0 {
		g.afterBlock()
	}
	return nil
}

func (g *frameGuard) afterBlock() {
	if g.last {
		g.expect(stepChecksum, 4)
	} else {
		g.expect(stepBlock, 3)
	}
}
