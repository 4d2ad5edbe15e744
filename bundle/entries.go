package bundle

import (
	"errors"
	"fmt"
	"io"
)

// EntryWriter writes entries as they stand in an archive: header, content, padding.
// What it wrote may be one blob, and a Member whose Entries is set.
type EntryWriter struct {
	w     io.Writer
	last  string
	bytes int64
}

// NewEntryWriter writes entries to w, which had better gather them: most are small, and
// come in three pieces.
func NewEntryWriter(w io.Writer) *EntryWriter { return &EntryWriter{w: w} }

// Size is the number of bytes written so far, a multiple of BlockSize.
func (e *EntryWriter) Size() int64 { return e.bytes }

// Entry writes the entry at path, which has exactly size bytes of content. Entries
// come in archive order.
func (e *EntryWriter) Entry(path string, size int64, content io.Reader) error {
	if e.last != "" && !PathBefore(e.last, path) {
		return fmt.Errorf("archive entry %s does not come after %s", path, e.last)
	}
	header, err := Header(path, size)
	if err != nil {
		return err
	}
	if _, err := e.w.Write(header[:]); err != nil {
		return err
	}
	n, err := io.Copy(e.w, io.LimitReader(content, size))
	if err != nil {
		return err
	}
	if n < size {
		return fmt.Errorf("archive entry %s: %w: %d of %d bytes", path, ErrShortBlob, n, size)
	}
	if _, err := e.w.Write(zeros[:padding(size)]); err != nil {
		return err
	}
	e.last, e.bytes = path, e.bytes+EntrySize(size)
	return nil
}

var zeros [BlockSize]byte

// EachEntry calls yield with every entry of what an EntryWriter wrote, in order. What
// yield leaves of a content is passed over. Another form of header, a wrong order or
// bytes that are left over are errors.
func EachEntry(r io.Reader, yield func(path string, size int64, content io.Reader) error) error {
	var block [BlockSize]byte
	last := ""
	for {
		_, err := io.ReadFull(r, block[:])
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("archive entries behind %q: %w", last, err)
		}
		path, size, err := ParseHeader(block)
		if err != nil {
			return err
		}
		if last != "" && !PathBefore(last, path) {
			return fmt.Errorf("archive entry %s does not come after %s", path, last)
		}
		content := &io.LimitedReader{R: r, N: size}
		if err := yield(path, size, content); err != nil {
			return err
		}
		if _, err := io.CopyN(io.Discard, r, content.N); err != nil {
			return fmt.Errorf("archive entry %s: %w", path, err)
		}
		pad := block[:padding(size)]
		if _, err := io.ReadFull(r, pad); err != nil {
			return fmt.Errorf("archive entry %s: %w", path, err)
		}
		for _, b := range pad {
			if b != 0 {
				return fmt.Errorf("archive entry %s: its padding is not zero", path)
			}
		}
		last = path
	}
}
