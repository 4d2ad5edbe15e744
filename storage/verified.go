package storage

import (
	"context"
	"crypto/sha256"
	"encoding"
	"errors"
	"fmt"
	"hash"
	"io"
	"sync"

	"github.com/stella-ops/exportcenter/bundle"
)

// verifiedChunk is how many bytes of a verified blob are in memory at a time. It
// is a multiple of SHA-256's block, so that a state between two chunks holds no
// bytes of its own.
const verifiedChunk = 64 << 10

// OpenVerified opens a blob of which no wrong byte can be read, whatever happens
// to it on disk. All of it is compared with its digest before anything is given;
// and since a file may change after that, in place or as a whole, each chunk that
// is given is read once into memory and must lead the hash from the state it had
// before the chunk to the state it had after it. Bytes that do so and differ would
// be a collision of SHA-256.
//
// What is wrong is ErrCorrupt with the digest. Memory is 64 KiB and 108 bytes per
// 64 KiB of the blob; a blob up to 64 KiB is read once, a larger one twice.
// ReadAt may be called by many at once; one reads at a time.
func OpenVerified(ctx context.Context, from Opener, tenant string, digest bundle.Digest, size int64) (Blob, error) {
	blob, _, err := OpenCompared(ctx, from, tenant, digest, size, nil)
	return blob, err
}

// Checkpoints are the states of the hash before each chunk of a blob, as they were
// when all of it had its digest. Nobody changes them.
type Checkpoints [][]byte

// OpenCompared is OpenVerified for a blob that was compared before: with the
// checkpoints of then, it is not read as a whole again, and each chunk is compared
// before it is given. A blob that has changed since is noticed at the chunk that has,
// behind the chunks before it, which have not. nil compares all of it; the checkpoints
// are given for the next time.
func OpenCompared(ctx context.Context, from Opener, tenant string, digest bundle.Digest, size int64, known Checkpoints) (Blob, Checkpoints, error) {
	blob, err := OpenExact(ctx, from, tenant, digest, size)
	if err != nil {
		return nil, nil, err
	}
	v := &verified{blob: blob, digest: digest, size: size, hash: sha256.New(), chunk: chunks.Get().(*[verifiedChunk]byte), held: -1}
	if len(known) > 0 && int64(len(known)) == (size+verifiedChunk-1)/verifiedChunk {
		v.states = known
		return v, known, nil
	}
	if err := v.compare(ctx); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("blob %s: %w", digest, err), v.Close())
	}
	return v, v.states, nil
}

// chunks are buffers of blobs that were closed.
var chunks = sync.Pool{New: func() any { return new([verifiedChunk]byte) }}

// verified is a blob whose every byte has been compared with its digest.
type verified struct {
	digest bundle.Digest
	size   int64
	states Checkpoints // the hash's state before each chunk; the state after the last is the digest

	mu    sync.Mutex
	blob  Blob
	hash  hash.Hash
	chunk *[verifiedChunk]byte // nil once closed
	held  int64                // number of the chunk in it, -1 = none
	count int                  // its bytes
}

// compare hashes the whole blob and keeps the states between its chunks.
func (v *verified) compare(ctx context.Context) error {
	v.states = make([][]byte, 0, (v.size+verifiedChunk-1)/verifiedChunk)
	for i := int64(0); i*verifiedChunk < v.size; i++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		state, err := v.state()
		if err != nil {
			return err
		}
		v.states = append(v.states, state)
		if err := v.fill(i); err != nil {
			return err
		}
		v.hash.Write(v.chunk[:v.count])
	}
	if !v.ended() {
		return fmt.Errorf("%w: its bytes have another digest", ErrCorrupt)
	}
	return nil
}

func (v *verified) state() ([]byte, error) {
	return v.hash.(encoding.BinaryMarshaler).MarshalBinary()
}

func (v *verified) ended() bool { return bundle.Digest(v.hash.Sum(nil)) == v.digest }

// fill reads chunk i, checking nothing.
func (v *verified) fill(i int64) error {
	at := i * verifiedChunk
	v.held, v.count = -1, int(min(verifiedChunk, v.size-at))
	n, err := v.blob.ReadAt(v.chunk[:v.count], at)
	switch {
	case n == v.count:
		v.held = i
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return fmt.Errorf("%w: %w: %d of %d bytes", ErrCorrupt, bundle.ErrShortBlob, at+int64(n), v.size)
	}
	return err
}

// take puts chunk i into memory unless it is there, as it was when the whole blob
// had its digest.
func (v *verified) take(i int64) error {
	if v.held == i {
		return nil
	}
	if err := v.fill(i); err != nil {
		return err
	}
	held := v.held
	v.held = -1 // until it is known to be right
	if err := v.hash.(encoding.BinaryUnmarshaler).UnmarshalBinary(v.states[i]); err != nil {
		return err
	}
	v.hash.Write(v.chunk[:v.count])
	same := v.ended()
	if next := int(i) + 1; next < len(v.states) {
		state, err := v.state()
		if err != nil {
			return err
		}
		same = string(state) == string(v.states[next])
	}
	if !same {
		return fmt.Errorf("%w: bytes %d to %d changed while they were read", ErrCorrupt, i*verifiedChunk, i*verifiedChunk+int64(v.count))
	}
	v.held = held
	return nil
}

// ReadAt implements io.ReaderAt.
func (v *verified) ReadAt(p []byte, off int64) (int, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.chunk == nil || off < 0 {
		return 0, fmt.Errorf("blob %s: read at %d: closed, or no such place", v.digest, off)
	}
	n := 0
	for n < len(p) {
		at := off + int64(n)
		if at >= v.size {
			return n, io.EOF
		}
		if err := v.take(at / verifiedChunk); err != nil {
			return n, fmt.Errorf("blob %s: %w", v.digest, err)
		}
		n += copy(p[n:], v.chunk[at%verifiedChunk:v.count])
	}
	return n, nil
}

// Size implements Blob.
func (v *verified) Size() int64 { return v.size }

// Close implements io.Closer.
func (v *verified) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.chunk == nil {
		return nil
	}
	chunks.Put(v.chunk)
	v.chunk = nil
	return v.blob.Close()
}
