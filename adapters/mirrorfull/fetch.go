package mirrorfull

import (
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
	orders *extsort.Sorter // shard, line, path: what is to be read
	lying  *extsort.Sorter // path, offset, size: what was
	file   *os.File
	size   int64
}

func newFetch(scratch string) (*fetch, error) {
	file, err := os.Create(filepath.Join(scratch, "originals"))
	if err != nil {
		return nil, fmt.Errorf("keep originals: %w", err)
	}
	return &fetch{orders: extsort.New(scratch, sortMemory), lying: extsort.New(scratch, sortMemory), file: file}, nil
}

func (f *fetch) close() error {
	return errors.Join(f.orders.Close(), f.lying.Close(), f.file.Close())
}

// want orders an original.
func (f *fetch) want(d document) error {
	record := binary.BigEndian.AppendUint32(make([]byte, 0, 128), uint32(d.shard))
	record = binary.BigEndian.AppendUint32(record, uint32(d.line))
	record = binary.BigEndian.AppendUint64(record, uint64(d.Bytes))
	return f.orders.Add(append(record, d.Path...))
}

// orderBytes bounds the originals that are asked for at once: they are held together.
const orderBytes = 16 << 20

// order is what is asked of a shard at once.
type order struct {
	shard int32
	lines []int32
	paths []string
	bytes int64
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
			at = order{lines: at.lines[:0], paths: at.paths[:0]}
		}
		at.shard, at.bytes = shard, at.bytes+size
		at.lines = append(at.lines, int32(binary.BigEndian.Uint32(record[4:])))
		at.paths = append(at.paths, string(record[16:]))
	}
	if len(at.lines) == 0 {
		return nil
	}
	return f.serve(ctx, shards, at)
}

// serve reads originals of one shard and keeps them.
func (f *fetch) serve(ctx context.Context, shards []adapters.Shard, at order) error {
	n := 0
	err := shards[at.shard].Originals(ctx, at.lines, func(line int32, original []byte) error {
		if n == len(at.lines) || line != at.lines[n] {
			return fmt.Errorf("original of line %d came out of turn", line)
		}
		if _, err := f.file.Write(original); err != nil {
			return fmt.Errorf("keep originals: %w", err)
		}
		record := append([]byte(at.paths[n]), ' ')
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

// fetched gives what was read, by paths that rise from call to call.
func (f *fetch) fetched(ctx context.Context) (next func(path string) (io.Reader, error), stop func()) {
	pull, stop := iter.Pull2(f.lying.Sorted(ctx))
	return func(path string) (io.Reader, error) {
		record, err, more := pull()
		if err != nil {
			return nil, err
		}
		if !more {
			return nil, errors.New("it was not read")
		}
		at := len(record) - 16
		if found := string(record[:at-1]); found != path {
			return nil, fmt.Errorf("%s was read in its place", found)
		}
		offset, size := int64(binary.BigEndian.Uint64(record[at:])), int64(binary.BigEndian.Uint64(record[at+8:]))
		return io.NewSectionReader(f.file, offset, size), nil
	}, stop
}
