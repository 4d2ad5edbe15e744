package client

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/stella-ops/exportcenter/ledger"
)

// ImportNDJSON imports documents that come one per line. It reads from as it sends:
// memory is bounded by the requests under way and the longest line, whatever the
// length of the stream. Empty lines are passed over. about gives source, stream and
// file of all of them; a rejection names the line.
//
// from is not used any more when ImportNDJSON returns. Sending everything again is
// always safe.
func (c *Client) ImportNDJSON(ctx context.Context, from io.Reader, about ImportRecord, options Import) (Settled, error) {
	return c.ImportDocuments(ctx, ndjson(from, about), options)
}

// ndjson gives each line as a record whose bytes last until the next one.
func ndjson(from io.Reader, about ImportRecord) iter.Seq2[ImportRecord, error] {
	return func(yield func(ImportRecord, error) bool) {
		lines := bufio.NewReaderSize(from, 64<<10)
		var line []byte
		for number := 1; ; number++ {
			var err error
			if line, err = readLine(lines, line[:0]); err != nil && !errors.Is(err, io.EOF) {
				yield(ImportRecord{}, fmt.Errorf("line %d: %w", number, err))
				return
			}
			if document := bytes.TrimSpace(line); len(document) > 0 {
				record := about
				record.Entry, record.Bytes = fmt.Sprintf("line %d", number), document
				if !yield(record, nil) {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
}

// readLine appends the next line to line. io.EOF comes with the last one.
func readLine(from *bufio.Reader, line []byte) ([]byte, error) {
	for {
		part, err := from.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > ledger.MaxDocument+1 {
			return line, fmt.Errorf("has more than the %d bytes of a document", ledger.MaxDocument)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}
