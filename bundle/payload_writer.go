package bundle

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"
)

// How payload files are packed; the manifest says so in its compression field.
// A verifier never needs the encoder, only a byte-identical rebuild does.
const (
	compressionCodec  = "zstd"
	compressionLevel  = "SpeedDefault"
	compressionFrames = "one-per-file,checksum"
	// encoderName must name the version in go.mod; a test compares them.
	encoderName = "github.com/klauspost/compress/zstd@v1.20.3"
)

// EncoderName names the program part that packs payload files.
func EncoderName() string { return encoderName }

// EncoderCompression is the compression field for files a PayloadWriter wrote.
func EncoderCompression() Compression {
	return Compression{
		Codec: compressionCodec, Level: compressionLevel,
		Encoder: encoderName, Frames: compressionFrames,
	}
}

// encoders holds a few idle encoders: each carries about 10 MiB of tables and
// window. They are kept, not pooled: a sync.Pool gives its things to the garbage
// collector, and memory that is taken anew for every other file costs more than
// compressing it.
var encoders = make(chan *zstd.Encoder, 4)

func takeEncoder() (*zstd.Encoder, error) {
	select {
	case encoder := <-encoders:
		return encoder, nil
	default:
	}
	encoder, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedDefault),
		zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(true),
	)
	if err != nil {
		return nil, fmt.Errorf("zstd encoder: %w", err)
	}
	return encoder, nil
}

func keepEncoder(encoder *zstd.Encoder) {
	select {
	case encoders <- encoder:
	default:
	}
}

// PayloadInfo describes a payload file that was written.
type PayloadInfo struct {
	Digest        Digest // of the stored, compressed bytes
	Size          int64
	ContentDigest Digest // of the lines
	ContentSize   int64
	Records       int64
}

// PayloadWriter writes one payload file: lines, each ended by a line feed, in
// exactly one zstd frame with a checksum. The bytes depend on the lines only,
// not on how they were handed over. Without a Close there is no file; a writer
// that is given up may simply be dropped.
type PayloadWriter struct {
	encoder *zstd.Encoder
	stored  *meter
	content hash.Hash
	pending []byte
	info    PayloadInfo
	err     error
}

// pendingBytes is how much is gathered before it is hashed and compressed.
const pendingBytes = 64 << 10

// meter counts and hashes what passes to w.
type meter struct {
	w    io.Writer
	hash hash.Hash
	n    int64
}

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.hash.Write(p[:n])
	m.n += int64(n)
	return n, err
}

// NewPayloadWriter begins a payload file in w.
func NewPayloadWriter(w io.Writer) (*PayloadWriter, error) {
	encoder, err := takeEncoder()
	if err != nil {
		return nil, err
	}
	stored := &meter{w: w, hash: sha256.New()}
	encoder.Reset(stored)
	return &PayloadWriter{
		encoder: encoder, stored: stored, content: sha256.New(),
		pending: make([]byte, 0, pendingBytes),
	}, nil
}

var errClosed = errors.New("payload file is closed")

// WriteLine writes the parts, joined, and a line feed. A line is one record:
// it may not be empty or hold a line feed.
func (p *PayloadWriter) WriteLine(parts ...[]byte) error {
	if p.err != nil {
		return p.err
	}
	length := 0
	for _, part := range parts {
		if at := bytes.IndexByte(part, '\n'); at >= 0 {
			return fmt.Errorf("payload line %d has a line feed at byte %d", p.info.Records+1, length+at)
		}
		length += len(part)
	}
	if length == 0 {
		return fmt.Errorf("payload line %d is empty", p.info.Records+1)
	}
	for _, part := range parts {
		p.write(part)
	}
	p.write(lineFeed)
	p.info.Records++
	return p.err
}

var lineFeed = []byte{'\n'}

func (p *PayloadWriter) write(b []byte) {
	p.info.ContentSize += int64(len(b))
	if len(p.pending)+len(b) > pendingBytes {
		p.flush(p.pending)
		p.pending = p.pending[:0]
	}
	if len(b) > pendingBytes {
		p.flush(b)
		return
	}
	p.pending = append(p.pending, b...)
}

func (p *PayloadWriter) flush(b []byte) {
	if p.err != nil || len(b) == 0 {
		return
	}
	p.content.Write(b)
	if _, err := p.encoder.Write(b); err != nil {
		p.err = fmt.Errorf("write payload: %w", err)
	}
}

// Close ends the frame and describes the file. It does not close the writer
// underneath. A file without records is an error: there is no such shard.
func (p *PayloadWriter) Close() (PayloadInfo, error) {
	if p.err == nil && p.info.Records == 0 {
		p.err = errors.New("payload file without records")
	}
	p.flush(p.pending)
	if p.err != nil {
		return PayloadInfo{}, p.err
	}
	if err := p.encoder.Close(); err != nil {
		p.err = fmt.Errorf("end payload: %w", err)
		return PayloadInfo{}, p.err
	}
	p.encoder.Reset(nil)
	keepEncoder(p.encoder)
	p.encoder, p.err = nil, errClosed
	p.stored.hash.Sum(p.info.Digest[:0])
	p.content.Sum(p.info.ContentDigest[:0])
	p.info.Size = p.stored.n
	return p.info, nil
}
