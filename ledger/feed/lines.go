package feed

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/stella-ops/exportcenter/ledger"
)

// readDocument reads a file that is one document.
func (r Reader) readDocument(ctx context.Context, f file, stream string, src fs.File) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if f.size > ledger.MaxDocument {
		return r.reject(f.shown, "", fmt.Sprintf("has %d bytes, a document may have %d", f.size, ledger.MaxDocument))
	}
	raw, err := readBounded(src, min(f.size, 1<<20))
	if err != nil {
		return r.reject(f.shown, "", cause(err))
	}
	return r.entry(f, stream, "", raw)
}

// maxWindow bounds what a zstd frame may ask the decoder to remember. It is
// the limit of the zstd program without --long.
const maxWindow = 128 << 20

func newZstd(src io.Reader) (*zstd.Decoder, error) {
	return zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow))
}

func newGzip(src io.Reader) (*gzip.Reader, error) { return gzip.NewReader(src) }

// readCompressed reads a zstd file of lines.
func (r Reader) readCompressed(ctx context.Context, f file, stream string, src fs.File) error {
	unpacked, done, err := unpack("zst", src)
	if err != nil {
		return r.reject(f.shown, "", cause(err))
	}
	defer done()
	return r.lines(ctx, f, stream, "", unpacked)
}

func (r Reader) readLines(ctx context.Context, f file, stream string, src fs.File) error {
	return r.lines(ctx, f, stream, "", src)
}

// lines reads one document per line; lines of white space are none. within is
// the beginning of the names of entries.
func (r Reader) lines(ctx context.Context, f file, stream, within string, src io.Reader) error {
	in := bufio.NewReaderSize(src, 64<<10)
	for number := 1; ; number++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		line, tooLong, readErr := nextLine(in, r.Large)
		if readErr != nil && !errors.Is(readErr, io.EOF) {
			return r.brokenLine(f, lineName(within, number), readErr)
		}
		var err error
		switch {
		case tooLong:
			err = r.reject(f.shown, lineName(within, number), fmt.Sprintf("longer than %d bytes", ledger.MaxDocument))
		case len(bytes.TrimSpace(line)) > 0:
			err = r.entry(f, stream, lineName(within, number), line)
		}
		if err != nil {
			return err
		}
		if readErr != nil {
			return nil
		}
	}
}

// brokenLine rejects the rest of a file, unless it is the reading that ended.
func (r Reader) brokenLine(f file, name string, err error) error {
	var refused *refusedError
	if errors.As(err, &refused) {
		return refused.err
	}
	return r.reject(f.shown, name+" and after", cause(err))
}

// lineName names a line; lines of white space are not worth the text.
func lineName(within string, number int) string { return within + "line " + strconv.Itoa(number) }

// nextLine reads a line without its end (LF or CR LF) into memory of its own.
func nextLine(in *bufio.Reader, large func() error) (line []byte, tooLong bool, err error) {
	line, tooLong, err = rawLine(in, false, large)
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	return line, tooLong || len(line) > ledger.MaxDocument, err
}

// refusedError is an error of Reader.Large, which is none of the line.
type refusedError struct{ err error }

func (r *refusedError) Error() string { return r.err.Error() }
func (r *refusedError) Unwrap() error { return r.err }

// rawLine reads a line with its end. Of a line that is too long it keeps
// nothing and reads past it; of a line of white space only if blank says so.
// large, if it is not nil, is asked before more than LargeDocument are held.
func rawLine(in *bufio.Reader, blank bool, large func() error) (line []byte, tooLong bool, err error) {
	for {
		var part []byte
		part, err = in.ReadSlice('\n')
		if err == nil && line == nil && !blank && len(bytes.TrimSpace(part)) == 0 {
			return nil, tooLong, nil
		}
		if large != nil && !tooLong && len(line) <= LargeDocument && len(line)+len(part) > LargeDocument {
			if err := large(); err != nil {
				return nil, false, &refusedError{err}
			}
			line = slices.Grow(line, ledger.MaxDocument+2*len(part)-len(line))
		}
		if !tooLong {
			line = append(line, part...)
		}
		if len(line) > ledger.MaxDocument+2 {
			line, tooLong = nil, true
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, tooLong, err
		}
	}
}

func (r Reader) entry(f file, stream, name string, raw []byte) error {
	return r.Entry(ledger.Entry{Source: r.Source, Stream: stream, File: f.shown, Name: name, Bytes: raw})
}
