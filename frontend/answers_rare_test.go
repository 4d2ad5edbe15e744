package frontend_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// A request that is malformed before anything of it is looked at: a header that
// names no tenant, a body of another sort or beyond all measure.
func TestMalformedRequestsOfEveryOperation(t *testing.T) {
	w := frontendtest.New(t)
	client := &http.Client{Transport: frontendtest.NewContract(t)}
	send := func(d described, change func(*http.Request)) int {
		tenant := "acme"
		if strings.HasPrefix(d.Path, "/api/tenants") {
			tenant = export.Installation
		}
		req := d.sample(w.URL, w.Issuer.Token(t, tenant, export.Scopes...))
		change(req)
		resp, err := client.Do(req)
		require.NoError(t, err, d.ID)
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		return resp.StatusCode
	}
	for _, d := range describedOperations(t) {
		if len(d.scopes()) == 0 {
			continue
		}
		require.Equal(t, 400, send(d, func(r *http.Request) { r.Header.Set("X-Stella-Tenant", "NOT A TENANT") }), d.ID)
		if d.op.RequestBody == nil || d.ID == "ImportDocuments" {
			continue
		}
		if mediaType, _ := d.sampleBody(); mediaType != "application/json" {
			continue
		}
		require.Equal(t, 415, send(d, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }), d.ID)
		require.Equal(t, 413, send(d, func(r *http.Request) {
			body := `{"reason":"` + strings.Repeat("x", 3<<20) + `"}`
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
			r.Header.Set("If-Match", `"1"`)
		}), d.ID)
	}
}

// What HTTP can say of stored bytes, at the addresses where other tests do not ask.
func TestConditionsOfStoredBytes(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	run, _ := w.Finish(t, w.Run("acme", export.StateRunning))
	doc := `{"id":"OSV-1"}`
	importText(t, c, record(doc))
	for _, path := range []string{
		"/api/export/runs/" + run.ID + "/provenance", "/v1/exports/runs/" + run.ID + "/download",
		"/.well-known/openapi.json", "/schemas/export-profile/json-raw.json", "/api/ledger/documents/" + digestOf(doc),
	} {
		tag := c.send("GET", path, "").Header.Get("ETag")
		require.NotEmpty(t, tag, path)
		require.Equal(t, 304, c.send("GET", path, "", "If-None-Match", tag).Status, path)
		require.Equal(t, 412, c.send("GET", path, "", "If-Match", `"another"`).Status, path)
	}
	legacy := "/v1/exports/runs/" + run.ID + "/download"
	require.Equal(t, 206, c.send("GET", legacy, "", "Range", "bytes=0-9").Status)
	require.Equal(t, 416, c.send("GET", legacy, "", "Range", "bytes=999999999-").Status)
	expired := w.Run("acme", export.StateExpired)
	for _, path := range []string{"/v1/exports/runs/" + expired.ID + "/download", "/api/export/runs/" + expired.ID + "/attestation", "/exports/" + expired.ID + "/attestation"} {
		require.Equal(t, 410, c.send("GET", path, "").Status, path)
	}
}

// The older address of a run's journal has the bound of the newer one.
func TestOlderStreamsAreBounded(t *testing.T) {
	w := frontendtest.New(t, func(c *frontend.Config) { c.Streams = frontend.StreamLimits{PerTenant: 1} })
	c := newCaller(t, w, "acme")
	path := "/v1/exports/runs/" + w.Run("acme", export.StatePending).ID + "/events"
	req, err := http.NewRequest("GET", w.URL+path, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+c.token)
	open, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer open.Body.Close()
	require.Equal(t, 200, open.StatusCode)
	require.Equal(t, 429, c.send("GET", path, "").Status)
}
