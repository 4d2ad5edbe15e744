package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/clock"
)

func TestFirstByteIsTheBodysFirst(t *testing.T) {
	const wait = 50 * time.Millisecond
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Length", "5")
		w.(http.Flusher).Flush() // the header is there at once, the body is not
		time.Sleep(wait)
		io.WriteString(w, "bytes") //nolint:errcheck // the client hangs up
	}))
	defer slow.Close()
	begin := &beginner{http: slow.Client(), now: clock.System, size: 5}
	took, err := begin.download(t.Context(), slow.URL, "secret")
	require.NoError(t, err)
	require.GreaterOrEqual(t, took, wait)

	_, err = begin.download(t.Context(), slow.URL, "wrong")
	require.ErrorContains(t, err, "status 401")
	begin.size = 6
	_, err = begin.download(t.Context(), slow.URL, "secret")
	require.ErrorContains(t, err, "5 bytes, not 200 and 6")
}

func TestBareHandlerServesTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bundle.tar")
	content := make([]byte, 8<<20)
	require.NoError(t, os.WriteFile(path, content, 0o600))
	server, err := serveFile(path)
	require.NoError(t, err)
	defer server.stop()
	resp, err := http.Get(server.url)
	require.NoError(t, err)
	defer resp.Body.Close()
	n, err := io.Copy(io.Discard, resp.Body)
	require.NoError(t, err)
	require.EqualValues(t, len(content), n)

	begin := &beginner{http: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, now: clock.System, size: int64(len(content))}
	for range 3 {
		took, err := begin.download(t.Context(), server.url, "")
		require.NoError(t, err)
		require.Positive(t, took)
	}
}
