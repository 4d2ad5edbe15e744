package testkit

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/stretchr/testify/require"
)

// TrivyLayer is a database as an OCI layer that Trivy pulls.
type TrivyLayer struct {
	MediaType  string
	Title      string // db.tar.gz: Trivy wants one
	Repository string // export/trivy-db
	Tag        string // the schema's number
	Bytes      []byte
}

// Registry serves a layer from a registry in this process, on loopback, and gives the
// reference by which it is pulled. It ends with the test.
func Registry(t testing.TB, layer TrivyLayer) (reference string) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	const config = "{}"
	digest := func(blob []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(blob)) }
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",
		"config":{"mediaType":"application/vnd.aquasec.trivy.config.v1+json","digest":"%s","size":%d},
		"layers":[{"mediaType":"%s","digest":"%s","size":%d,"annotations":{"org.opencontainers.image.title":"%s"}}]}`,
		digest([]byte(config)), len(config), layer.MediaType, digest(layer.Bytes), len(layer.Bytes), layer.Title)
	send := func(method, path, contentType string, body []byte) {
		request, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/v2/"+layer.Repository+"/"+path, bytes.NewReader(body))
		require.NoError(t, err)
		request.Header.Set("Content-Type", contentType)
		answer, err := server.Client().Do(request)
		require.NoError(t, err)
		require.NoError(t, answer.Body.Close())
		require.Equal(t, http.StatusCreated, answer.StatusCode, path)
	}
	for _, blob := range [][]byte{[]byte(config), layer.Bytes} {
		send(http.MethodPost, "blobs/uploads/?digest="+digest(blob), "application/octet-stream", blob)
	}
	send(http.MethodPut, "manifests/"+layer.Tag, "application/vnd.oci.image.manifest.v1+json", manifest)
	return strings.TrimPrefix(server.URL, "http://") + "/" + layer.Repository + ":" + layer.Tag
}
