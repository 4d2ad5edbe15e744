package frontend_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/ledger"
)

// member is one member of an archive; regular unless kind says otherwise.
type member struct {
	name, content string
	kind          byte
}

func archive(t testing.TB, members ...member) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		h := &tar.Header{Name: m.name, Mode: 0o600, Typeflag: m.kind, Size: int64(len(m.content))}
		if m.kind != 0 {
			h.Size, h.Linkname = 0, m.content
		}
		require.NoError(t, w.WriteHeader(h))
		if m.kind == 0 {
			_, err := w.Write([]byte(m.content))
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	return b.String()
}

func importArchive(t testing.TB, c *caller, query, body string) imported {
	t.Helper()
	a := c.send("POST", documentsPath+query, body, "Content-Type", "application/x-tar")
	require.Equal(t, 200, a.Status, a.Body)
	var result imported
	for line := range strings.Lines(a.Body) {
		result.add(t, []byte(line))
	}
	return result
}

func TestImportOfAnArchive(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	body := archive(t,
		member{name: "../../etc/a.json", content: `{"id":"A"}`}, member{name: "/b.json", content: `{"id":"B"}`},
		member{name: "lines.jsonl", content: `{"id":"C"}` + "\n\n" + `{"noid":1}` + "\n" + `{"id":"A"}`},
		member{name: "dir/", kind: tar.TypeDir}, member{name: ".hidden/x.json", content: `{"id":"X"}`},
		member{name: "link.json", content: "/etc/passwd", kind: tar.TypeSymlink}, member{name: "hard.json", content: "x", kind: tar.TypeLink},
		member{name: "null.json", kind: tar.TypeChar}, member{name: "pipe.json", kind: tar.TypeFifo},
		member{name: "inner.tar", content: "x"}, member{name: "note.txt", content: "x"}, member{name: "bad.json", content: "x"},
	)
	query := "?source=vendor&stream=daily&file=" + url.QueryEscape("feed ä.tar")
	result := importArchive(t, c, query, body)
	require.Nil(t, result.failure)
	require.Equal(t, &frontend.ImportSummary{Read: 12, Accepted: 3, Unchanged: 1, Rejected: 8}, result.summary)
	var told []string
	for _, r := range result.rejections {
		require.Equal(t, "feed ä.tar", r.File)
		told = append(told, fmt.Sprintf("%d %s: %s", r.Record, r.Entry, r.Reason))
	}
	require.Equal(t, []string{
		"4 lines.jsonl, line 3: has no id",
		"6 link.json: a link in an archive is not followed", "7 hard.json: a link in an archive is not followed",
		"8 null.json: a device or pipe, not a file", "9 pipe.json: a device or pipe, not a file",
		"10 inner.tar: an archive or compressed file inside an archive is not opened; unpack it first",
		"11 note.txt: not a .json or .jsonl file", "12 bad.json: not JSON",
	}, told)
	for _, o := range w.Ledger.Documents("acme") {
		require.Equal(t, "vendor daily", o.Source+" "+o.Stream)
	}
	again := importArchive(t, c, query, body)
	require.Equal(t, &frontend.ImportSummary{Read: 12, Unchanged: 4, Rejected: 8}, again.summary)
}

func TestArchivesThatAreNotWhole(t *testing.T) {
	c := newCaller(t, frontendtest.New(t), "acme")
	whole := archive(t, member{name: "a.json", content: `{"id":"A"}`}, member{name: "b.json", content: `{"id":"B"}`})
	for name, body := range map[string]string{
		"no mark at the end": strings.TrimRight(whole, "\x00") + strings.Repeat("\x00", 500), "half a member": whole[:1600], "no archive": "hello", "nothing": "",
	} {
		result := importArchive(t, c, "", body)
		require.Nil(t, result.failure, name)
		require.EqualValues(t, 1, result.summary.Rejected, "%s: %v", name, result.rejections)
	}
	result := importArchive(t, c, "", extended(t, 2<<20))
	require.Contains(t, result.rejections[0].Reason, "header field too long")
	require.Equal(t, &frontend.ImportSummary{Read: 1, Rejected: 1}, result.summary)
}

// extended is an archive whose first member has an extended header of n bytes.
func extended(t *testing.T, n int64) string {
	t.Helper()
	var head bytes.Buffer
	w := tar.NewWriter(&head)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "x", Mode: 0o600, Typeflag: tar.TypeReg, Size: n, Format: tar.FormatUSTAR}))
	block := head.Bytes()[:512]
	block[156] = 'x'
	block = sized(block, n)
	record := fmt.Sprintf("%d path=", n)
	body := record + strings.Repeat("n", int(n)-len(record)-1) + "\n"
	return string(block) + body + archive(t, member{name: "a.json", content: `{"id":"A"}`})
}

// sized gives a header another size, and its sum.
func sized(block []byte, n int64) []byte {
	copy(block[124:136], fmt.Sprintf("%011o\x00", n))
	copy(block[148:156], "        ")
	sum := 0
	for _, b := range block {
		sum += int(b)
	}
	copy(block[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return block
}

// A body that breaks off is the end of the import, not a rejected member.
func TestImportOfAnArchiveThatBreaksOff(t *testing.T) {
	w := frontendtest.New(t)
	whole := archive(t, member{name: "a.json", content: `{"id":"A"}`}, member{name: "b.json", content: strings.Repeat(" ", 4096) + `{"id":"B"}`})
	answer := rawImport(t, w, "application/x-tar", fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(whole), whole[:2048]))
	require.NotContains(t, answer, `"summary"`)
	require.NotContains(t, answer, `"rejection"`)
	require.Contains(t, answer, `{"error":{"code":"ERR_EXPORT_001"`)
}

func TestArchiveParameters(t *testing.T) {
	c := newCaller(t, frontendtest.New(t), "acme")
	for _, query := range []string{"?source=a/b", "?stream=" + strings.Repeat("x", ledger.MaxName+1), "?file=%00", "?file=%ff", "?file=" + strings.Repeat("x", 5000)} {
		require.Equal(t, 400, c.send("POST", documentsPath+query, "", "Content-Type", "application/x-tar").Status, query)
	}
	for _, query := range []string{"?source=a", "?stream=a", "?file=a"} {
		require.Equal(t, 400, c.send("POST", documentsPath+query, "", "Content-Type", "application/x-ndjson").Status, query)
	}
	require.Equal(t, 415, c.send("POST", documentsPath, "", "Content-Type", "application/gzip").Status)
}

// An import that ends before its body does leaves the connection whole.
func TestAnEarlyEndLeavesTheConnectionWhole(t *testing.T) {
	w := frontendtest.New(t)
	transport := &http.Transport{MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	send := func(method, path, mediaType, body string) int {
		req, err := http.NewRequest(method, w.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		req.Header.Set("Authorization", "Bearer "+w.Token(t, "acme"))
		req.Header.Set("Content-Type", mediaType)
		resp, err := client.Do(req)
		require.NoError(t, err)
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		return resp.StatusCode
	}
	for range 50 {
		require.Equal(t, 200, send("POST", "/api/ledger/documents?source=osv&stream=s", "application/x-tar", strings.Repeat("no archive ", 3000)))
		require.Equal(t, 202, send("POST", runsPath, "application/json", `{"profileId":"json:raw"}`))
	}
	require.NotContains(t, w.Log.String(), "concurrent Body.Read")
}
