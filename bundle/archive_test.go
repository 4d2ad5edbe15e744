package bundle_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
)

// stdHeader is what archive/tar writes for the same file.
func stdHeader(t testing.TB, path string, size int64) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	require.NoError(t, w.WriteHeader(&tar.Header{
		Format: tar.FormatUSTAR, Typeflag: tar.TypeReg, Name: path, Size: size, Mode: 0o644, ModTime: time.Unix(bundle.ModTime, 0),
	}))
	return out.Bytes()[:bundle.BlockSize]
}

func TestHeaderIsWhatTheStandardLibraryWrites(t *testing.T) {
	paths := append(bundle.FixedPaths(), "a", "data/raw/advisories-0000000000000000.jsonl.zst",
		strings.Repeat("n", 100), "d/"+strings.Repeat("n", 99), strings.Repeat("p", 155)+"/"+strings.Repeat("n", 100),
		strings.Repeat("d/", 60)+"file", strings.Repeat("d/", 77)+strings.Repeat("n", 100))
	for _, path := range paths {
		for _, size := range []int64{0, 1, 511, 512, 1 << 20, bundle.MaxFile} {
			header, err := bundle.Header(path, size)
			require.NoError(t, err)
			require.Equal(t, stdHeader(t, path, size), header[:], "%s of %d bytes", path, size)
			again, length, err := bundle.ParseHeader(header)
			require.NoError(t, err)
			require.Equal(t, path, again)
			require.Equal(t, size, length)
		}
	}
}

func TestHeaderRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		path string
		size int64
	}{
		"8 GiB":                    {"a", bundle.MaxFile + 1},
		"negative":                 {"a", -1},
		"no path":                  {"", 1},
		"name beyond 100":          {strings.Repeat("n", 101), 1},
		"name beyond 100, in dir":  {"d/" + strings.Repeat("n", 101), 1},
		"prefix beyond 155":        {strings.Repeat("p", 156) + "/n", 1},
		"too long":                 {strings.Repeat("d/", 128) + "n", 1},
		"absolute":                 {"/a", 1},
		"parent":                   {"a/../b", 1},
		"dot":                      {"./a", 1},
		"empty segment":            {"a//b", 1},
		"slash at the end":         {"a/", 1},
		"space":                    {"a b", 1},
		"line feed":                {"a\nb", 1},
		"NUL":                      {"a\x00b", 1},
		"backslash":                {`a\b`, 1},
		"colon":                    {"a:b", 1},
		"letter that is not ASCII": {"é", 1},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := bundle.Header(c.path, c.size)
			require.Error(t, err)
		})
	}
}

// world is an archive in memory.
type world struct {
	members []bundle.Member
	blobs   map[string][]byte
	mu      sync.Mutex
	open    int // now
	opened  int // ever
}

func newWorld(seed byte, sizes ...int) *world {
	r := rand.NewChaCha8([32]byte{seed})
	w := &world{blobs: map[string][]byte{}}
	for i, size := range sizes {
		path := fmt.Sprintf("data/%04d", i)
		if i == len(sizes)-1 {
			path = bundle.SealPath
		}
		blob := make([]byte, size)
		r.Read(blob)
		w.blobs[path] = blob
		w.members = append(w.members, bundle.Member{Path: path, Size: int64(size), Digest: bundle.DigestOf(blob)})
	}
	return w
}

func (w *world) Open(m bundle.Member) (bundle.Source, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open++
	w.opened++
	return &source{bytes.NewReader(w.blobs[m.Path]), w}, nil
}

type source struct {
	*bytes.Reader
	w *world
}

func (s *source) Close() error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.w.open--
	return nil
}

// standard is the archive as archive/tar writes it.
func (w *world) standard(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	tw := tar.NewWriter(&out)
	for _, m := range w.members {
		require.NoError(t, tw.WriteHeader(&tar.Header{
			Format: tar.FormatUSTAR, Typeflag: tar.TypeReg, Name: m.Path, Size: m.Size, Mode: 0o644, ModTime: time.Unix(bundle.ModTime, 0),
		}))
		_, err := tw.Write(w.blobs[m.Path])
		require.NoError(t, err)
	}
	require.NoError(t, tw.Close())
	return out.Bytes()
}

func (w *world) view(t testing.TB) *bundle.View {
	t.Helper()
	v, err := bundle.NewView(w.members, w.Open)
	require.NoError(t, err)
	return v
}

func TestViewIsWhatTheStandardLibraryWrites(t *testing.T) {
	for name, sizes := range map[string][]int{
		"one entry": {700}, "sizes around a block": {0, 1, 511, 512, 513, 1023, 1024, 9}, "larger": {100_000, 0, 65_536, 3, 1 << 20, 200},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(1, sizes...)
			want := w.standard(t)
			v := w.view(t)
			require.Equal(t, int64(len(want)), v.Size())
			require.Zero(t, w.opened, "blobs are opened lazily")
			require.NoError(t, iotest.TestReader(v, want))
			require.NoError(t, v.Close())
			require.Zero(t, w.open, "every blob was closed")

			at := make([]byte, len(want))
			n, err := w.view(t).ReadAt(at, 0)
			require.NoError(t, err)
			require.Equal(t, len(want), n)
			require.True(t, bytes.Equal(want, at))
			n, err = v.ReadAt(at, 1)
			require.ErrorIs(t, err, io.EOF)
			require.Equal(t, len(want)-1, n)
		})
	}
}

func TestViewManyReadersAtOnce(t *testing.T) {
	w := newWorld(2, 5000, 0, 70_000, 512, 33, 100_000, 300)
	want, v := w.standard(t), w.view(t)
	var wait sync.WaitGroup
	for worker := range 8 {
		wait.Go(func() {
			r := rand.New(rand.NewPCG(uint64(worker), 2))
			for range 500 {
				off := r.IntN(len(want))
				p := make([]byte, r.IntN(3000)+1)
				n, err := v.ReadAt(p, int64(off))
				if n != min(len(p), len(want)-off) || !bytes.Equal(p[:n], want[off:off+n]) || err != nil && !errors.Is(err, io.EOF) {
					t.Errorf("at %d, %d bytes: %d, %v", off, len(p), n, err)
					return
				}
			}
		})
	}
	wait.Wait()
	require.Zero(t, w.open)
}

func TestViewOverHTTP(t *testing.T) {
	w := newWorld(3, 5000, 70_000, 1, 300)
	want := w.standard(t)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		v := w.view(t)
		defer v.Close()
		http.ServeContent(rw, r, "bundle.tar", time.Time{}, v)
	}))
	defer server.Close()
	r := rand.New(rand.NewPCG(1, 3))
	for range 200 {
		from := r.IntN(len(want))
		to := from + r.IntN(len(want)-from)
		request, err := http.NewRequest(http.MethodGet, server.URL, nil)
		require.NoError(t, err)
		request.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", from, to))
		response, err := server.Client().Do(request)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		require.NoError(t, err)
		require.Equal(t, http.StatusPartialContent, response.StatusCode)
		require.True(t, bytes.Equal(want[from:to+1], body), "bytes %d-%d", from, to)
	}
}

func TestViewNeverPadsAShortBlob(t *testing.T) {
	w := newWorld(4, 5000, 70_000, 300)
	w.blobs["data/0001"] = w.blobs["data/0001"][:60_000]
	read, err := io.ReadAll(w.view(t))
	require.ErrorIs(t, err, bundle.ErrShortBlob)
	require.ErrorContains(t, err, "data/0001")
	require.LessOrEqual(t, len(read), 512+5120+512+60_000)
	whole := make([]byte, 100_000)
	_, err = w.view(t).ReadAt(whole, 0)
	require.ErrorIs(t, err, bundle.ErrShortBlob)
	_, err = bundle.HashArchive(context.Background(), w.members[:2], w.Open)
	require.ErrorIs(t, err, bundle.ErrShortBlob)
	require.Zero(t, w.open-1, "only the sequential reader that was not closed") // io.ReadAll's view
}

func TestViewGivesTheStoresError(t *testing.T) {
	gone := errors.New("object store is away")
	v, err := bundle.NewView([]bundle.Member{{Path: "a", Size: 10}}, func(bundle.Member) (bundle.Source, error) { return nil, gone })
	require.NoError(t, err)
	_, err = io.ReadAll(v)
	require.ErrorIs(t, err, gone)
	_, err = v.ReadAt(make([]byte, 600), 0)
	require.ErrorIs(t, err, gone)
}

func TestViewRefusesOrder(t *testing.T) {
	for name, paths := range map[string][]string{
		"not sorted": {"b", "a"}, "twice": {"a", "a"}, "seal not last": {bundle.SealPath, "z"}, "seal twice": {bundle.SealPath, bundle.SealPath},
		"not a path": {"../a"},
	} {
		t.Run(name, func(t *testing.T) {
			var members []bundle.Member
			for _, p := range paths {
				members = append(members, bundle.Member{Path: p})
			}
			_, err := bundle.NewView(members, nil)
			require.Error(t, err)
		})
	}
	_, err := bundle.NewView([]bundle.Member{{Path: "signatures/z"}, {Path: bundle.SealPath}}, nil)
	require.NoError(t, err)
}

func TestViewSeek(t *testing.T) {
	v := newWorld(5, 1000, 10).view(t)
	at, err := v.Seek(-5, io.SeekEnd)
	require.NoError(t, err)
	require.Equal(t, v.Size()-5, at)
	at, err = v.Seek(2, io.SeekCurrent)
	require.NoError(t, err)
	require.Equal(t, v.Size()-3, at)
	at, err = v.Seek(v.Size()+7, io.SeekStart)
	require.NoError(t, err)
	require.Equal(t, v.Size()+7, at)
	_, err = v.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	_, err = v.Seek(-1, io.SeekStart)
	require.Error(t, err)
	_, err = v.Seek(0, 9)
	require.Error(t, err)
	_, err = v.ReadAt(make([]byte, 1), -1)
	require.Error(t, err)
}

func TestHashArchive(t *testing.T) {
	w := newWorld(6, 5000, 70_000, 300)
	archive := w.standard(t)
	last := len(w.members) - 1
	seal := w.blobs[bundle.SealPath]
	h, err := bundle.HashArchive(context.Background(), w.members[:last], w.Open)
	require.NoError(t, err)
	digest, size := h.Prefix()
	tail, err := bundle.SealEntry(seal)
	require.NoError(t, err)
	require.Equal(t, int64(len(archive)-len(tail)), size)
	require.Equal(t, bundle.DigestOf(archive[:size]), digest)
	require.True(t, bytes.Equal(archive[size:], tail))
	for range 2 { // it may be asked again
		digest, length, err := h.Complete(seal)
		require.NoError(t, err)
		require.Equal(t, bundle.DigestOf(archive), digest)
		require.Equal(t, int64(len(archive)), length)
	}
	other, _, err := h.Complete([]byte("x"))
	require.NoError(t, err)
	require.NotEqual(t, bundle.DigestOf(archive), other)

	prefix, err := bundle.NewPrefixView(w.members[:last], w.Open)
	require.NoError(t, err)
	read, err := io.ReadAll(prefix)
	require.NoError(t, err)
	require.True(t, bytes.Equal(archive[:size], read))

	ended, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = bundle.HashArchive(ended, w.members[:last], w.Open)
	require.ErrorIs(t, err, context.Canceled)
}

// FuzzParseHeader: what is taken as a header is one that we write.
func FuzzParseHeader(f *testing.F) {
	for _, path := range []string{"README.md", strings.Repeat("d/", 77) + strings.Repeat("n", 100)} {
		header, err := bundle.Header(path, 12345)
		require.NoError(f, err)
		f.Add(header[:])
	}
	f.Add(make([]byte, bundle.BlockSize))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) < bundle.BlockSize {
			return
		}
		path, size, err := bundle.ParseHeader([bundle.BlockSize]byte(raw))
		if err != nil {
			return
		}
		if want := stdHeader(t, path, size); !bytes.Equal(want, raw[:bundle.BlockSize]) {
			t.Fatalf("accepted a header of %q that the standard library writes otherwise", path)
		}
	})
}

// A store whose bytes have changed gives no archive, however small the change.
func TestHashArchiveRefusesRottenBlobs(t *testing.T) {
	w := newWorld(7, 5000, 70_000)
	w.standard(t)
	last := len(w.members) - 1
	for _, m := range w.members[:last] {
		if m.Size == 0 {
			continue
		}
		blob := w.blobs[m.Path]
		blob[len(blob)/2] ^= 1
		_, err := bundle.HashArchive(t.Context(), w.members[:last], w.Open)
		require.ErrorIs(t, err, bundle.ErrRotten)
		require.ErrorContains(t, err, m.Path)
		blob[len(blob)/2] ^= 1
	}
	_, err := bundle.HashArchive(t.Context(), w.members[:last], w.Open)
	require.NoError(t, err)
}
