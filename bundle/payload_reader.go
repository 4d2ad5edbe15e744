package bundle

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// MaxWindow is the largest zstd window a payload file may ask for. It bounds
// what a reader must remember.
const MaxWindow = 8 << 20

var decoders = sync.Pool{New: func() any {
	decoder, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(MaxWindow),
	)
	if err != nil {
		return fmt.Errorf("zstd decoder: %w", err)
	}
	return decoder
}}

// OpenPayload reads the content of a payload file: exactly one zstd frame with
// a checksum, no dictionary, a window of at most MaxWindow, and nothing before
// or after it. Whatever else r holds is an error before its content is
// believed: io.EOF comes only after the checksum matched and r has ended.
// Memory stays within about 10 MiB; how much comes out is the caller's to bound.
func OpenPayload(r io.Reader) (io.ReadCloser, error) {
	pooled := decoders.Get()
	decoder, ok := pooled.(*zstd.Decoder)
	if !ok {
		return nil, pooled.(error)
	}
	p := &payloadReader{decoder: decoder, frame: newFrameGuard(r)}
	if err := decoder.Reset(p.frame); err != nil {
		return nil, fmt.Errorf("open payload: %w", err)
	}
	return p, nil
}

type payloadReader struct {
	decoder *zstd.Decoder
	frame   *frameGuard
	err     error
}

func (p *payloadReader) Read(b []byte) (int, error) {
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.decoder.Read(b)
	if err == nil {
		return n, nil
	}
	p.err = err
	if errors.Is(err, io.EOF) {
		if err := p.frame.finish(); err != nil {
			p.err = fmt.Errorf("payload: %w", err)
		}
	} else if p.frame.err != nil {
		p.err = fmt.Errorf("payload: %w", p.frame.err)
	} else {
		p.err = fmt.Errorf("payload: %w", err)
	}
	return n, p.err
}

// Close gives the decoder back. It does not close the reader underneath.
func (p *payloadReader) Close() error {
	if p.decoder == nil {
		return nil
	}
	err := p.decoder.Reset(nil)
	if err == nil {
		decoders.Put(p.decoder)
	}
	p.decoder, p.err = nil, errClosed
	return err
}
