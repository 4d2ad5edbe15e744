package frontend

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
)

// counted is a blob that counts what is read of it, and that can break.
type counted struct {
	content []byte
	read    *atomic.Int64
	broken  *atomic.Int64 // nothing can be read from there on, 0 = everything
}

var errBroken = errors.New("the disk is broken")

func (c counted) ReadAt(p []byte, off int64) (int, error) {
	content := c.content
	if at := c.broken.Load(); at > 0 {
		content = content[:at]
	}
	n, err := bytes.NewReader(content).ReadAt(p, off)
	if err != nil && len(content) < len(c.content) {
		err = errBroken
	}
	c.read.Add(int64(n))
	return n, err
}

func (counted) Close() error { return nil }

// sharedScene is an archive of one blob and those who read it.
type sharedScene struct {
	sharing *sharing
	table   *bundle.Table
	archive []byte
	blob    counted
}

func newSharedScene(t *testing.T, size int) *sharedScene {
	t.Helper()
	content := make([]byte, size)
	chance := rand.New(rand.NewPCG(1, 2))
	for i := range content {
		content[i] = byte(chance.Uint32())
	}
	s := &sharedScene{sharing: newSharing(), blob: counted{content, new(atomic.Int64), new(atomic.Int64)}}
	var err error
	s.table, err = bundle.NewTable([]bundle.Member{{Path: "data/a", Size: int64(size), Digest: bundle.DigestOf(content)}})
	require.NoError(t, err)
	s.archive, err = io.ReadAll(s.view())
	require.NoError(t, err)
	s.blob.read.Store(0)
	return s
}

func (s *sharedScene) view() *bundle.View {
	return s.table.View(func(bundle.Member) (bundle.Source, error) { return s.blob, nil })
}

func (s *sharedScene) join(run string) *sharedContent {
	return s.sharing.join(archiveName{tenant: "acme", run: run}, s.view())
}

// What one has read, those who come behind it while it reads copy from memory; who
// comes when nobody reads meets the disk.
func TestReadersShareWhatOneHasRead(t *testing.T) {
	s := newSharedScene(t, 3<<20)
	readers := []*sharedContent{s.join("1"), s.join("1"), s.join("1"), s.join("1")}
	for _, r := range readers {
		all, err := io.ReadAll(r)
		require.NoError(t, err)
		require.True(t, bytes.Equal(s.archive, all))
	}
	require.EqualValues(t, 3<<20, s.blob.read.Load())
	for _, r := range readers {
		require.NoError(t, r.Close())
		require.NoError(t, r.Close(), "twice is once")
	}
	late := s.join("1")
	_, err := io.ReadAll(late)
	require.NoError(t, err)
	require.EqualValues(t, 6<<20, s.blob.read.Load())
	require.Equal(t, 1, len(s.sharing.archives))
	require.NoError(t, late.Close())
	require.Empty(t, s.sharing.archives)
	require.Zero(t, s.sharing.windows)
}

// Readers of an archive larger than the window, each at a pace and with ranges of its
// own, get the bytes that are there.
func TestReadersAtDifferentPaces(t *testing.T) {
	s := newSharedScene(t, windowChunks*sharedChunk+5<<20)
	var all sync.WaitGroup
	for n := range 8 {
		all.Go(func() {
			r := s.join("1")
			defer r.Close() //nolint:errcheck // a test's
			chance := rand.New(rand.NewPCG(3, uint64(n)))
			p := make([]byte, 1<<20)
			for range 200 {
				at := chance.Int64N(int64(len(s.archive)))
				if _, err := r.Seek(at, io.SeekStart); err != nil {
					t.Error(err)
					return
				}
				piece := p[:min(1+chance.IntN(len(p)), len(s.archive)-int(at))]
				if _, err := io.ReadFull(r, piece); err != nil || !bytes.Equal(piece, s.archive[at:at+int64(len(piece))]) {
					t.Errorf("%d bytes at %d are others: %v", len(piece), at, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// Two archives are never mixed, and when there are as many as have windows, the next
// is read by each reader alone.
func TestArchivesShareNothing(t *testing.T) {
	s, other := newSharedScene(t, 1<<20), newSharedScene(t, 1<<20)
	other.sharing = s.sharing
	other.archive[700] ^= 1 // as if its blob were another
	other.blob.content[700-bundle.BlockSize] ^= 1
	for run := range maxWindows {
		s.join(string(rune('a' + run)))
		s.join(string(rune('a' + run)))
	}
	require.Equal(t, maxWindows, s.sharing.windows)
	first, second := other.join("z"), other.join("z")
	for _, r := range []*sharedContent{first, second} {
		all, err := io.ReadAll(r)
		require.NoError(t, err)
		require.True(t, bytes.Equal(other.archive, all))
	}
	require.EqualValues(t, 2<<20, other.blob.read.Load())
	require.Equal(t, maxWindows, s.sharing.windows)
}

// What cannot be read breaks every reader where it does so for one who reads alone,
// behind all bytes before it, and can be read again when it is there again.
func TestReadersOfWhatCannotBeRead(t *testing.T) {
	s := newSharedScene(t, 1<<20)
	s.blob.broken.Store(500_000)
	alone := s.join("1")
	before, err := io.ReadAll(alone)
	require.ErrorIs(t, err, errBroken)
	second := s.join("1")
	got, err := io.ReadAll(second)
	require.ErrorIs(t, err, errBroken)
	require.Equal(t, len(before), len(got))
	require.True(t, bytes.Equal(s.archive[:len(got)], got))
	s.blob.broken.Store(0)
	rest, err := io.ReadAll(second)
	require.NoError(t, err)
	require.True(t, bytes.Equal(s.archive[len(got):], rest))
}

// openly is a blob that tells whether a place of the window is free while it is read.
type openly struct {
	counted
	place  *place
	locked *atomic.Int64
}

func (o openly) ReadAt(p []byte, off int64) (int, error) {
	if !o.place.mu.TryLock() {
		o.locked.Add(1)
	} else {
		o.place.mu.Unlock()
	}
	return o.counted.ReadAt(p, off)
}

// A chunk that one could not read the others read alone, not one after the other, and
// each gets the error of its own reading.
func TestReadersOfWhatCannotBeReadDoNotQueue(t *testing.T) {
	s := newSharedScene(t, 1<<20)
	s.blob.broken.Store(500_000)
	readers := []*sharedContent{s.join("1"), s.join("1")}
	chunk := (500_000 + bundle.BlockSize) / sharedChunk
	locked := new(atomic.Int64)
	for _, r := range append(readers, s.join("1"), s.join("1")) {
		here := &s.sharing.windowOf(r.archive)[chunk]
		r.view = s.table.View(func(bundle.Member) (bundle.Source, error) { return openly{s.blob, here, locked}, nil })
		_, err := r.Seek(int64(chunk*sharedChunk), io.SeekStart)
		require.NoError(t, err)
		_, err = io.ReadAll(r)
		require.ErrorIs(t, err, errBroken)
	}
	require.EqualValues(t, 1, locked.Load(), "the first one alone")
	for _, r := range readers {
		require.NoError(t, r.Close())
	}
}

// That a reader was interrupted says nothing about the chunk: the next one shares it.
func TestAnInterruptedReaderSpoilsNothing(t *testing.T) {
	s := newSharedScene(t, 1<<20)
	first, second := s.join("1"), s.join("1")
	first.view = s.table.View(func(bundle.Member) (bundle.Source, error) { return nil, context.Canceled })
	_, err := io.ReadAll(first)
	require.ErrorIs(t, err, context.Canceled)
	for _, r := range []*sharedContent{second, s.join("1")} {
		all, err := io.ReadAll(r)
		require.NoError(t, err)
		require.True(t, bytes.Equal(s.archive, all))
	}
	require.EqualValues(t, 1<<20, s.blob.read.Load(), "read once")
}
