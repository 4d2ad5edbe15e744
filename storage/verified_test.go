package storage_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/storage"
)

// disk holds one blob that changes under its reader, as a file can.
type disk struct {
	mu      sync.Mutex
	content []byte
	size    int64 // what it claims to have
	fail    error
	reads   atomic.Int64
	closed  atomic.Int64
}

func newDisk(content []byte) *disk {
	return &disk{content: append([]byte{}, content...), size: int64(len(content))}
}

func (d *disk) Open(context.Context, string, bundle.Digest) (storage.Blob, error) { return d, nil }
func (d *disk) Size() int64                                                       { return d.size }
func (d *disk) Close() error                                                      { d.closed.Add(1); return nil }

func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads.Add(1)
	if d.fail != nil {
		return 0, d.fail
	}
	if off >= int64(len(d.content)) {
		return 0, io.EOF
	}
	n := copy(p, d.content[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (d *disk) change(f func([]byte) []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.content = f(d.content)
}

func noise(n int) []byte {
	source := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	source.Read(b)
	return b
}

const chunk = 64 << 10

var blobSizes = []int{0, 1, 63, 64, 65, chunk - 1, chunk, chunk + 1, 3 * chunk, 3*chunk + 17, 1 << 20}

func openVerified(d *disk, content []byte) (storage.Blob, error) {
	return storage.OpenVerified(context.Background(), d, "demo", bundle.DigestOf(content), int64(len(content)))
}

func TestVerifiedBlobsReadLikeTheirContent(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, size := range blobSizes {
		content := noise(size)
		d := newDisk(content)
		blob, err := openVerified(d, content)
		require.NoError(t, err)
		require.EqualValues(t, size, blob.Size())
		whole, err := io.ReadAll(io.NewSectionReader(blob, 0, int64(size)))
		require.NoError(t, err)
		require.Equal(t, content, whole)
		for range 50 {
			from := random.IntN(size + 1)
			p := make([]byte, random.IntN(size+10))
			n, err := blob.ReadAt(p, int64(from))
			require.Equal(t, content[from:from+n], p[:n])
			require.Equal(t, min(len(p), size-from), n)
			require.Equal(t, n < len(p), errors.Is(err, io.EOF))
		}
		require.NoError(t, blob.Close())
		require.NoError(t, blob.Close())
		require.EqualValues(t, 1, d.closed.Load())
		_, err = blob.ReadAt(make([]byte, 1), 0)
		require.ErrorContains(t, err, "closed")
	}
}

func TestVerifiedBlobsAreReadByManyAtOnce(t *testing.T) {
	content := noise(5*chunk + 100)
	blob, err := openVerified(newDisk(content), content)
	require.NoError(t, err)
	defer blob.Close()
	var readers sync.WaitGroup
	for seed := range uint64(8) {
		readers.Go(func() {
			random := rand.New(rand.NewPCG(seed, 0))
			for range 200 {
				from := random.IntN(len(content))
				p := make([]byte, random.IntN(min(3000, len(content)-from)+1))
				_, err := blob.ReadAt(p, int64(from))
				if err != nil || string(p) != string(content[from:from+len(p)]) {
					t.Errorf("%d bytes at %d: %v", len(p), from, err)
				}
			}
		})
	}
	readers.Wait()
}

// Whatever is wrong before a blob is opened, nothing of it is given.
func TestRottenBlobsAreNotOpened(t *testing.T) {
	for _, size := range blobSizes[1:] {
		content := noise(size)
		for _, at := range []int{0, size / 2, size - 1} {
			d := newDisk(content)
			d.content[at] ^= 1
			_, err := openVerified(d, content)
			require.ErrorIs(t, err, storage.ErrCorrupt, "%d of %d", at, size)
			require.ErrorContains(t, err, bundle.DigestOf(content).String())
			require.EqualValues(t, 1, d.closed.Load())
		}
		d := newDisk(content)
		d.content = d.content[:size-1]
		_, err := openVerified(d, content)
		require.ErrorIs(t, err, storage.ErrCorrupt)
		require.ErrorIs(t, err, bundle.ErrShortBlob)
	}
	content := noise(100)
	d := newDisk(content)
	d.fail = errors.New("input/output error")
	_, err := openVerified(d, content)
	require.ErrorIs(t, err, d.fail)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = storage.OpenVerified(ctx, newDisk(content), "demo", bundle.DigestOf(content), 100)
	require.ErrorIs(t, err, context.Canceled, "nobody waits for the rest")
}

// A change between the comparison and the read is seen wherever it is: a read
// gives right bytes or an error.
func TestBlobsThatChangeWhileTheyAreReadAreSeen(t *testing.T) {
	changes := map[string]func(int) func([]byte) []byte{
		"flipped": func(at int) func([]byte) []byte {
			return func(b []byte) []byte { b[at] ^= 0x80; return b }
		},
		"cut":      func(at int) func([]byte) []byte { return func(b []byte) []byte { return b[:at] } },
		"replaced": func(int) func([]byte) []byte { return func(b []byte) []byte { return make([]byte, len(b)) } },
	}
	for name, change := range changes {
		for _, size := range []int{chunk + 1, 3 * chunk, 3*chunk + 17} {
			content := noise(size)
			for _, at := range []int{0, chunk - 1, chunk, size / 2, size - 1} {
				d := newDisk(content)
				blob, err := openVerified(d, content)
				require.NoError(t, err)
				d.change(change(at))
				broken := 0
				for from := 0; from < size; from += 1000 {
					p := make([]byte, min(1000, size-from))
					n, err := blob.ReadAt(p, int64(from))
					require.Equal(t, content[from:from+n], p[:n], "%s at %d", name, at)
					if err != nil {
						require.ErrorIs(t, err, storage.ErrCorrupt)
						broken++
					}
				}
				if lastInMemory := at >= (size-1)/chunk*chunk; !lastInMemory {
					require.NotZero(t, broken, "%s at %d of %d", name, at, size)
				}
				require.NoError(t, blob.Close())
			}
		}
	}
}

// Small blobs, which most are, are read once.
func TestSmallBlobsAreReadOnce(t *testing.T) {
	content := noise(chunk)
	d := newDisk(content)
	blob, err := openVerified(d, content)
	require.NoError(t, err)
	_, err = io.ReadAll(io.NewSectionReader(blob, 0, chunk))
	require.NoError(t, err)
	require.EqualValues(t, 1, d.reads.Load())
}

// With the checkpoints of before a blob is read once, and no wrong byte of it comes
// out all the same; with those of another blob none at all.
func TestABlobThatWasComparedIsReadOnce(t *testing.T) {
	content := noise(5*64<<10 + 7)
	digest := bundle.DigestOf(content)
	d := newDisk(content)
	open := func(known storage.Checkpoints) (storage.Blob, storage.Checkpoints, int64) {
		t.Helper()
		before := d.reads.Load()
		blob, found, err := storage.OpenCompared(t.Context(), d, "acme", digest, d.size, known)
		require.NoError(t, err)
		return blob, found, d.reads.Load() - before
	}
	first, known, reads := open(nil)
	require.Equal(t, int64(6), reads)
	require.Len(t, known, 6)
	require.NoError(t, first.Close())
	second, again, reads := open(known)
	require.Zero(t, reads, "nothing is read before it is wanted")
	require.Equal(t, known, again)
	got, err := io.ReadAll(io.NewSectionReader(second, 0, d.size))
	require.NoError(t, err)
	require.Equal(t, content, got)

	for chunk := range 6 {
		third, _, _ := open(known)
		at := chunk * 64 << 10
		d.change(func(b []byte) []byte { b[at] ^= 1; return b })
		got, err := io.ReadAll(io.NewSectionReader(third, 0, d.size))
		require.ErrorIs(t, err, storage.ErrCorrupt, "chunk %d", chunk)
		require.Equal(t, content[:at], got, "what is before it is right")
		d.change(func(b []byte) []byte { b[at] ^= 1; return b })
	}

	other := noise(6 * 64 << 10)
	other[0] ^= 1
	_, foreign, err := storage.OpenCompared(t.Context(), newDisk(other), "acme", bundle.DigestOf(other), int64(len(other)), nil)
	require.NoError(t, err)
	fourth, _, _ := open(foreign)
	_, err = fourth.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, storage.ErrCorrupt)
	_, _, reads = open(known[:3])
	require.Equal(t, int64(6), reads, "too few checkpoints are none")
}
