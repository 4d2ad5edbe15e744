package trivyjavadb_test

import (
	"archive/zip"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/adapters/adaptertest"
	"github.com/stella-ops/exportcenter/adapters/trivydb"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/internal/testkit"
)

// TestTrivyIdentifiesAnArchiveByItsSHA1: real Trivy, offline, finds a vulnerability
// in an archive that says nothing of itself - neither its name nor anything in it
// tells what it is - because our database knows its SHA-1, and finds none once the
// database does not.
func TestTrivyIdentifiesAnArchiveByItsSHA1(t *testing.T) {
	trivy := testkit.Tool(t, "trivy")
	jar := nameless(t)
	digest := sha1.Sum(jar)
	known := gav{SHA1: hex.EncodeToString(digest[:]), GroupID: "org.example.stella", ArtifactID: "nameless", Version: "1.2.3"}
	advisory := adaptertest.Entry{Source: "test", Text: []byte(`{"id":"CVE-2026-0001","modified":"2026-01-01T00:00:00Z","summary":"found by its SHA-1",
		"affected":[{"package":{"ecosystem":"Maven","name":"org.example.stella:nameless"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.2.4"}]}]}]}`)}
	vulnerabilities, err := adaptertest.Work{Adapter: trivydb.Adapter{}, Documents: adaptertest.Lines(t, advisory)}.Do(t, t.Context())
	require.NoError(t, err)

	target := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(target, "app.jar"), jar, 0o600))
	index := func(artifacts ...gav) []byte {
		return build(t, adaptertest.Lines(t, list(t, "test", "jars", "all", artifacts...))).At(t, bundle.TrivyJavaPath)
	}
	fromCache := func(layer []byte) []string {
		cache := t.TempDir()
		unpack(t, cache, "db", vulnerabilities.At(t, bundle.TrivyDBPath))
		unpack(t, cache, "java-db", layer)
		return scan(t, trivy, cache, target, "--skip-java-db-update")
	}
	want := []string{"CVE-2026-0001 org.example.stella:nameless 1.2.3 1.2.4"}
	require.Equal(t, want, fromCache(index(known)))
	other := known
	other.SHA1 = sha1Of(1)
	require.Empty(t, fromCache(index(other)))

	cache := t.TempDir() // and as Trivy pulls it
	unpack(t, cache, "db", vulnerabilities.At(t, bundle.TrivyDBPath))
	require.Equal(t, want, scan(t, trivy, cache, target, "--java-db-repository", pushed(t, index(known))))
}

// scan has Trivy scan a folder, offline but for the options, and gives what it
// found: id, package, version, fixed version.
func scan(t *testing.T, trivy, cache, target string, options ...string) (found []string) {
	t.Helper()
	args := append([]string{"rootfs", "--quiet", "--cache-dir", cache, "--skip-db-update", "--offline-scan", "--skip-version-check", "--scanners", "vuln", "--format", "json"}, options...)
	cmd := exec.CommandContext(t.Context(), trivy, append(args, target)...)
	cmd.Env = append(os.Environ(), "HOME="+cache)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	require.NoError(t, err, stderr.String())
	var report struct {
		Results []struct {
			Vulnerabilities []struct{ VulnerabilityID, PkgName, InstalledVersion, FixedVersion string }
		}
	}
	require.NoError(t, json.Unmarshal(out, &report))
	for _, r := range report.Results {
		for _, v := range r.Vulnerabilities {
			found = append(found, strings.Join([]string{v.VulnerabilityID, v.PkgName, v.InstalledVersion, v.FixedVersion}, " "))
		}
	}
	return found
}

// pushed serves a layer as docs/formats says, and gives its reference.
func pushed(t testing.TB, layer []byte) (reference string) {
	t.Helper()
	return testkit.Registry(t, testkit.TrivyLayer{MediaType: "application/vnd.aquasec.trivy.javadb.layer.v1.tar+gzip",
		Title: "javadb.tar.gz", Repository: "export/trivy-java-db", Tag: "1", Bytes: layer})
}

// nameless is a Java archive with a class and a manifest without a name.
func nameless(t *testing.T) []byte {
	t.Helper()
	var content bytes.Buffer
	archive := zip.NewWriter(&content)
	for name, text := range map[string]string{"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\r\n\r\n"} {
		w, err := archive.Create(name)
		require.NoError(t, err)
		_, err = w.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	return content.Bytes()
}

// unpack puts a layer where Trivy keeps what it has pulled.
func unpack(t *testing.T, cache, folder string, stored []byte) {
	t.Helper()
	var database bytes.Buffer
	layer, err := bundle.ReadLayer(bytes.NewReader(stored), 1<<30, &database)
	require.NoError(t, err)
	dir := filepath.Join(cache, folder)
	require.NoError(t, os.MkdirAll(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "metadata.json"), layer.Metadata, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, layer.Name), database.Bytes(), 0o600))
}
