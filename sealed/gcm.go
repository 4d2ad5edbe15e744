package sealed

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

// DataKeySize is the length of a run's data key.
const DataKeySize = 32

// infoPrefix names the format in every key that is derived.
const infoPrefix = "stella-export/v1\n"

// fileAEAD gives the AEAD of one file.
func fileAEAD(dataKey, nonce []byte, aad string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, dataKey, nonce, infoPrefix+aad, 32)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// chunkNonce is the nonce of a chunk: its number, and whether it is the last.
func chunkNonce(number int64, last bool) []byte {
	nonce := make([]byte, NonceSize)
	binary.BigEndian.PutUint64(nonce[3:11], uint64(number))
	if last {
		nonce[11] = 1
	}
	return nonce
}

// gcmWriter encrypts a file as it is written. Close ends it.
type gcmWriter struct {
	aead   cipher.AEAD
	aad    []byte
	dst    io.Writer
	number int64
	buf    []byte // plaintext not yet written, at most ChunkSize
	err    error
}

var errClosed = errors.New("the encrypted file is closed")

// newGCMWriter writes the file's nonce and gives the writer of its plaintext.
func newGCMWriter(dst io.Writer, dataKey, nonce []byte, aad string) (*gcmWriter, error) {
	aead, err := fileAEAD(dataKey, nonce, aad)
	if err != nil {
		return nil, err
	}
	if _, err := dst.Write(nonce); err != nil {
		return nil, err
	}
	return &gcmWriter{aead: aead, aad: []byte(aad), dst: dst, buf: make([]byte, 0, ChunkSize+tagSize)}, nil
}

// Write takes plaintext. A full chunk is kept back until more comes: it may be the
// last, and the last is marked.
func (w *gcmWriter) Write(p []byte) (n int, err error) {
	for len(p) > 0 && w.err == nil {
		if len(w.buf) == ChunkSize {
			w.flush(false)
			continue
		}
		taken := min(len(p), ChunkSize-len(w.buf))
		w.buf = append(w.buf, p[:taken]...)
		p, n = p[taken:], n+taken
	}
	return n, w.err
}

// Close writes the last chunk, which is empty only for an empty file.
func (w *gcmWriter) Close() error {
	if w.err != nil {
		return w.err
	}
	if w.flush(true); w.err != nil {
		return w.err
	}
	w.err = errClosed
	return nil
}

func (w *gcmWriter) flush(last bool) {
	sealed := w.aead.Seal(w.buf[:0], chunkNonce(w.number, last), w.buf, w.aad)
	_, w.err = w.dst.Write(sealed)
	w.number, w.buf = w.number+1, w.buf[:0]
}

// gcmReader opens an encrypted file at any byte. It may be used by many at once.
type gcmReader struct {
	aead   cipher.AEAD
	aad    []byte
	src    io.ReaderAt // of the chunks, behind the nonce
	size   int64       // of the plaintext
	chunks int64
	latest atomic.Pointer[chunk]
}

type chunk struct {
	number int64
	plain  []byte
}

// newGCMReader opens the last chunk before it says how long the plaintext is: so the
// length is authenticated.
func newGCMReader(src io.ReaderAt, size int64, dataKey []byte, aad string) (*gcmReader, int64, error) {
	plain, err := ModeGCM.PlainSize(0, size)
	if err != nil {
		return nil, 0, err
	}
	nonce := make([]byte, NonceSize)
	if err := readFull(src, nonce, 0); err != nil {
		return nil, 0, err
	}
	aead, err := fileAEAD(dataKey, nonce, aad)
	if err != nil {
		return nil, 0, err
	}
	r := &gcmReader{aead: aead, aad: []byte(aad), src: src, size: plain, chunks: max(1, (plain+ChunkSize-1)/ChunkSize)}
	if _, err := r.chunk(r.chunks - 1); err != nil {
		return nil, 0, err
	}
	return r, plain, nil
}

// chunk gives the plaintext of a chunk, and keeps it for the next read.
func (r *gcmReader) chunk(number int64) ([]byte, error) {
	if kept := r.latest.Load(); kept != nil && kept.number == number {
		return kept.plain, nil
	}
	last := number == r.chunks-1
	length := int64(ChunkSize)
	if last {
		length = r.size - number*ChunkSize
	}
	sealed := make([]byte, length+tagSize)
	if err := readFull(r.src, sealed, NonceSize+number*(ChunkSize+tagSize)); err != nil {
		return nil, err
	}
	plain, err := r.aead.Open(sealed[:0], chunkNonce(number, last), sealed, r.aad)
	if err != nil {
		return nil, fmt.Errorf("chunk %d of %d %w", number+1, r.chunks, ErrTampered)
	}
	r.latest.Store(&chunk{number, plain})
	return plain, nil
}

// ReadAt implements io.ReaderAt.
func (r *gcmReader) ReadAt(p []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: negative offset", off)
	}
	for len(p) > 0 && off < r.size {
		plain, err := r.chunk(off / ChunkSize)
		if err != nil {
			return n, err
		}
		taken := copy(p, plain[off%ChunkSize:])
		p, off, n = p[taken:], off+int64(taken), n+taken
	}
	if len(p) > 0 {
		return n, io.EOF
	}
	return n, nil
}

// readFull fills p from off on; a source that ends before is cut.
func readFull(src io.ReaderAt, p []byte, off int64) error {
	n, err := src.ReadAt(p, off)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return fmt.Errorf("%w: %w", ErrForm, io.ErrUnexpectedEOF)
	}
	return err
}

// keyCheck is what a data key is known by: it tells nothing of the key, and another
// key, run, tenant or list of recipients has another. So a run's recipients cannot be
// given different keys, and none can be added or left out behind the signer's back.
func keyCheck(dataKey []byte, of Context, recipients []string) ([sha256.Size]byte, error) {
	var info bytes.Buffer
	info.WriteString("stella-export/v1/key\n" + of.RunID + "\n" + of.Tenant)
	for _, r := range recipients {
		info.WriteString("\n" + r)
	}
	check, err := hkdf.Key(sha256.New, dataKey, nil, info.String(), sha256.Size)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	return [sha256.Size]byte(check), nil
}
