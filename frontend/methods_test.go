package frontend_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

func TestUnknownMethod(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	run, _ := w.Finish(t, w.Run("acme", export.StateRunning))
	document := "/api/ledger/documents/" + run.Result.ManifestDigest
	for path, test := range map[string]struct {
		methods []string
		allow   string
	}{
		runsPath:                              {[]string{"PUT", "DELETE", "PATCH", "TRACE", "OPTIONS"}, "GET, HEAD, POST"},
		runsPath + "/" + run.ID:               {[]string{"POST", "DELETE"}, "GET, HEAD"},
		runsPath + "/" + run.ID + "/cancel":   {[]string{"GET", "HEAD", "PUT"}, "POST"},
		runsPath + "/" + run.ID + "/download": {[]string{"POST", "PUT", "DELETE"}, "GET, HEAD"},
		document:                              {[]string{"POST", "DELETE"}, "GET, HEAD"},
	} {
		for _, method := range test.methods {
			a := c.send(method, path, "")
			require.Equal(t, 405, a.Status, "%s %s", method, path)
			require.Equal(t, test.allow, a.Header.Get("Allow"), "%s %s", method, path)
			if method != "HEAD" {
				require.Equal(t, "ERR_EXPORT_001", a.problem(t).Code)
			}
		}
	}
	for _, path := range []string{"/api/nothing", "/api/", runsPath + "/a/b/c/d"} {
		a := c.send("DELETE", path, "")
		require.Equal(t, 404, a.Status, path)
		require.Empty(t, a.Header.Get("Allow"))
		a.problem(t)
	}
	c.token = "" // who may not come in learns nothing about the rooms
	a := c.send("DELETE", runsPath, "")
	require.Equal(t, 401, a.Status)
	require.Empty(t, a.Header.Get("Allow"))
}

// HEAD gives what GET gives, except the body.
func TestHead(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	run, _ := w.Finish(t, w.Run("acme", export.StateRunning))
	waiting := w.Run("acme", export.StateRunning)
	base := runsPath + "/" + run.ID
	for _, path := range []string{runsPath, base, base + "/download", base + "/manifest", base + "/provenance", base + "/events",
		runsPath + "/" + waiting.ID + "/download", "/api/nothing", "/health/live", "/health/ready"} {
		get, head := c.send("GET", path, ""), c.send("HEAD", path, "")
		require.Equal(t, get.Status, head.Status, path)
		require.Empty(t, head.Body)
		for _, h := range []map[string][]string{get.Header, head.Header} {
			delete(h, "Date")
			delete(h, "Transfer-Encoding")
		}
		require.Equal(t, get.Header, head.Header, path)
	}
	// The archive is described without being read.
	files, err := w.Runs.Files(t.Context(), run.Ref())
	require.NoError(t, err)
	for _, f := range files {
		w.Objects.Cut("acme", f.Digest, 0)
	}
	a := c.send("HEAD", base+"/download", "", "Range", "bytes=0-1")
	require.Equal(t, 200, a.Status, "ranges are for GET")
	require.Equal(t, run.Result.ArchiveDigest, a.Header.Get("X-Export-Digest"))
	require.Contains(t, w.Log.String(), `"method":"HEAD"`)
	c.token = w.Token(t, "globex")
	require.Equal(t, 404, c.send("HEAD", base+"/download", "").Status)
	c.token = ""
	require.Equal(t, 401, c.send("HEAD", base+"/download", "").Status)
	require.Equal(t, bundle.ArchiveContentType, a.Header.Get("Content-Type"))
}
