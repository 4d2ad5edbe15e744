package delta

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// Open opens file number i of a list: its lines, uncompressed; io.EOF behind the last.
type Open func(i int) (io.ReadCloser, error)

// MaxLine bounds a line, in bytes: a document of the greatest size, whose canonical
// form may be longer than its original, and what a mirror tells about it.
const MaxLine = 512 << 20

// Files reads the lines of several files as one list. A line stays as it is until
// the next one is read. No more than the longest line that may be there is held in
// memory: the files may come from a disk that nobody has verified.
type Files struct {
	open    Open
	next    int
	name    func(i int) string
	file    io.ReadCloser
	lines   *bufio.Reader
	longest int
	buffer  []byte
	number  int64 // of the line in its file
}

// NewFiles makes the list of the lines of the files that open gives, the first being
// number 0, until it gives io.EOF. name is for messages.
func NewFiles(name func(i int) string, open Open) *Files {
	return &Files{open: open, name: name, lines: bufio.NewReaderSize(nil, 64<<10), longest: MaxLine}
}

// Next gives the next line without its line feed, io.EOF behind the last one.
func (f *Files) Next() ([]byte, error) {
	for {
		if f.file == nil {
			file, err := f.open(f.next)
			if err != nil {
				return nil, err
			}
			f.file, f.number = file, 0
			f.lines.Reset(file)
			f.next++
		}
		line, err := f.line()
		if err != io.EOF {
			return line, err
		}
		if err := f.Close(); err != nil {
			return nil, fmt.Errorf("%s: %w", f.name(f.next-1), err)
		}
	}
}

// line reads a line of the open file.
func (f *Files) line() ([]byte, error) {
	f.buffer = f.buffer[:0]
	for {
		part, err := f.lines.ReadSlice('\n')
		if len(f.buffer)+len(part) > f.longest+1 { // with its line feed
			return nil, fmt.Errorf("%s: line %d: %w: it has more than %d bytes", f.name(f.next-1), f.number+1, ErrLine, f.longest)
		}
		f.buffer = append(f.buffer, part...)
		switch {
		case err == nil:
			f.number++
			return bytes.TrimSuffix(f.buffer, []byte{'\n'}), nil
		case errors.Is(err, bufio.ErrBufferFull):
		case err == io.EOF && len(f.buffer) == 0:
			return nil, io.EOF
		case err == io.EOF:
			return nil, fmt.Errorf("%s: line %d has no line feed", f.name(f.next-1), f.number+1)
		default:
			return nil, fmt.Errorf("read %s: %w", f.name(f.next-1), err)
		}
	}
}

// Where names the file and line that Next gave last.
func (f *Files) Where() string { return fmt.Sprintf("%s, line %d", f.name(f.next-1), f.number) }

// Close closes the file that is open.
func (f *Files) Close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	f.lines.Reset(nil)
	return err
}

// Documents reads a list of lines as documents, which must be in the order of
// their keys.
type Documents struct {
	*Files
	line Line
	last string // place of the last line that was asked for it
}

// NewDocuments reads the documents of files.
func NewDocuments(files *Files) *Documents { return &Documents{Files: files} }

// Next gives the next document, which stays until the one after it; nil behind the last.
func (d *Documents) Next() (*Line, error) {
	text, err := d.Files.Next()
	if err == io.EOF {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	d.line = Line{Text: text}
	return &d.line, nil
}

// Place is List's: it reads the line's key.
func (d *Documents) Place() (string, error) {
	if d.line.place != "" {
		return d.line.place, nil
	}
	key, err := d.line.Key()
	if err != nil {
		return "", fmt.Errorf("%s: %w", d.Where(), err)
	}
	place := key.String()
	if place <= d.last {
		return "", fmt.Errorf("%s: %w: %q does not come after %q", d.Where(), ErrLine, place, d.last)
	}
	d.line.place, d.last = place, place
	return place, nil
}
