package boltpages

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Bounds of bbolt, in bytes.
const (
	maxKey   = 32768
	maxValue = 1<<31 - 2
)

// Places of pages.
const (
	freelistAt = 2
	firstPage  = 3
)

// Writer writes a database: the keys of a bucket in their order, bytewise, each
// once, and a bucket inside where its name is in that order.
type Writer struct {
	file  io.WriterAt
	pages *bufio.Writer
	next  uint64    // page
	open  []*bucket // the root, and the buckets inside which we are
	spare []*bucket // closed ones, to be used again
	page  []byte
	value []byte // of a bucket that ends
	err   error
}

// New begins a database in file, which must be empty. It is not one before
// Close: until then its first pages are missing.
func New(file io.WriterAt) *Writer {
	w := &Writer{file: file, next: firstPage}
	w.pages = bufio.NewWriterSize(io.NewOffsetWriter(file, firstPage*pageSize), 64<<10)
	w.open = []*bucket{{}}
	return w
}

// Begin begins a bucket inside the current one.
func (w *Writer) Begin(name []byte) error {
	if err := w.follow(name); err != nil {
		return err
	}
	inner := &bucket{}
	if n := len(w.spare); n > 0 {
		inner, w.spare = w.spare[n-1], w.spare[:n-1]
	}
	inner.name = append(inner.name[:0], name...)
	w.open = append(w.open, inner)
	return nil
}

// Put writes a key and its value into the current bucket.
func (w *Writer) Put(key, value []byte) error {
	if err := w.follow(key); err != nil {
		return err
	}
	if len(value) > maxValue {
		return w.fail(fmt.Errorf("the value of %s has %d bytes, bbolt takes at most %d", w.name(key), len(value), maxValue))
	}
	return w.put(0, key, value)
}

// End ends the current bucket.
func (w *Writer) End() error {
	if w.err != nil {
		return w.err
	}
	if len(w.open) == 1 {
		return w.fail(errors.New("there is no bucket to end"))
	}
	inner := w.open[len(w.open)-1]
	var root uint64 // 0 says that the leaf is behind the header
	inline := inner.inline()
	if !inline {
		var err error
		if root, err = w.writeRoot(inner); err != nil {
			return err
		}
	}
	w.value = binary.LittleEndian.AppendUint64(w.value[:0], root)
	w.value = binary.LittleEndian.AppendUint64(w.value, 0) // sequence
	if inline {
		w.value = inner.leaf().appendTo(w.value, 0, 0)
	}
	w.open = w.open[:len(w.open)-1]
	w.open[len(w.open)-1].nested = true
	err := w.put(bucketFlag, inner.name, w.value)
	inner.reset()
	w.spare = append(w.spare, inner)
	return err
}

// Close completes the database. It does not close the file.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	if len(w.open) > 1 {
		return w.fail(fmt.Errorf("bucket %q is not ended", w.open[len(w.open)-1].name))
	}
	root, err := w.writeRoot(w.open[0])
	if err != nil {
		return err
	}
	if err := w.pages.Flush(); err != nil {
		return w.fail(err)
	}
	var head []byte
	for id := range uint64(freelistAt) {
		head = appendMeta(head, id, root, w.next)
	}
	head = fill((&node{flags: freelistPage}).appendTo(head, freelistAt, 0))
	if _, err := w.file.WriteAt(head, 0); err != nil {
		return w.fail(err)
	}
	w.err = errors.New("the database is closed")
	return nil
}

// follow checks that key may come now.
func (w *Writer) follow(key []byte) error {
	if w.err != nil {
		return w.err
	}
	in := w.open[len(w.open)-1]
	switch {
	case len(key) == 0:
		return w.fail(fmt.Errorf("a key of %s is empty", w.name(nil)))
	case len(key) > maxKey:
		return w.fail(fmt.Errorf("a key of %s has %d bytes, bbolt takes at most %d: %.80q", w.name(nil), len(key), maxKey, key))
	case in.some && bytes.Compare(in.last, key) >= 0:
		return w.fail(fmt.Errorf("%s does not come after %q: keys must be sorted, each once", w.name(key), in.last))
	}
	in.last, in.some = append(in.last[:0], key...), true
	return nil
}

// name names a key, or the current bucket for nil, with the buckets around it.
func (w *Writer) name(key []byte) string {
	name := "the root"
	for _, b := range w.open[1:] {
		name += fmt.Sprintf(" / %q", b.name)
	}
	if key != nil {
		name += fmt.Sprintf(" / %q", key)
	}
	return name
}

func (w *Writer) fail(err error) error {
	w.err = fmt.Errorf("write bbolt database: %w", err)
	return w.err
}

// put adds an item to the leaf of the current bucket.
func (w *Writer) put(flags uint32, key, value []byte) error {
	in := w.open[len(w.open)-1]
	leaf := in.leaf()
	if !leaf.fits(len(key), len(value)) {
		if err := w.turn(in, 0); err != nil {
			return err
		}
		leaf = in.leaf()
	}
	leaf.add(item{flags: flags}, key, value)
	return nil
}

// turn writes the page of a level, tells the level above, and empties it.
func (w *Writer) turn(b *bucket, level int) error {
	full := &b.levels[level]
	id, err := w.write(full)
	if err != nil {
		return err
	}
	b.written = true
	key := append([]byte(nil), full.firstKey()...)
	full.reset()
	return w.adopt(b, level+1, item{child: id}, key)
}

// adopt adds a child to the branch of a level. A branch that is full is written
// without its last child, so that no branch ever has one child alone.
func (w *Writer) adopt(b *bucket, level int, child item, key []byte) error {
	if level == len(b.levels) {
		b.levels = append(b.levels, node{flags: branchPage})
	}
	if branch := &b.levels[level]; len(branch.items) > 2 && !branch.fits(len(key), 0) {
		last, lastKey := branch.takeLast()
		if err := w.turn(b, level); err != nil {
			return err
		}
		b.levels[level].add(last, lastKey, nil)
	}
	b.levels[level].add(child, key, nil)
	return nil
}

// writeRoot writes what is left of a bucket and gives its root page.
func (w *Writer) writeRoot(b *bucket) (root uint64, err error) {
	b.leaf() // an empty bucket is an empty leaf
	for level := 0; level < len(b.levels)-1; level++ {
		if err := w.turn(b, level); err != nil {
			return 0, err
		}
	}
	return w.write(&b.levels[len(b.levels)-1])
}

// write writes a page and gives its id.
func (w *Writer) write(n *node) (uint64, error) {
	id := w.next
	taken := (n.used() + pageSize - 1) / pageSize
	w.page = fill(n.appendTo(w.page[:0], id, uint32(taken-1)))
	if _, err := w.pages.Write(w.page); err != nil {
		return 0, w.fail(err)
	}
	if cap(w.page) > 16*pageSize {
		w.page = nil
	}
	w.next += uint64(taken)
	return id, nil
}
