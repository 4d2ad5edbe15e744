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
	maxImportLine = (ledger.MaxDocument+2)/3*4 + 64<<10
)

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
	return &lineReader{in: bufio.NewReaderSize(in, 64<<10), limit: limit}
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
