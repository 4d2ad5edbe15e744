package frontend_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/ledger"
)

const documentsPath = "/api/ledger/documents"

func digestOf(doc string) string { return bundle.DigestOf([]byte(doc)).String() }

func signed(t testing.TB, w *frontendtest.World, claims map[string]any) string {
	return frontendtest.Sign(t, jwa.ES256(), w.Issuer.Key, map[string]any{"kid": frontendtest.KeyID}, claims)
}

// record is one line of an import.
func record(doc string) string {
	return `{"source":"osv","stream":"npm","file":"f.jsonl","entry":"line 1","mediaType":"application/json","bytes":"` +
		base64.StdEncoding.EncodeToString([]byte(doc)) + `"}` + "\n"
}

// imported is the answer of an import.
type imported struct {
	rejections []frontend.Rejection
	recorded   []frontend.ImportSummary
	summary    *frontend.ImportSummary
	failure    *frontend.ImportError
}

func (i *imported) add(t testing.TB, line []byte) {
	t.Helper()
	require.Nil(t, i.summary, "a line after the summary")
	require.Nil(t, i.failure, "a line after the error")
	var parsed frontend.ImportLine
	require.NoError(t, json.Unmarshal(line, &parsed), "%s", line)
	if parsed.Rejection != nil {
		i.rejections = append(i.rejections, *parsed.Rejection)
	}
	if parsed.Recorded != nil {
		i.recorded = append(i.recorded, *parsed.Recorded)
	}
	i.summary, i.failure = parsed.Summary, parsed.Error
}

func importText(t testing.TB, c *caller, body string) imported {
	t.Helper()
	a := c.send("POST", documentsPath, body, "Content-Type", "application/x-ndjson")
	require.Equal(t, 200, a.Status, a.Body)
	var result imported
	for line := range strings.Lines(a.Body) {
		result.add(t, []byte(line))
	}
	return result
}

func TestImportCountsEverything(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	body := record(`{"id":"A","modified":"2026-01-02"}`) + "\n\r\n" +
		record(`{"id":"A","modified":"2026-01-02"}`) +
		record(`{"id":"A","modified":"2026-01-01"}`) +
		record(`{"id":"B"}`) + record(`{"noid":1}`) + record(`not json`) +
		`{"bytes":` + "\n" + `{"bytes":"!!!"}` + "\n" + `{"source":"x"}` + "\n" + `{"bytes":"e30=","byts":1}` + "\n" + `null` + "\n" +
		strings.TrimSuffix(record(`{"id":"C"}`), "\n") // no line end at the end
	result := importText(t, c, body)
	require.Nil(t, result.failure)
	require.Equal(t, &frontend.ImportSummary{Read: 12, Accepted: 3, Unchanged: 1, Superseded: 1, Rejected: 7}, result.summary)
	require.Len(t, result.rejections, 7)
	require.Equal(t, frontend.Rejection{Record: 5, File: "f.jsonl", Entry: "line 1", Reason: "has no id"}, result.rejections[0])
	require.Equal(t, "record 7", result.rejections[2].Entry, "a record that does not say what it is has its number")
	require.EqualValues(t, 7, result.rejections[2].Record)
	for _, r := range result.rejections {
		require.NotEmpty(t, r.Reason)
		require.NotContains(t, r.Reason, "struct")
	}
	again := importText(t, c, record(`{"id":"B"}`))
	require.Equal(t, &frontend.ImportSummary{Read: 1, Unchanged: 1}, again.summary)
	require.Equal(t, &frontend.ImportSummary{}, importText(t, c, "").summary)
}

func TestImportBatches(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	var body strings.Builder
	for i := range 2*ledger.BatchDocuments + 5 {
		body.WriteString(record(fmt.Sprintf(`{"id":"D-%d"}`, i)))
	}
	result := importText(t, c, body.String())
	require.Equal(t, int64(2*ledger.BatchDocuments+5), result.summary.Accepted)
	require.Equal(t, []int{ledger.BatchDocuments, ledger.BatchDocuments, 5}, w.Ledger.Batches)
	require.Len(t, result.recorded, 3)
	for n, r := range result.recorded {
		told := min(int64(n+1)*ledger.BatchDocuments, result.summary.Read)
		require.Equal(t, frontend.ImportSummary{Read: told, Accepted: told}, r, "batch %d", n)
	}

	w.Ledger.Batches = nil
	quarter := strings.Repeat("x", ledger.BatchBytes/4) // and a little more with what is around it
	body.Reset()
	for i := range 4 {
		body.WriteString(record(fmt.Sprintf(`{"id":"E-%d","x":"%s"}`, i, quarter)))
	}
	result = importText(t, c, body.String()+record(`{"id":"E"}`))
	require.Equal(t, int64(5), result.summary.Accepted)
	require.Equal(t, []int{3, 2}, w.Ledger.Batches)
}

// Many imports at once, some of which fail or break off, leave nothing held.
func TestImportsHoldNothingAtTheEnd(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	quarter := strings.Repeat("x", ledger.BatchBytes/4)
	var all sync.WaitGroup
	for n := range 6 {
		all.Go(func() {
			var body strings.Builder
			for d := range 5 {
				body.WriteString(record(fmt.Sprintf(`{"id":"H-%d-%d","x":"%s"}`, n, d, quarter)))
			}
			if n == 5 {
				rawImport(t, w, "application/x-ndjson", fmt.Sprintf("Content-Length: %d\r\n\r\n%s", body.Len()+1, body.String()))
				return
			}
			result := importText(t, c, body.String())
			require.Equal(t, &frontend.ImportSummary{Read: 5, Accepted: 5}, result.summary)
		})
	}
	all.Wait()
	w.Ledger.SetFail(errors.New("broken"))
	require.NotNil(t, importText(t, c, record(`{"id":"F"}`)).failure)
	require.Zero(t, frontend.HeldByImports(w.Server))
}

func TestImportPassesOverHugeLines(t *testing.T) {
	if testing.Short() {
		t.Skip("lines of 180 MB are left out with -short")
	}
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	read, write := io.Pipe()
	go func() {
		io.WriteString(write, record(`{"id":"before"}`))
		io.WriteString(write, `{"bytes":"`)
		chunk := strings.Repeat("A", 1<<20)
		for range 90 {
			io.WriteString(write, chunk)
		}
		io.WriteString(write, "\"}\n")
		io.WriteString(write, record(`{"id":"after"}`))
		// One that fits its line but holds more than a document may.
		io.WriteString(write, record(strings.Repeat("B", ledger.MaxDocument+1)))
		io.WriteString(write, record(`{"id":"last"}`))
		write.Close()
	}()
	result := streamImport(t, c, read)
	require.Nil(t, result.failure)
	require.Equal(t, &frontend.ImportSummary{Read: 5, Accepted: 3, Rejected: 2}, result.summary)
	require.Contains(t, result.rejections[0].Reason, "longer than")
	require.Contains(t, result.rejections[1].Reason, "67108865 bytes")
}

func streamImport(t *testing.T, c *caller, body io.Reader) imported {
	t.Helper()
	req, err := http.NewRequest("POST", c.world.URL+documentsPath, body)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/x-ndjson")
	resp, err := c.client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 200, resp.StatusCode)
	var result imported
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		result.add(t, lines.Bytes())
	}
	require.NoError(t, lines.Err())
	return result
}

// A rejection is there while the client still has documents to send.
func TestImportAnswersWhileItReads(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	read, write := io.Pipe()
	req, err := http.NewRequest("POST", w.URL+documentsPath, read)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+c.token)
	req.Header.Set("Content-Type", "application/x-ndjson")
	go io.WriteString(write, record(`no document`))
	resp, err := c.client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer := bufio.NewReader(resp.Body)
	line, err := answer.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, `"rejection"`)
	io.WriteString(write, record(`{"id":"later"}`))
	write.Close()
	for _, last := range []string{"recorded", "summary"} {
		line, err = answer.ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, line, `"`+last+`":{"accepted":1,"read":2,"rejected":1`)
	}
}

// A body that breaks off is told as such: an error line and no summary.
func TestImportCutBody(t *testing.T) {
	w := frontendtest.New(t)
	whole := record(`{"id":"one"}`) + record(`{"id":"two"}`)
	for name, head := range map[string]string{
		"chunked": fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(whole), whole),
		"length":  fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(whole)+100, whole),
	} {
		t.Run(name, func(t *testing.T) {
			answer := rawImport(t, w, "application/x-ndjson", head)
			require.NotContains(t, answer, `"summary"`)
			require.Contains(t, answer, `{"error":{"code":"ERR_EXPORT_001"`)
		})
	}
}

// rawImport sends what no client would, and gives everything that is answered.
// rest follows the headers that every request has.
func rawImport(t *testing.T, w *frontendtest.World, mediaType, rest string) string {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\n%s", documentsPath, w.Token(t, "acme"), mediaType, rest)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	return string(answer)
}

func TestImportToldWhenTheLedgerFails(t *testing.T) {
	w := frontendtest.New(t)
	w.Ledger.Fail = errors.New("FATAL: password authentication failed for user app (SQLSTATE 28P01)")
	c := newCaller(t, w, "acme")
	result := importText(t, c, record(`{"id":"A"}`))
	require.Nil(t, result.summary)
	require.Equal(t, "ERR_EXPORT_INTERNAL", result.failure.Code)
	require.NotContains(t, result.failure.Message, "SQLSTATE")
	require.Contains(t, w.Log.String(), result.failure.TraceID)
	w.Ledger.Fail = export.Errorf(export.CodeUnavailable, "the ledger is busy; try again")
	require.Equal(t, "ERR_EXPORT_UNAVAILABLE", importText(t, c, record(`{"id":"A"}`)).failure.Code)
}

func TestImportWantsNDJSON(t *testing.T) {
	c := newCaller(t, frontendtest.New(t), "acme")
	require.Equal(t, 415, c.send("POST", documentsPath, "{}", "Content-Type", "application/json").Status)
}

func TestOriginalDocument(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	doc := "{\"id\":\"A\",\n  \"x\": 1.0}"
	importText(t, c, record(doc))
	path := documentsPath + "/" + digestOf(doc)
	a := c.send("GET", path, "")
	require.Equal(t, 200, a.Status)
	require.Equal(t, doc, a.Body)
	require.Equal(t, `"`+digestOf(doc)+`"`, a.Header.Get("ETag"))
	require.Equal(t, "application/octet-stream", a.Header.Get("Content-Type"))
	require.Equal(t, 304, c.send("GET", path, "", "If-None-Match", a.Header.Get("ETag")).Status)
	for _, bad := range []string{"sha256:zz", strings.ToUpper(digestOf(doc)), strings.TrimPrefix(digestOf(doc), "sha256:"), "md5:00"} {
		require.Equal(t, 400, c.send("GET", documentsPath+"/"+bad, "").Status, bad)
	}
	w.Ledger.Corrupt("acme", bundle.DigestOf([]byte(doc)))
	broken := c.send("GET", path, "")
	require.Equal(t, 500, broken.Status)
	require.NotContains(t, broken.Body, "something else")
}
