package frontend

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"

	"github.com/stella-ops/exportcenter/bundle"
)

const (
	// sharedChunk is how many bytes of an archive one reads for all.
	sharedChunk = 64 << 10
	// windowChunks is how far, in chunks, those who read an archive may be apart and
	// still share. Readers that keep step differ by what waits in their connections,
	// some megabytes.
	windowChunks = 256
	// maxWindows is how many archives are shared at a time, 16 MiB each; of more, each
	// reader reads alone.
	maxWindows = 2
)

// sharing lets those who download an archive at the same time read it once: one of
// them reads a chunk, which compares it with its digest, the others copy it from
// memory. Nothing is kept behind the last of them, so whoever comes later meets what
// is on disk then.
type sharing struct {
	mu       sync.Mutex
	archives map[archiveName]*sharedArchive
	windows  int // in use
	spare    sync.Pool
}

type archiveName struct {
	tenant, run string
	digest      bundle.Digest
}

// sharedArchive are those who read one archive.
type sharedArchive struct {
	name    archiveName
	readers int
	window  *window // nil until there is a second reader
}

func newSharing() *sharing {
	return &sharing{archives: map[archiveName]*sharedArchive{}, spare: sync.Pool{New: func() any { return new(window) }}}
}

// join gives the archive behind view to one more reader, who closes it.
func (s *sharing) join(name archiveName, view *bundle.View) *sharedContent {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, ok := s.archives[name]
	if !ok {
		a = &sharedArchive{name: name}
		s.archives[name] = a
	}
	a.readers++
	if a.readers > 1 && a.window == nil && s.windows < maxWindows {
		s.windows++
		a.window = s.spare.Get().(*window)
	}
	return &sharedContent{sharing: s, archive: a, view: view}
}

// leave takes a reader out.
func (s *sharing) leave(a *sharedArchive) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.readers--; a.readers > 0 {
		return
	}
	delete(s.archives, a.name)
	if a.window != nil {
		a.window.empty()
		s.spare.Put(a.window)
		s.windows--
	}
}

func (s *sharing) windowOf(a *sharedArchive) *window {
	s.mu.Lock()
	defer s.mu.Unlock()
	return a.window
}

// sharedContent is an archive for one reader. What is not in the window it reads
// from its own view.
type sharedContent struct {
	sharing *sharing
	archive *sharedArchive
	view    *bundle.View
	at      int64
}

// Read implements io.Reader.
func (c *sharedContent) Read(p []byte) (n int, err error) {
	if w := c.sharing.windowOf(c.archive); w != nil && c.at < c.view.Size() {
		n = w.read(p, c.at, c.view)
	}
	if n == 0 { // alone; or it cannot be read, which the view says where it is so
		if _, err = c.view.Seek(c.at, io.SeekStart); err == nil {
			n, err = c.view.Read(p)
		}
	}
	c.at += int64(n)
	return n, err
}

// Seek implements io.Seeker.
func (c *sharedContent) Seek(offset int64, whence int) (at int64, err error) {
	if whence == io.SeekCurrent {
		offset, whence = offset+c.at, io.SeekStart
	}
	if at, err = c.view.Seek(offset, whence); err == nil {
		c.at = at
	}
	return at, err
}

// Close implements io.Closer.
func (c *sharedContent) Close() error {
	if c.archive != nil {
		c.sharing.leave(c.archive)
		c.archive = nil
	}
	return c.view.Close()
}

// window holds the chunks of an archive that were read last, each at the place that
// its number has modulo their count.
type window [windowChunks]place

type place struct {
	mu    sync.RWMutex
	chunk int64 // number of what it holds plus 1, 0 = nothing
	// failed is the same of the chunk that could not be read last: whoever wants it
	// then reads alone, not one after the other under the lock.
	failed int64
	bytes  []byte
}

func (w *window) empty() {
	for i := range w {
		w[i].chunk, w[i].failed = 0, 0
	}
}

// read copies what the chunk at a place of the archive has from there on; 0 if it
// cannot be read.
func (w *window) read(p []byte, at int64, view *bundle.View) int {
	here, chunk := &w[at/sharedChunk%windowChunks], at/sharedChunk+1
	here.mu.RLock()
	if here.chunk == chunk {
		defer here.mu.RUnlock()
		return copy(p, here.bytes[at%sharedChunk:])
	}
	failed := here.failed == chunk
	here.mu.RUnlock()
	if failed {
		return 0
	}
	runtime.Gosched() // whoever finds what he wants goes before who is in front
	here.mu.Lock()
	defer here.mu.Unlock()
	if here.chunk != chunk && (here.failed == chunk || !here.fill(chunk, view)) {
		return 0
	}
	return copy(p, here.bytes[at%sharedChunk:])
}

// fill reads a chunk; the last one of an archive is shorter.
func (h *place) fill(chunk int64, view *bundle.View) bool {
	h.chunk = 0 // until all of it is there
	begin := (chunk - 1) * sharedChunk
	if cap(h.bytes) == 0 {
		h.bytes = make([]byte, sharedChunk)
	}
	h.bytes = h.bytes[:min(sharedChunk, view.Size()-begin)]
	_, err := view.Seek(begin, io.SeekStart)
	if err == nil {
		_, err = io.ReadFull(view, h.bytes)
	}
	if err != nil {
		// That this reader was interrupted says nothing about the chunk.
		if !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
			h.failed = chunk
		}
		return false
	}
	h.chunk = chunk
	return true
}
