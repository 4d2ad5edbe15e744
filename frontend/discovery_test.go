package frontend_test

import (
	"encoding/json"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// The API tells what it is to anybody, in three forms, and says when nothing has
// changed.
func TestDiscovery(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	c.token = ""
	const path = "/.well-known/openapi"
	for accept, want := range map[string]string{
		"":                                      "application/yaml",
		"*/*":                                   "application/yaml",
		"application/yaml":                      "application/yaml",
		"text/html, application/json;q=0.9":     "application/json",
		"application/vnd.export.discovery+json": "application/vnd.export.discovery+json",
	} {
		var headers []string
		if accept != "" {
			headers = []string{"Accept", accept}
		}
		a := c.send("GET", path, "", headers...)
		require.Equal(t, 200, a.Status, accept)
		require.Equal(t, want, a.Header.Get("Content-Type"), accept)
		tag := a.Header.Get("ETag")
		require.Equal(t, `"`+bundle.DigestOf([]byte(a.Body)).String()+`"`, tag)
		require.Equal(t, "v1", a.Header.Get("X-Export-Oas-Version"))
		require.Equal(t, "private, must-revalidate", a.Header.Get("Cache-Control"))
		again := c.send("GET", path, "", append(headers, "If-None-Match", tag)...)
		require.Equal(t, 304, again.Status, accept)
		require.Empty(t, again.Body)
		require.Equal(t, 304, c.send("GET", path, "", append(headers, "If-Modified-Since", a.Header.Get("Last-Modified"))...).Status)
	}
	require.Equal(t, string(frontend.Spec), c.send("GET", path, "").Body)
	require.Equal(t, 406, c.send("GET", path, "", "Accept", "text/html, application/json;q=0").Status)
	refused := c.send("GET", path, "", "If-Match", `"another"`)
	require.Equal(t, 412, refused.Status)
	refused.problem(t)

	asJSON := c.send("GET", path+".json", "").Body
	doc, err := openapi3.NewLoader().LoadFromData([]byte(asJSON))
	require.NoError(t, err)
	require.Equal(t, "3.1.0", doc.OpenAPI)
	var index map[string]any
	require.NoError(t, json.Unmarshal([]byte(c.send("GET", path, "", "Accept", "application/vnd.export.discovery+json").Body), &index))
	require.Equal(t, bundle.DigestOf(frontend.Spec).Hex(), index["checksum_sha256"])
	require.Equal(t, []any{"json:raw", "json:policy", "trivy:db", "trivy:java-db", "mirror:full", "mirror:delta"}, index["profiles_supported"])
}
