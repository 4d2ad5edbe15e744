package frontend_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkFirstByte is the time from a request to the first byte of a bundle of
// 32 MiB, beside a bare http.ServeContent over a file of the same bytes: from the
// beginning, and from the middle, where a whole blob must be compared first.
// Tokens and blobs cost what they do in production, rows come from memory. Client and
// server share the processors: on a busy machine the client waits for the server to
// have filled the socket. `make bench` has the figure across processes.
func BenchmarkFirstByte(b *testing.B) {
	sizes := slices.Repeat([]int{160_000}, 200)
	s := newShelf(b, sizes...)
	path := filepath.Join(b.TempDir(), "archive.tar")
	require.NoError(b, os.WriteFile(path, s.archive, 0o600))
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		file, err := os.Open(path)
		if err != nil {
			panic(err)
		}
		defer file.Close()
		http.ServeContent(w, r, "", time.Time{}, file)
	}))
	b.Cleanup(bare.Close)
	ours := s.URL + runsPath + "/" + s.run.ID + "/download"
	const middle = "bytes=16000000-16000999"
	for _, c := range []struct{ name, url, ask string }{
		{"bare", bare.URL, ""}, {"archive", ours, ""}, {"bare, middle", bare.URL, middle}, {"archive, middle", ours, middle},
	} {
		b.Run(c.name, func(b *testing.B) {
			var took []time.Duration
			for b.Loop() {
				took = append(took, firstByte(b, s, c.url, c.ask))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
		})
	}
}

// firstByte asks for the bytes and goes away after the first.
func firstByte(b *testing.B, s *shelf, url, ask string) time.Duration {
	req, err := http.NewRequest("GET", url, nil)
	require.NoError(b, err)
	req.Header.Set("Authorization", "Bearer "+s.token)
	if ask != "" {
		req.Header.Set("Range", ask)
	}
	began := time.Now()
	resp, err := s.client.Do(req)
	require.NoError(b, err)
	_, err = io.ReadFull(resp.Body, make([]byte, 1))
	took := time.Since(began)
	require.NoError(b, err)
	resp.Body.Close()
	time.Sleep(5 * time.Millisecond) // until the server has seen it: what it sends to nobody is not the next one's time
	return took
}
