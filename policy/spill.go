package policy

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// spill is lines in a file, because they are too many for memory. Its zero
// value is empty.
type spill struct {
	file *os.File
	out  *bufio.Writer
}

func (s *spill) empty() bool { return s.file == nil }

// write adds a line; the first one makes the file in dir.
func (s *spill) write(dir string, line []byte) error {
	if s.file == nil {
		file, err := os.CreateTemp(dir, "group-*")
		if err != nil {
			return fmt.Errorf("join: %w", err)
		}
		s.file, s.out = file, bufio.NewWriter(file)
	}
	var size [binary.MaxVarintLen64]byte
	if _, err := s.out.Write(size[:binary.PutUvarint(size[:], uint64(len(line)))]); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	if _, err := s.out.Write(line); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	return nil
}

// each gives all lines that were written; a line is valid until the next.
func (s *spill) each(yield func(line []byte) error) error {
	if s.file == nil {
		return nil
	}
	if err := s.out.Flush(); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("join: %w", err)
	}
	in := bufio.NewReader(s.file)
	var line []byte
	for {
		size, err := binary.ReadUvarint(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("join: %w", err)
		}
		if uint64(cap(line)) < size {
			line = make([]byte, size)
		}
		line = line[:size]
		if _, err := io.ReadFull(in, line); err != nil {
			return fmt.Errorf("join: %w", err)
		}
		if err := yield(line); err != nil {
			return err
		}
	}
}

// drop removes the file.
func (s *spill) drop() {
	if s.file != nil {
		s.file.Close()           //nolint:errcheck // nothing in it is needed any more
		os.Remove(s.file.Name()) //nolint:errcheck // the directory is removed anyway
		*s = spill{}
	}
}
