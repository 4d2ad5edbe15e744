package frontend_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// raw sends a request that no client of Go's would, and gives the answer with its
// body and trailers read.
func raw(t *testing.T, w *frontendtest.World, method, path string, headers ...string) (*http.Response, string, error) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer %s\r\n", method, path, w.Token(t, "acme"))
	for _, line := range headers {
		fmt.Fprintf(conn, "%s\r\n", line)
	}
	fmt.Fprint(conn, "\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func TestDigestTrailer(t *testing.T) {
	w := frontendtest.New(t)
	run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	path := runsPath + "/" + run.ID + "/download"
	for _, te := range []string{"TE: trailers", "TE: gzip;q=0.5, Trailers", "TE: deflate\r\nTE: trailers;q=1"} {
		resp, body, err := raw(t, w, "GET", path, te)
		require.NoError(t, err)
		require.True(t, string(archive) == body, te)
		require.Equal(t, run.Result.ArchiveDigest, resp.Trailer.Get("X-Export-Digest-Trailer"), te)
		require.Empty(t, resp.Header.Get("Content-Length"))
		require.Equal(t, fmt.Sprint(len(archive)), resp.Header.Get("X-Export-Length"))
	}
	head, _, err := raw(t, w, "HEAD", path, "TE: trailers")
	require.NoError(t, err)
	require.Equal(t, "X-Export-Digest-Trailer", head.Header.Get("Trailer"))
	for _, headers := range [][]string{{}, {"TE: gzip"}, {"TE: trailers", "Range: bytes=0-9"}, {"TE: trailers", `If-None-Match: "` + run.Result.ArchiveDigest + `"`}} {
		resp, _, err := raw(t, w, "GET", path, headers...)
		require.NoError(t, err)
		require.Empty(t, resp.Trailer, "%v", headers)
	}
	// A row that promises another archive than the one that is sent: it never ends.
	promised := run
	promised.Result.ArchiveDigest = bundle.DigestOf([]byte("another")).String()
	stored, err := w.Runs.Files(t.Context(), run.Ref())
	require.NoError(t, err)
	w.Runs.Put(promised, stored)
	other, _, err := raw(t, w, "GET", path, "TE: trailers")
	require.Error(t, err)
	require.Empty(t, other.Trailer.Get("X-Export-Digest-Trailer"))
	w.Runs.Put(run, stored)

	// An archive that rots on its way has no trailer, and no end.
	files, err := w.Runs.Files(t.Context(), run.Ref())
	require.NoError(t, err)
	w.Objects.Replace("acme", files[1].Digest, make([]byte, files[1].Size))
	resp, _, err := raw(t, w, "GET", path, "TE: trailers")
	require.Error(t, err)
	require.Empty(t, resp.Trailer.Get("X-Export-Digest-Trailer"))
}

func TestDigestsThatAreWanted(t *testing.T) {
	w := frontendtest.New(t)
	run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	c := newCaller(t, w, "acme")
	base := runsPath + "/" + run.ID
	whole := c.send("GET", base+"/download", "").Header.Get("Repr-Digest")
	require.NotEmpty(t, whole)
	for name, test := range map[string]struct {
		headers       []string
		repr, content string
	}{
		"nothing said":      {nil, whole, whole},
		"weights":           {[]string{"Want-Repr-Digest", "sha-512=3, sha-256=10", "Want-Content-Digest", "sha-256=1"}, whole, whole},
		"refused":           {[]string{"Want-Repr-Digest", "sha-256=0", "Want-Content-Digest", "sha-512=5,sha-256=0;x=1"}, "", ""},
		"one refused":       {[]string{"Want-Content-Digest", "sha-256=0"}, whole, ""},
		"others only":       {[]string{"Want-Repr-Digest", "sha-512=10"}, whole, whole},
		"a range":           {[]string{"Range", "bytes=0-9"}, whole, ""},
		"not what it seems": {[]string{"Want-Repr-Digest", "xsha-256=0, sha-256=00, ="}, whole, whole},
	} {
		a := c.send("GET", base+"/download", "", test.headers...)
		require.Equal(t, test.repr, a.Header.Get("Repr-Digest"), name)
		require.Equal(t, test.content, a.Header.Get("Content-Digest"), name)
	}
	manifest := c.send("GET", base+"/manifest", "")
	require.Equal(t, manifest.Header.Get("Repr-Digest"), manifest.Header.Get("Content-Digest"))
	require.Empty(t, c.send("GET", base+"/manifest", "", "Want-Content-Digest", "sha-256=0").Header.Get("Content-Digest"))
	require.Empty(t, c.send("GET", base+"/manifest", "", "If-None-Match", manifest.Header.Get("ETag")).Header.Get("Content-Digest"))
	require.Equal(t, bundle.DigestOf(archive).String(), run.Result.ArchiveDigest)
}
