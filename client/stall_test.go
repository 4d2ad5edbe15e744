package client

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
)

// A server that is stopped in the middle of an answer keeps its connection.
func TestADownloadThatStandsStillIsTakenUpAgain(t *testing.T) {
	content := []byte("the first half, the other half")
	var calls atomic.Int32
	hang := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		digest := bundle.DigestOf(content).String()
		w.Header().Set("ETag", `"`+digest+`"`)
		w.Header().Set("X-Export-Digest", digest)
		w.Header().Set("X-Export-Length", fmt.Sprint(len(content)))
		if calls.Add(1) > 1 {
			require.Equal(t, "bytes=15-", r.Header.Get("Range"))
			w.WriteHeader(http.StatusPartialContent)
			w.Write(content[15:])
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.Write(content[:15])
		w.(http.Flusher).Flush()
		<-hang
	}))
	defer server.Close()
	defer close(hang)
	c, err := New(server.URL, "token")
	require.NoError(t, err)
	c.patience = 200 * time.Millisecond
	var out strings.Builder
	archive, err := c.Download(t.Context(), "01a1fd89-a1ec-7675-a725-41a313a37f7e", &out)
	require.NoError(t, err)
	require.Equal(t, string(content), out.String())
	require.Equal(t, int64(len(content)), archive.Bytes)
	require.EqualValues(t, 2, calls.Load())
}
