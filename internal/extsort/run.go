package extsort

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// maxOpen bounds the runs that are open at a time.
const maxOpen = 32

const smallestBuffer, largestBuffer = 4 << 10, 1 << 20

// runFile is a run that is not open.
type runFile struct {
	name    string
	longest int // of its lines, in bytes
}

type runWriter struct {
	file    *os.File
	out     *bufio.Writer
	head    []byte
	longest int
}

func newRunWriter(file *os.File, buffer int) *runWriter {
	return &runWriter{file: file, out: bufio.NewWriterSize(file, min(max(buffer, smallestBuffer), largestBuffer))}
}

func (w *runWriter) add(line []byte) error {
	w.longest = max(w.longest, len(line))
	w.head = binary.AppendUvarint(w.head[:0], uint64(len(line)))
	if _, err := w.out.Write(w.head); err != nil {
		return err
	}
	_, err := w.out.Write(line)
	return err
}

func (w *runWriter) close() error { return errors.Join(w.out.Flush(), w.file.Close()) }

// run is an open run and its current line.
type run struct {
	file    *os.File
	in      *bufio.Reader
	longest int
	line    []byte
	prefix  uint64
	buffer  []byte
}

func openRun(of runFile, buffer int) (*run, error) {
	file, err := os.Open(of.name)
	if err != nil {
		return nil, fmt.Errorf("sort: %w", err)
	}
	return &run{file: file, longest: of.longest, in: bufio.NewReaderSize(file, buffer)}, nil
}

// next reads the next line.
func (r *run) next() (more bool, err error) {
	size, err := binary.ReadUvarint(r.in)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err == nil && size > uint64(r.longest) {
		err = errors.New("a line's length is out of bounds")
	}
	if err != nil {
		return false, r.broken(err)
	}
	if r.line, err = r.read(int(size)); err != nil {
		return false, r.broken(err)
	}
	r.prefix = prefixOf(r.line)
	return true, nil
}

func (r *run) read(size int) ([]byte, error) {
	if cap(r.buffer) < size {
		r.buffer = make([]byte, min(size+size/4, r.longest))
	}
	line := r.buffer[:size]
	_, err := io.ReadFull(r.in, line)
	return line, err
}

func (r *run) broken(err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("sort: read %s: %w", r.file.Name(), err)
}

func (r *run) compare(other *run) int {
	if r.prefix != other.prefix {
		return cmp.Compare(r.prefix, other.prefix)
	}
	return bytes.Compare(r.line, other.line)
}

// merge gives the lines of several runs in order. Its runs are a binary heap:
// the one with the least line is the first. Which of equal lines comes first
// cannot be seen.
type merge struct {
	runs    []*run
	files   []*run
	started bool
}

// openMerge opens runs and reads the first line of each. The merge is to be
// closed even when it fails.
func openMerge(runs []runFile, memory int) (*merge, error) {
	for _, of := range runs {
		memory -= of.longest
	}
	buffer := min(max(memory/len(runs)/2, smallestBuffer), largestBuffer)
	m := &merge{}
	for _, of := range runs {
		r, err := openRun(of, buffer)
		if err != nil {
			return m, err
		}
		m.files = append(m.files, r)
		more, err := r.next()
		if err != nil {
			return m, err
		}
		if more {
			m.runs = append(m.runs, r)
		}
	}
	slices.SortFunc(m.runs, (*run).compare) // a sorted list is a heap
	return m, nil
}

// next gives the next line of all.
func (m *merge) next() (line []byte, more bool, err error) {
	if m.started {
		if err := m.advance(); err != nil {
			return nil, false, err
		}
	}
	m.started = true
	if len(m.runs) == 0 {
		return nil, false, nil
	}
	return m.runs[0].line, true, nil
}

// advance replaces the line that was given last by the next of its run.
func (m *merge) advance() error {
	if len(m.runs) == 0 {
		return nil
	}
	more, err := m.runs[0].next()
	if err != nil {
		return err
	}
	if !more {
		last := len(m.runs) - 1
		m.runs[0], m.runs = m.runs[last], m.runs[:last]
	}
	m.sink()
	return nil
}

// sink moves the first run down to where it belongs.
func (m *merge) sink() {
	for at := 0; ; {
		least := 2*at + 1
		if least >= len(m.runs) {
			return
		}
		if right := least + 1; right < len(m.runs) && m.runs[right].compare(m.runs[least]) < 0 {
			least = right
		}
		if m.runs[at].compare(m.runs[least]) <= 0 {
			return
		}
		m.runs[at], m.runs[least] = m.runs[least], m.runs[at]
		at = least
	}
}

func (m *merge) close() error {
	var err error
	for _, r := range m.files {
		err = errors.Join(err, r.file.Close())
	}
	return err
}
