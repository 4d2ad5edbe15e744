package frontend_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/frontend"
)

// BenchmarkDownloads is how fast sixteen clients at once get a bundle of large blobs,
// and one of small ones, in turns with http.FileServer over the same bytes. Clients and
// servers share the processors; `make bench` has the figure across processes.
func BenchmarkDownloads(b *testing.B) {
	for _, bundle := range []struct {
		name  string
		sizes []int
	}{
		{"160 MB in 4 files", slices.Repeat([]int{40_000_000}, 4)},
		{"160 MB in 160 files", slices.Repeat([]int{1_000_000}, 160)},
	} {
		b.Run(bundle.name, func(b *testing.B) { benchmarkDownloads(b, bundle.sizes) })
	}
}

func benchmarkDownloads(b *testing.B, sizes []int) {
	s := newShelfWith(b, func(*frontend.Config) {}, sizes...)
	dir := b.TempDir()
	require.NoError(b, os.WriteFile(filepath.Join(dir, "archive.tar"), s.archive, 0o600))
	bare := httptest.NewServer(http.FileServer(http.Dir(dir)))
	b.Cleanup(bare.Close)
	var theirs, ours time.Duration
	b.SetBytes(2 * 16 * int64(len(s.archive)))
	for b.Loop() {
		theirs += downloadAtOnce(b, s, bare.URL+"/archive.tar")
		ours += downloadAtOnce(b, s, s.URL+runsPath+"/"+s.run.ID+"/download")
	}
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "x-of-file-server")
}

func downloadAtOnce(b *testing.B, s *shelf, url string) time.Duration {
	began := time.Now()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() { downloadAll(b, s, url) })
	}
	all.Wait()
	return time.Since(began)
}

func downloadAll(b *testing.B, s *shelf, url string) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	require.NoError(b, err)
	req.Header.Set("Authorization", "Bearer "+s.token)
	resp, err := s.client.Do(req)
	require.NoError(b, err)
	defer resp.Body.Close()
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, make([]byte, 64<<10))
	require.NoError(b, err)
	require.Equal(b, int64(len(s.archive)), n)
}
