package frontend_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
)

// shelf is an API over real files, with one bundle in them.
type shelf struct {
	*frontendtest.World
	dir     string
	run     export.Run
	files   []storage.File
	starts  map[string]int // where the bytes of a file begin in the archive
	archive []byte
	client  *http.Client
	token   string
}

// newShelf stores a bundle whose payload files have these sizes.
func newShelf(t testing.TB, sizes ...int) *shelf {
	t.Helper()
	return newShelfWith(t, func(*frontend.Config) {}, sizes...)
}

// newShelfWith is newShelf with another configuration.
func newShelfWith(t testing.TB, change func(*frontend.Config), sizes ...int) *shelf {
	t.Helper()
	s := &shelf{dir: t.TempDir(), starts: map[string]int{}}
	store, err := files.Open(s.dir, clock.Fixed(frontendtest.Start), rand.Reader)
	require.NoError(t, err)
	t.Cleanup(func() { store.Close() })
	s.World = frontendtest.New(t, func(c *frontend.Config) { c.Objects = store }, change)
	put := func(path string, content []byte) {
		staged, err := store.Stage(t.Context(), "acme")
		require.NoError(t, err)
		_, err = staged.Write(content)
		require.NoError(t, err)
		require.NoError(t, staged.Publish(t.Context()))
		digest, size := staged.Digest()
		s.files = append(s.files, storage.File{Path: path, Digest: digest, Size: size})
	}
	put(bundle.ReadmePath, []byte("# An export\n"))
	for i, size := range sizes {
		content := make([]byte, size)
		rand.Read(content)
		put(fmt.Sprintf("data/raw/advisories-%016x.jsonl.zst", i), content)
	}
	put(bundle.ManifestPath, []byte(`{"schema":"test"}`))
	put(bundle.ProvenancePath, []byte(`{"_type":"test"}`))
	put(bundle.SealPath, []byte(`{"payload":""}`))
	s.finish(t, store)
	s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100, DisableCompression: true}}
	t.Cleanup(s.client.CloseIdleConnections)
	s.token = s.Token(t, "acme")
	return s
}

func (s *shelf) finish(t testing.TB, store *files.Store) {
	var members []bundle.Member
	at := 0
	for _, f := range s.files {
		members = append(members, f.Member())
		s.starts[f.Path] = at + bundle.BlockSize
		at += int(bundle.EntrySize(f.Size))
	}
	view, err := bundle.NewView(members, func(m bundle.Member) (bundle.Source, error) {
		return store.Open(context.Background(), "acme", m.Digest)
	})
	require.NoError(t, err)
	s.archive, err = io.ReadAll(view)
	require.NoError(t, err)
	require.NoError(t, view.Close())
	s.run = s.Run("acme", export.StateSucceeded)
	s.run.Result = export.Result{ArchiveDigest: bundle.DigestOf(s.archive).String(), ArchiveBytes: int64(len(s.archive))}
	s.Runs.Put(s.run, s.files)
}

// fileOf is where a file of the bundle is on disk.
func (s *shelf) fileOf(t testing.TB, f storage.File) string {
	t.Helper()
	var found string
	require.NoError(t, filepath.WalkDir(s.dir, func(path string, _ os.DirEntry, err error) error {
		if filepath.Base(path) == f.Digest.Hex() {
			found = path
		}
		return err
	}))
	require.NotEmpty(t, found)
	return found
}

// open begins a download; header pairs follow.
func (s *shelf) open(t testing.TB, what string, headers ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+runsPath+"/"+s.run.ID+"/"+what, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	return s.client.Do(req)
}

// requireNeverGood reads a download of archive[from:to] to its end: what came must
// be right as far as it goes, and either all of it came or the client saw that it
// did not. It reports whether all came.
func (s *shelf) requireNeverGood(t testing.TB, from, to int) bool {
	t.Helper()
	resp, err := s.open(t, "download", "Range", fmt.Sprintf("bytes=%d-%d", from, to-1))
	require.NoError(t, err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if resp.StatusCode == http.StatusInternalServerError {
		require.NoError(t, err)
		require.Equal(t, "application/problem+json", resp.Header.Get("Content-Type"))
		for _, name := range []string{"ETag", "Repr-Digest", "X-Export-Digest", "Content-Range", "Content-Disposition"} {
			require.Empty(t, resp.Header.Get(name), "%s on a problem", name)
		}
		require.Contains(t, string(got), "ERR_EXPORT_INTERNAL")
		return false
	}
	require.Equal(t, http.StatusPartialContent, resp.StatusCode)
	require.True(t, string(s.archive[from:from+len(got)]) == string(got), "wrong bytes in %d to %d", from, to)
	require.Equal(t, len(got) == to-from, err == nil, "%d of %d bytes came, and: %v", len(got), to-from, err)
	return err == nil
}

// ways in which a file on a disk can become another.
var ways = map[string]func(t testing.TB, path string, at int){
	"one bit":   func(t testing.TB, path string, at int) { flipBit(t, path, 8*at) },
	"truncated": func(t testing.TB, path string, at int) { require.NoError(t, os.Truncate(path, int64(at))) },
	"longer": func(t testing.TB, path string, _ int) {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.NoError(t, os.Truncate(path, info.Size()+1))
	},
	"replaced": func(t testing.TB, path string, _ int) {
		info, err := os.Stat(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path+".new", make([]byte, info.Size()), 0o600))
		require.NoError(t, os.Chtimes(path+".new", info.ModTime(), info.ModTime()))
		require.NoError(t, os.Rename(path+".new", path))
	},
	"gone": func(t testing.TB, path string, _ int) { require.NoError(t, os.Remove(path)) },
}

func flipBit(t testing.TB, path string, bit int) {
	t.Helper()
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer file.Close()
	b := make([]byte, 1)
	_, err = file.ReadAt(b, int64(bit/8))
	require.NoError(t, err)
	b[0] ^= 1 << (bit % 8)
	_, err = file.WriteAt(b, int64(bit/8))
	require.NoError(t, err)
}

// A file that changed between two requests is never served as good: not whole, not
// by a range far from the change. What lies in other files still is.
func TestChangedFilesAreNeverServed(t *testing.T) {
	for name, change := range ways {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t, 1000, 200_000, 5000)
			victim := s.files[2]
			from, to := s.starts[victim.Path], s.starts[victim.Path]+int(victim.Size)
			require.True(t, s.requireNeverGood(t, 0, len(s.archive)), "good before the change")
			require.True(t, s.requireNeverGood(t, from+10, from+20))
			change(t, s.fileOf(t, victim), 150_000)

			require.False(t, s.requireNeverGood(t, 0, len(s.archive)))
			require.False(t, s.requireNeverGood(t, from+10, from+20), "a range far from the change")
			require.False(t, s.requireNeverGood(t, from-5, from+1))
			require.False(t, s.requireNeverGood(t, to-1, to+5))
			require.True(t, s.requireNeverGood(t, 0, from), "another file, up to the wrong one")
			require.True(t, s.requireNeverGood(t, to, len(s.archive)), "and after it")
			log := s.Log.String()
			require.Contains(t, log, "download broken off")
			require.Contains(t, log, victim.Digest.String())
			require.Contains(t, log, s.run.ID)
			require.Contains(t, log, "corruptReads")
		})
	}
}

// The same for a file that changes while it is being sent.
func TestFilesThatChangeWhileTheyAreSent(t *testing.T) {
	const size = 24 << 20 // more than sockets hold
	for name, change := range ways {
		t.Run(name, func(t *testing.T) {
			s := newShelf(t, size)
			resp, err := s.open(t, "download")
			require.NoError(t, err)
			defer resp.Body.Close()
			head := make([]byte, 100_000)
			_, err = io.ReadFull(resp.Body, head)
			require.NoError(t, err)
			change(t, s.fileOf(t, s.files[1]), size-10)
			rest, err := io.ReadAll(resp.Body)
			got := append(head, rest...)
			require.True(t, string(s.archive[:len(got)]) == string(got), "wrong bytes were sent")
			switch name {
			case "gone", "replaced", "longer": // the open file is still the right one
				require.NoError(t, err)
			default:
				require.Error(t, err)
				require.Less(t, len(got), len(s.archive))
			}
		})
	}
}

// Manifest and provenance are compared before they are sent.
func TestChangedDocumentsAreNeverServed(t *testing.T) {
	for name, change := range ways {
		s := newShelf(t, 1000)
		for i, what := range []string{"manifest", "provenance"} {
			f := s.files[2+i]
			change(t, s.fileOf(t, f), 5)
			resp, err := s.open(t, what)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			require.NoError(t, err)
			require.Equal(t, 500, resp.StatusCode, "%s %s", name, what)
			require.Contains(t, string(body), "ERR_EXPORT_INTERNAL")
			require.Contains(t, s.Log.String(), "corruptReads")
			require.Contains(t, s.Log.String(), f.Digest.String())
		}
	}
}

// A thousand readers of one bundle at once get the right bytes, and the server
// holds a few chunks for each of them, not blobs.
func TestAThousandRangesAtOnce(t *testing.T) {
	sizes := []int{8 << 20}
	for range 30 {
		sizes = append(sizes, 60_000+mathrand.IntN(150_000))
	}
	// More than a tenant has at once: what is measured are the readers that are let in.
	s := newShelfWith(t, func(c *frontend.Config) { c.Rates.Streams = 1000 }, sizes...)
	etag := `"` + s.run.Result.ArchiveDigest + `"`
	peak := watchHeap(t)
	before := peak.Load()
	var readers sync.WaitGroup
	gate := make(chan struct{})
	for n := range 1000 {
		readers.Go(func() {
			<-gate
			if err := s.readRange(t, n, etag); err != nil {
				t.Errorf("request %d: %v", n, err)
			}
		})
	}
	began := time.Now()
	close(gate)
	readers.Wait()
	t.Logf("1000 ranges in %s; heap grew by %d MiB, clients included", time.Since(began), (peak.Load()-before)>>20)
	require.Less(t, peak.Load()-before, uint64(256<<20))
}

// readRange asks for the n-th range: by both ends, from the end, from a place on,
// several, or continued under a condition.
func (s *shelf) readRange(t testing.TB, n int, etag string) error {
	random := mathrand.New(mathrand.NewPCG(uint64(n), 7))
	length := random.IntN(100_000) + 1
	from := random.IntN(len(s.archive) - length)
	want := s.archive[from : from+length]
	headers := []string{"Range", fmt.Sprintf("bytes=%d-%d", from, from+length-1)}
	switch n % 5 {
	case 1:
		want = s.archive[len(s.archive)-length:]
		headers[1] = fmt.Sprintf("bytes=-%d", length)
	case 2:
		want = s.archive[len(s.archive)-length:]
		headers[1] = fmt.Sprintf("bytes=%d-", len(s.archive)-length)
		headers = append(headers, "If-Range", etag)
	case 3:
		headers[1] += ",0-99"
	}
	resp, err := s.open(t, "download", headers...)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusPartialContent:
		return fmt.Errorf("status %d: %.300s", resp.StatusCode, got)
	case n%5 == 3: // multipart/byteranges
		if !strings.Contains(string(got), string(want)) || !strings.Contains(string(got), string(s.archive[:100])) {
			return fmt.Errorf("the parts are not in the answer")
		}
	case string(got) != string(want):
		return fmt.Errorf("%d wrong bytes for %v", len(got), headers)
	}
	return nil
}

// watchHeap samples the heap in use until the test ends.
func watchHeap(t testing.TB) *atomic.Uint64 {
	var peak atomic.Uint64
	sample := func() {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if m.HeapInuse > peak.Load() {
			peak.Store(m.HeapInuse)
		}
	}
	runtime.GC()
	sample()
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				sample()
			}
		}
	}()
	t.Cleanup(func() { close(done) })
	return &peak
}
