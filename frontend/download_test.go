package frontend_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"mime/multipart"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/storage"
)

func TestDownload(t *testing.T) {
	w := frontendtest.New(t)
	run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	c := newCaller(t, w, "acme")
	a := c.send("GET", runsPath+"/"+run.ID+"/download", "")
	require.Equal(t, 200, a.Status)
	require.Equal(t, string(archive), a.Body)
	digest := bundle.DigestOf(archive)
	raw, _ := hex.DecodeString(digest.Hex())
	for name, value := range map[string]string{
		"ETag": `"` + digest.String() + `"`, "X-Export-Digest": digest.String(), "X-Export-Length": strconv.Itoa(len(archive)),
		"Repr-Digest":  "sha-256=:" + base64.StdEncoding.EncodeToString(raw) + ":",
		"Content-Type": "application/x-tar", "Content-Length": strconv.Itoa(len(archive)), "Accept-Ranges": "bytes",
		"Content-Disposition": `attachment; filename="export-` + run.ID + `.tar"`, "X-Stella-Immutability": "true",
		"Last-Modified": "Sat, 21 Nov 2026 08:00:00 GMT",
	} {
		require.Equal(t, value, a.Header.Get(name), name)
	}
}

func TestDownloadRanges(t *testing.T) {
	w := frontendtest.New(t)
	run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	c := newCaller(t, w, "acme")
	path := runsPath + "/" + run.ID + "/download"
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		from := random.IntN(len(archive))
		to := from + random.IntN(len(archive)-from)
		a := c.send("GET", path, "", "Range", fmt.Sprintf("bytes=%d-%d", from, to))
		require.Equal(t, 206, a.Status)
		require.Equal(t, string(archive[from:to+1]), a.Body, "%d-%d", from, to)
		require.Equal(t, fmt.Sprintf("bytes %d-%d/%d", from, to, len(archive)), a.Header.Get("Content-Range"))
		requireDescribed(t, a, run)
	}
	require.Equal(t, string(archive[len(archive)-100:]), c.send("GET", path, "", "Range", "bytes=-100").Body)
	require.Equal(t, string(archive[1000:]), c.send("GET", path, "", "Range", "bytes=1000-").Body)
	require.Equal(t, 200, c.send("GET", path, "", "Range", "lines=1-2").Status, "another unit is not ours to understand")

	beyond := c.send("GET", path, "", "Range", fmt.Sprintf("bytes=%d-", len(archive)))
	require.Equal(t, 416, beyond.Status)
	require.Equal(t, fmt.Sprintf("bytes */%d", len(archive)), beyond.Header.Get("Content-Range"))
	require.Equal(t, "ERR_EXPORT_001", beyond.problem(t).Code)
	require.Equal(t, run.Result.ArchiveDigest, beyond.Header.Get("X-Export-Digest"))
	require.Empty(t, beyond.Header.Get("ETag")+beyond.Header.Get("Repr-Digest"), "a problem is not the archive")

	many := "bytes=0-0" + strings.Repeat(",2-2", 16)
	require.Equal(t, string(archive), c.send("GET", path, "", "Range", many).Body, "more ranges than anybody needs")
}

func TestDownloadManyRanges(t *testing.T) {
	w := frontendtest.New(t)
	run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	c := newCaller(t, w, "acme")
	a := c.send("GET", runsPath+"/"+run.ID+"/download", "", "Range", "bytes=0-9,600-699,-5")
	require.Equal(t, 206, a.Status)
	mediaType, params, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/byteranges", mediaType)
	parts := multipart.NewReader(strings.NewReader(a.Body), params["boundary"])
	for _, want := range [][]byte{archive[:10], archive[600:700], archive[len(archive)-5:]} {
		part, err := parts.NextPart()
		require.NoError(t, err)
		got, err := io.ReadAll(part)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestDownloadConditions(t *testing.T) {
	w := frontendtest.New(t)
	run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	c := newCaller(t, w, "acme")
	path := runsPath + "/" + run.ID + "/download"
	etag := `"` + run.Result.ArchiveDigest + `"`
	for name, test := range map[string]struct {
		headers []string
		status  int
		length  int
	}{
		"same tag":               {[]string{"If-None-Match", etag}, 304, 0},
		"any tag":                {[]string{"If-None-Match", "*"}, 304, 0},
		"other tag":              {[]string{"If-None-Match", `"x"`}, 200, len(archive)},
		"not modified":           {[]string{"If-Modified-Since", "Sat, 21 Nov 2026 08:00:00 GMT"}, 304, 0},
		"resume, same archive":   {[]string{"Range", "bytes=100-", "If-Range", etag}, 206, len(archive) - 100},
		"resume, other archive":  {[]string{"Range", "bytes=100-", "If-Range", `"x"`}, 200, len(archive)},
		"precondition holds":     {[]string{"If-Match", etag}, 200, len(archive)},
		"same tag with a range":  {[]string{"If-None-Match", etag, "Range", "bytes=0-1"}, 304, 0},
		"unmodified since later": {[]string{"If-Unmodified-Since", "Sat, 21 Nov 2026 08:00:00 GMT"}, 200, len(archive)},
	} {
		a := c.send("GET", path, "", test.headers...)
		require.Equal(t, test.status, a.Status, name)
		require.Len(t, a.Body, test.length, name)
		requireDescribed(t, a, run)
	}
	for _, what := range []string{"download", "manifest"} {
		failed := c.send("GET", runsPath+"/"+run.ID+"/"+what, "", "If-Match", `"x"`)
		require.Equal(t, 412, failed.Status)
		require.Equal(t, "ERR_EXPORT_001", failed.problem(t).Code)
		require.Empty(t, failed.Header.Get("ETag")+failed.Header.Get("Repr-Digest"), "a problem is not the archive")
	}
}

// requireDescribed checks the headers that every answer about an archive's bytes
// has, whether it holds all of them, some or none.
func requireDescribed(t *testing.T, a answer, run export.Run) {
	t.Helper()
	digest, err := bundle.ParseDigest(run.Result.ArchiveDigest)
	require.NoError(t, err)
	for name, value := range map[string]string{
		"ETag": `"` + digest.String() + `"`, "X-Export-Digest": digest.String(),
		"X-Export-Length": strconv.FormatInt(run.Result.ArchiveBytes, 10),
		"Repr-Digest":     "sha-256=:" + base64.StdEncoding.EncodeToString(digest[:]) + ":",
	} {
		require.Equal(t, value, a.Header.Get(name), "%s of a %d", name, a.Status)
	}
}

func TestDownloadWhenThereIsNothing(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	for _, state := range export.States {
		if state.Downloadable() {
			continue
		}
		run := w.Run("acme", state)
		for _, what := range []string{"download", "manifest", "provenance"} {
			a := c.send("GET", runsPath+"/"+run.ID+"/"+what, "")
			status, code := 409, "ERR_EXPORT_014"
			if state == export.StateExpired {
				status, code = 410, "ERR_EXPORT_015"
			}
			require.Equal(t, status, a.Status, "%s %s", state, what)
			require.Equal(t, code, a.problem(t).Code)
			require.Contains(t, a.problem(t).Message, string(state))
		}
	}
}

func TestDownloadRefusesAnArchiveOfAnotherSize(t *testing.T) {
	w := frontendtest.New(t)
	run, _ := w.Finish(t, w.Run("acme", export.StateRunning))
	files, err := w.Runs.Files(t.Context(), run.Ref())
	require.NoError(t, err)
	w.Runs.Put(run, files[:4])
	a := newCaller(t, w, "acme").send("GET", runsPath+"/"+run.ID+"/download", "")
	require.Equal(t, 500, a.Status)
	require.Equal(t, "ERR_EXPORT_INTERNAL", a.problem(t).Code)
}

func TestManifestAndProvenance(t *testing.T) {
	w := frontendtest.New(t)
	run, _ := w.Finish(t, w.Run("acme", export.StateRunning))
	c := newCaller(t, w, "acme")
	base := runsPath + "/" + run.ID
	manifest := c.send("GET", base+"/manifest", "")
	require.Equal(t, 200, manifest.Status)
	require.Equal(t, `{"schema":"test","tenant":"acme"}`, manifest.Body)
	require.Equal(t, `"`+run.Result.ManifestDigest+`"`, manifest.Header.Get("ETag"))
	require.Equal(t, 304, c.send("GET", base+"/manifest", "", "If-None-Match", manifest.Header.Get("ETag")).Status)
	require.Equal(t, `{"_type":"https://in-toto.io/Statement/v1"}`, c.send("GET", base+"/provenance", "").Body)
	require.Equal(t, 200, c.send("GET", base+"/provenance", "", "Range", "bytes=0-1").Status, "given whole")

	w.Objects.Replace("acme", bundle.DigestOf([]byte(manifest.Body)), []byte(strings.Replace(manifest.Body, "test", "tesT", 1)))
	a := c.send("GET", base+"/manifest", "")
	require.Equal(t, 500, a.Status)
	require.NotContains(t, a.Body, "tesT")

	files, _ := w.Runs.Files(t.Context(), run.Ref())
	w.Runs.Put(run, []storage.File{files[0]})
	require.Equal(t, 500, c.send("GET", base+"/provenance", "").Status)
}

// TestDownloadOfEncrypted: the answers say how the archive is encrypted, the run says
// for whom, and a run that is to be encrypted and is not gives nothing.
func TestDownloadOfEncrypted(t *testing.T) {
	w := frontendtest.New(t)
	run, archive := w.Finish(t, w.Run("acme", export.StateRunning))
	files, err := w.Runs.Files(t.Context(), run.Ref())
	require.NoError(t, err)
	c := newCaller(t, w, "acme")
	path := runsPath + "/" + run.ID
	require.Empty(t, c.send("GET", path+"/download", "").Header.Get("X-Export-Encryption"))

	run.Encryption = &export.Encryption{Enabled: true, Mode: "aes-gcm", RecipientKeys: []string{"age1a", "kms://k"}}
	w.Runs.Put(run, files)
	for _, what := range []string{"download", "manifest", "provenance"} {
		a := c.send("GET", path+"/"+what, "")
		require.Equal(t, 500, a.Status, what)
		require.NotContains(t, a.Body, "0123456789abcdef")
	}

	run.Result.Encrypted = &export.Encrypted{Mode: "aes-gcm", Recipients: []string{"age1a"}, PlainDigest: run.Result.PayloadDigest, PlainBytes: 10,
		Omitted: []export.OmittedRecipient{{Recipient: "kms://k", Reason: "no key service"}}}
	w.Runs.Put(run, files)
	for _, headers := range [][]string{nil, {"Range", "bytes=0-9"}, {"If-None-Match", `"` + run.Result.ArchiveDigest + `"`}} {
		a := c.send("GET", path+"/download", "", headers...)
		require.Equal(t, "aes-gcm", a.Header.Get("X-Export-Encryption"))
		require.Equal(t, "1", a.Header.Get("X-Export-Encryption-Recipients"))
		require.True(t, a.Status != 200 || a.Body == string(archive))
	}
	for status, headers := range map[int][]string{412: {"If-Match", `"x"`}, 416: {"Range", "bytes=99999999-"}} {
		a := c.send("GET", path+"/download", "", headers...)
		require.Equal(t, status, a.Status)
		described := []string{a.Header.Get("X-Export-Digest"), a.Header.Get("X-Export-Length"), a.Header.Get("X-Export-Encryption"), a.Header.Get("X-Export-Encryption-Recipients")}
		require.Equal(t, []string{run.Result.ArchiveDigest, strconv.Itoa(len(archive)), "aes-gcm", "1"}, described, "what describes the archive stays, all of it")
		require.Empty(t, a.Header.Get("ETag")+a.Header.Get("Repr-Digest"), "a problem is not the archive")
	}
	said := c.send("GET", path, "")
	require.Equal(t, 200, said.Status)
	for _, member := range []string{`"encrypted":true`, `"mode":"aes-gcm"`, `"recipients":["age1a"]`, `"omitted":[{"reason":"no key service","recipient":"kms://k"}]`, `"plainBytes":10`} {
		require.Contains(t, strings.ReplaceAll(said.Body, `{"recipient":"kms://k","reason":"no key service"}`, `{"reason":"no key service","recipient":"kms://k"}`), member)
	}
}
