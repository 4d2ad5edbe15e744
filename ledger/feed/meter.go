package feed

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// Bounds of one archive or compressed file. They are far beyond what evidence
// needs, and keep what a small file can cost small.
const (
	maxEntries   = 1_000_000 // members of an archive
	maxExpanded  = 256 << 30 // bytes after decompression
	maxRatio     = 1000      // of them per compressed byte,
	freeExpanded = 64 << 20  // once there are more than these
)

var (
	errBomb     = fmt.Errorf("expands to more than %d times its size; it is not read further", maxRatio)
	errExpanded = fmt.Errorf("expands to more than %d GiB; it is not read further", maxExpanded>>30)
)

// meter reads decompressed bytes until they are more than the compressed ones
// explain. Its first error stays.
type meter struct {
	src    io.Reader
	packed func() int64 // compressed bytes so far; nil = not compressed
	total  int64
	zeros  int // zero bytes at the end of what was read
	err    error
}

func (m *meter) Read(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	n, err := m.src.Read(p)
	m.err = m.add(p[:n], err)
	if m.err != nil && !errors.Is(m.err, io.EOF) && err == nil {
		return 0, m.err
	}
	return n, m.err
}

func (m *meter) add(read []byte, err error) error {
	m.total += int64(len(read))
	zeros := 0
	for zeros < len(read) && read[len(read)-1-zeros] == 0 {
		zeros++
	}
	if zeros == len(read) {
		zeros += m.zeros
	}
	m.zeros = min(zeros, 1<<20)
	switch {
	case m.total > maxExpanded:
		return errExpanded
	case m.packed != nil && m.total > freeExpanded && m.total/maxRatio > m.packed():
		return errBomb
	}
	return err
}

// failed reports whether nothing more can be read, other than by the end.
func (m *meter) failed() bool { return m.err != nil && !errors.Is(m.err, io.EOF) }

// counter counts the compressed bytes that were read.
type counter struct {
	src   io.Reader
	count int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.count += int64(n)
	return n, err
}

// unpack gives what src decompresses to. close must be called when err is nil.
func unpack(packing string, src io.Reader) (m *meter, close func(), err error) {
	packed := &counter{src: src}
	m = &meter{packed: func() int64 { return packed.count }}
	close = func() {}
	switch packing {
	case "gz":
		m.src, err = newGzip(bufio.NewReaderSize(packed, 64<<10))
	case "zst":
		dec, zstdErr := newZstd(packed)
		if err = zstdErr; err == nil {
			m.src, close = dec, dec.Close
		}
	default:
		m.src, m.packed = src, nil
	}
	return m, close, err
}
