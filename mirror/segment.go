package mirror

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/bundle/delta"
)

// segment is a part of an archive that is originals only: their headers, contents and
// padding, made of the files as they are read. It does not change.
type segment struct {
	tree   *tree
	first  string
	items  []bundle.Original
	starts []int64
	size   int64
}

// openSegments is how many are remembered: each is an index, about 1 MiB.
const openSegments = 8

// segment gives that which begins with an original.
func (t *tree) segment(first string) (*segment, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.IndexFunc(t.open, func(s *segment) bool { return s.first == first }); i >= 0 {
		s := t.open[i]
		t.open = slices.Insert(slices.Delete(t.open, i, i+1), 0, s)
		return s, nil
	}
	s := &segment{tree: t, first: first}
	list := delta.NewOriginals(t.files([]bundle.Content{t.originals[first]}))
	defer list.Close() //nolint:errcheck // it was read
	for {
		o, err := list.Next()
		if err != nil {
			return nil, unlisted(err)
		}
		if o == nil {
			break
		}
		s.items, s.starts = append(s.items, *o), append(s.starts, s.size)
		s.size += bundle.EntrySize(o.Bytes)
	}
	t.open = slices.Insert(t.open, 0, s)[:min(len(t.open)+1, openSegments)]
	return s, nil
}

// Close does nothing: others may read it.
func (s *segment) Close() error { return nil }

// ReadAt implements io.ReaderAt.
func (s *segment) ReadAt(p []byte, off int64) (n int, err error) {
	for n < len(p) && err == nil {
		var read int
		if off+int64(n) >= s.size {
			return n, io.EOF
		}
		read, err = s.piece(p[n:], off+int64(n))
		n += read
	}
	return n, err
}

// piece reads from a header, a file, or padding.
func (s *segment) piece(p []byte, off int64) (int, error) {
	i := sort.Search(len(s.starts), func(i int) bool { return s.starts[i] > off }) - 1
	o, at := s.items[i], off-s.starts[i]
	if at < bundle.BlockSize {
		header, err := bundle.Header(o.Path, o.Bytes)
		return copy(p, header[at:]), err
	}
	if at -= bundle.BlockSize; at >= o.Bytes {
		p = p[:min(int64(len(p)), bundle.EntrySize(o.Bytes)-bundle.BlockSize-at)]
		clear(p)
		return len(p), nil
	}
	return s.tree.readFile(o, p[:min(int64(len(p)), o.Bytes-at)], at)
}

// readFile reads from the file of an original, which must be of its size: more bytes
// would be in the directory and not in the archive.
func (t *tree) readFile(o bundle.Original, p []byte, at int64) (int, error) {
	file, info, err := openRegular(t.path(o.Path))
	if err != nil {
		return 0, absent(t.dir, o.Path, err)
	}
	defer file.Close()
	if info.Size() != o.Bytes {
		return 0, fmt.Errorf("%w: %s has %d bytes, its index says %d", bundle.ErrShortBlob, o.Path, info.Size(), o.Bytes)
	}
	n, err := file.ReadAt(p, at)
	if errors.Is(err, io.EOF) && n == len(p) {
		err = nil
	}
	return n, err
}
