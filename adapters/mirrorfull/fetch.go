package mirrorfull

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/internal/extsort"
)

// fetch reads originals in the order in which the ledger has them, and gives them in
// archive order. Between the two they lie in a file.
type fetch struct {
	orders  *extsort.Sorter // shard, line, bytes, number: what is to be read
	lying   *extsort.Sorter // number, offset, size: what was
	ordered uint64
	file    *os.File
	buffer  *bufio.Writer
	size    int64
}

// keepAtOnce gathers originals for the file: they are small.
const keepAtOnce = 256 << 10

func newFetch(scratch string) (*fetch, error) {
	file, err := os.Create(filepath.Join(scratch, "originals"))
	if err != nil {
		return nil, fmt.Errorf("keep originals: %w", err)
	}
	return &fetch{orders: extsort.New(scratch, sortMemory), lying: extsort.New(scratch, sortMemory),
		file: file, buffer: bufio.NewWriterSize(file, keepAtOnce)}, nil
}

func (f *fetch) close() error {
	return errors.Join(f.orders.Close(), f.lying.Close(), f.file.Close())
}

// want orders an original. It is called in archive order: the number is a place in it.
func (f *fetch) want(d document) error {
	record := binary.BigEndian.AppendUint32(make([]byte, 0, 24), uint32(d.shard))
	record = binary.BigEndian.AppendUint32(record, uint32(d.line))
	record = binary.BigEndian.AppendUint64(record, uint64(d.Bytes))
	record = binary.BigEndian.AppendUint64(record, f.ordered)
	f.ordered++
	return f.orders.Add(record)
}

// orderBytes bounds the originals that are asked for at once: they are held together.
const orderBytes = 16 << 20

// order is what is asked of a shard at once.
type order struct {
	shard   int32
	lines   []int32
	numbers []uint64
	bytes   int64
}

// read reads all that was ordered.
func (f *fetch) read(ctx context.Context, shards []adapters.Shard) error {
	var at order
	for record, err := range f.orders.Sorted(ctx) {
		if err != nil {
			return err
		}
		shard, size := int32(binary.BigEndian.Uint32(record)), int64(binary.BigEndian.Uint64(record[8:]))
		if len(at.lines) > 0 && (shard != at.shard || at.bytes+size > orderBytes) {
			if err := f.serve(ctx, shards, at); err != nil {
				return err
			}
			at = order{lines: at.lines[:0], numbers: at.numbers[:0]}
		}
		at.shard, at.bytes = shard, at.bytes+size
		at.lines = append(at.lines, int32(binary.BigEndian.Uint32(record[4:])))
		at.numbers = append(at.numbers, binary.BigEndian.Uint64(record[16:]))
	}
	if len(at.lines) > 0 {
		if err := f.serve(ctx, shards, at); err != nil {
			return err
		}
	}
	if err := f.buffer.Flush(); err != nil {
		return fmt.Errorf("keep originals: %w", err)
	}
	return nil
}

// serve reads originals of one shard and keeps them.
func (f *fetch) serve(ctx context.Context, shards []adapters.Shard, at order) error {
	n := 0
	err := shards[at.shard].Originals(ctx, at.lines, func(line int32, original []byte) error {
		if n == len(at.lines) || line != at.lines[n] {
			return fmt.Errorf("original of line %d came out of turn", line)
		}
		if _, err := f.buffer.Write(original); err != nil {
			return fmt.Errorf("keep originals: %w", err)
		}
		record := binary.BigEndian.AppendUint64(make([]byte, 0, 24), at.numbers[n])
		record = binary.BigEndian.AppendUint64(record, uint64(f.size))
		record = binary.BigEndian.AppendUint64(record, uint64(len(original)))
		f.size, n = f.size+int64(len(original)), n+1
		return f.lying.Add(record)
	})
	if err != nil {
		return err
	}
	if n < len(at.lines) {
		return fmt.Errorf("%s: %d originals were asked for, %d came", shards[at.shard].Path, len(at.lines), n)
	}
	return nil
}

// fetched gives what was read, one after the other in the order of want.
func (f *fetch) fetched(ctx context.Context) (next func() (io.Reader, error), stop func()) {
	pull, stop := iter.Pull2(f.lying.Sorted(ctx))
	given := uint64(0)
	return func() (io.Reader, error) {
		record, err, more := pull()
		if err != nil {
			return nil, err
		}
		if !more || binary.BigEndian.Uint64(record) != given {
			return nil, errors.New("it was not read")
		}
		given++
		offset, size := int64(binary.BigEndian.Uint64(record[8:])), int64(binary.BigEndian.Uint64(record[16:]))
		return io.NewSectionReader(f.file, offset, size), nil
	}, stop
}
