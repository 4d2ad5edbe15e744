package frontend

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/stella-ops/exportcenter/ledger"
)

const (
	// maxImportLine has room for a document of ledger.MaxDocument in base64
	// and the names around it.
	maxImportLine = (ledger.MaxDocument+2)/3*4 + maxRecordNames
	// maxRecordNames is room for everything in a record but the document.
	maxRecordNames = 64 << 10
	bufferSize     = 64 << 10
)

// readLines imports the records of an NDJSON body.
func (i *importResponse) readLines(body *patientReader) error {
	lines := newLineReader(body, maxImportLine)
	lines.large = func() error { return i.beginLarge(body) }
	for {
		line, err := lines.next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil && !errors.Is(err, errLongLine):
			return badBody(err)
		}
		before := i.counts
		i.counts.Read++
		if err == nil {
			err = i.takeRecord(line, before)
		} else {
			err = &rejected{reason: err}
		}
		if i.large {
			lines.forget() // what is needed of it, the document has
		}
		if err := i.settle(err); err != nil {
			return err
		}
		if err := i.finishLarge(body); err != nil {
			return err
		}
	}
}

// takeRecord takes the record that a line is. Of a large one the line becomes
// the document.
func (i *importResponse) takeRecord(line []byte, before ledger.Counts) error {
	decode := decodeRecord
	if i.large {
		decode = decodeLargeRecord
	}
	entry, err := decode(line)
	if err != nil {
		return &rejected{entry, err}
	}
	return i.take(entry, before)
}

// errLongLine is the reason of a line that was passed over unread.
var errLongLine = fmt.Errorf("the record is longer than %d bytes; a document may have %d bytes", maxImportLine, ledger.MaxDocument)

// lineReader reads lines of bounded length from a stream of unknown length. A
// line that is too long is passed over and reading goes on behind it.
type lineReader struct {
	in    *bufio.Reader
	limit int
	line  []byte
	count int64
	// large, if set, is asked before a line of more than largeRecord bytes is
	// held. Its error ends the stream.
	large func() error
}

func newLineReader(in io.Reader, limit int) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(in, bufferSize), limit: limit}
}

// next gives the next line that is not empty, without its end, valid until the
// following call. It ends with io.EOF; errLongLine concerns one line only, any
// other error is the end of the stream.
func (r *lineReader) next() ([]byte, error) {
	for {
		line, err := r.read()
		if err == nil && len(line) == 0 {
			continue
		}
		return line, err
	}
}

func (r *lineReader) read() ([]byte, error) {
	r.line = r.line[:0]
	r.count++
	long := false
	for {
		part, err := r.in.ReadSlice('\n')
		if r.large != nil && len(r.line) <= largeRecord && len(r.line)+len(part) > largeRecord {
			if err := r.large(); err != nil {
				return nil, err
			}
			r.reserve()
		}
		if len(r.line)+len(part) > r.limit+len("\r\n") {
			long = true
		}
		if !long {
			r.line = append(r.line, part...)
		}
		switch {
		case err == nil, errors.Is(err, io.EOF) && (long || len(r.line) > 0):
			return r.whole(long)
		case errors.Is(err, bufio.ErrBufferFull):
		default:
			return nil, err
		}
	}
}

// reserve makes room for the longest line at once: growing step by step would
// hold it twice. Room that no byte touches costs no memory.
func (r *lineReader) reserve() {
	line := make([]byte, len(r.line), r.limit+bufferSize)
	copy(line, r.line)
	r.line = line
}

// forget gives the memory of the last line back.
func (r *lineReader) forget() { r.line = nil }

func (r *lineReader) whole(long bool) ([]byte, error) {
	line := bytes.TrimRight(r.line, "\r\n")
	if long || len(line) > r.limit {
		r.forget() // do not keep the memory of a hostile line
		return nil, errLongLine
	}
	return line, nil
}
