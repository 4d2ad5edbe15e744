package frontend_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/signing"
	"github.com/stella-ops/exportcenter/storage"
)

// entriesOf reads a tenant's record and follows its chain.
func entriesOf(t testing.TB, w *frontendtest.World, tenant string) (entries []audit.Entry) {
	t.Helper()
	rows, _, err := w.Audit.Entries(t.Context(), tenant, storage.AuditFilter{Limit: 1 << 20})
	require.NoError(t, err)
	chain := audit.NewChain(tenant)
	for _, row := range rows {
		e, err := chain.Follow(row.Line)
		require.NoError(t, err)
		entries = append(entries, e)
	}
	return entries
}

// A call that changes something is in the record before and after, with what
// came of it.
func TestCallsAreRecorded(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	made := c.send("POST", runsPath, `{"profileId":"json:raw"}`)
	require.Equal(t, 202, made.Status)
	id := made.run(t).RunID
	c.send("GET", runsPath+"/"+id, "")
	require.Equal(t, 202, c.send("POST", runsPath+"/"+id+"/cancel", `{}`, "X-Stella-Reason", "a mistake", "X-Stella-Ticket", "OPS-7").Status)
	require.Equal(t, 404, c.send("POST", runsPath+"/"+id[:35]+"f/cancel", `{}`).Status)

	entries := entriesOf(t, w, "acme")
	require.Len(t, entries, 6, "reading changes nothing")
	for i := 0; i < len(entries); i += 2 {
		begun, ended := entries[i], entries[i+1]
		require.Equal(t, audit.CallBegun, begun.Event)
		require.Zero(t, begun.Status)
		require.Equal(t, audit.CallEnded, ended.Event)
		require.Equal(t, begun.RequestID, ended.RequestID)
		require.Equal(t, "tester@acme", begun.Subject)
		require.Len(t, begun.TraceID, 32)
	}
	require.Equal(t, made.Header.Get("X-Stella-Request-Id"), entries[0].RequestID)
	require.Equal(t, "CreateRun", entries[0].Operation)
	require.Equal(t, runsPath, entries[0].Path)
	require.Equal(t, 202, entries[1].Status)
	require.Equal(t, "CancelRun", entries[2].Operation)
	require.Equal(t, runsPath+"/"+id+"/cancel", entries[2].Path)
	require.Equal(t, "a mistake", entries[3].Reason)
	require.Equal(t, "OPS-7", entries[3].Ticket)
	require.Equal(t, 404, entries[5].Status)
	require.Equal(t, "ERR_EXPORT_003", entries[5].Code)
	require.Empty(t, entriesOf(t, w, "globex"))
}

// Who was refused is in the record too: by name when somebody has proved to be
// somebody, else counted.
func TestRefusedCallsAreRecorded(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	c.token = w.Issuer.Token(t, "acme", "export:read")
	require.Equal(t, 403, c.send("POST", runsPath, `{"profileId":"json:raw"}`).Status)
	require.Equal(t, 403, c.send("GET", "/api/ledger/stats", "").Status)
	require.Equal(t, 403, c.send("GET", runsPath, "", "X-Stella-Tenant", "globex").Status)
	entries := entriesOf(t, w, "acme")
	require.Len(t, entries, 3)
	for i, want := range []struct{ operation, method, code string }{
		{"CreateRun", "POST", "ERR_EXPORT_SCOPE"}, {"LedgerStats", "GET", "ERR_EXPORT_SCOPE"}, {"ListRuns", "GET", "ERR_EXPORT_008"},
	} {
		e := entries[i]
		require.Equal(t, audit.CallRefused, e.Event)
		require.Equal(t, want, struct{ operation, method, code string }{e.Operation, e.Method, e.Code})
		require.Equal(t, 403, e.Status)
		require.Equal(t, "tester@acme", e.Subject)
	}
	require.Empty(t, entriesOf(t, w, "globex"))

	c.token = "not a token"
	for range 5 {
		require.Equal(t, 401, c.send("POST", runsPath, `{}`).Status)
	}
	require.Equal(t, 401, c.send("GET", runsPath, "").Status)
	frontend.WriteRefusals(w.Server)
	counts := map[string]int64{}
	for _, e := range entriesOf(t, w, audit.Installation) {
		require.Empty(t, e.Subject+e.Path+e.Reason, "nothing that a stranger wrote")
		counts[e.Operation] = e.Count
	}
	require.Equal(t, map[string]int64{"CreateRun": 5, "ListRuns": 1}, counts)
}

// Somebody who is refused all the time is counted, as strangers are, and a stranger's
// words are nowhere.
func TestAFloodOfRefusalsIsCounted(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	c.token = w.Issuer.Token(t, "acme", "export:read")
	const calls = 90
	for range calls {
		require.Equal(t, 403, c.send("POST", runsPath, `{}`, "X-Stella-Reason", "flood").Status)
	}
	frontend.WriteRefusals(w.Server)
	entries := entriesOf(t, w, "acme")
	require.Len(t, entries, 51, "50 by name, and one for all others")
	require.Equal(t, int64(calls-50), entries[50].Count)
	require.Equal(t, "tester@acme", entries[50].Subject)

	stranger := newCaller(t, w, "acme")
	stranger.token = "x"
	for i := range 5 {
		require.Equal(t, 401, stranger.send(strings.Repeat("A", 20_000)+fmt.Sprint(i), "/api/x", "").Status)
	}
	frontend.WriteRefusals(w.Server)
	of := entriesOf(t, w, audit.Installation)
	require.Len(t, of, 1)
	require.Equal(t, "other", of[0].Method)
	require.Equal(t, int64(5), of[0].Count)
}

// A token of one project sees its own entries, and cannot take the whole record.
func TestAProjectSeesItsOwnEntries(t *testing.T) {
	w := frontendtest.New(t)
	newCaller(t, w, "acme").send("POST", runsPath, `{"profileId":"json:raw"}`)
	claims := w.Issuer.Claims("acme", frontendtest.AllScopes...)
	claims["project"] = "web"
	c := &caller{t: t, world: w, client: w.Client(t), token: signed(t, w, claims)}
	c.send("POST", runsPath, `{"profileId":"json:raw"}`)
	w.SignAudit(t, "acme")
	a := c.send("GET", "/api/audit/entries", "")
	require.Equal(t, 2, strings.Count(a.Body, `"seq"`), a.Body)
	require.NotContains(t, a.Body, `"seq":1,`)
	require.Equal(t, 403, c.send("GET", "/api/audit/export", "").Status)
}

// What cannot be recorded is not done.
func TestWhatCannotBeRecordedIsNotDone(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	w.Audit.Fail = func(string, []audit.Entry) error { return errors.New("the disk is full of secrets") }
	refused := c.send("POST", runsPath, `{"profileId":"json:raw"}`)
	require.Equal(t, 503, refused.Status)
	require.NotContains(t, refused.Body, "secrets")
	require.Empty(t, w.Starter.Started)
	require.Equal(t, 200, c.send("GET", runsPath, "").Status, "reading goes on")
	require.NotContains(t, c.send("GET", runsPath, "").Body, "runId")

	// One whose end cannot be recorded has its beginning in the record.
	w.Audit.Fail = func(_ string, entries []audit.Entry) error {
		if entries[0].Event == audit.CallEnded {
			return errors.New("full again")
		}
		return nil
	}
	require.Equal(t, 202, c.send("POST", runsPath, `{"profileId":"json:raw"}`).Status)
	entries := entriesOf(t, w, "acme")
	require.Len(t, entries, 1)
	require.Equal(t, audit.CallBegun, entries[0].Event)
	require.Contains(t, w.Log.String(), "the end of a call is not in the audit record")
}

// A handler that panics has an end in the record as well.
func TestAPanicIsRecorded(t *testing.T) {
	w := frontendtest.New(t)
	w.Starter.OnStart = func(export.Run) { panic("for the test") }
	require.Equal(t, 500, newCaller(t, w, "acme").send("POST", runsPath, `{"profileId":"json:raw"}`).Status)
	entries := entriesOf(t, w, "acme")
	require.Len(t, entries, 2)
	require.Equal(t, 500, entries[1].Status)
	require.Equal(t, "ERR_EXPORT_INTERNAL", entries[1].Code)
}

// Calls that come together are written together, and none is lost.
func TestManyCallsShareAnAppend(t *testing.T) {
	w := frontendtest.New(t)
	var appends atomic.Int64
	hold := make(chan struct{})
	release := sync.OnceFunc(func() { close(hold) })
	defer release()
	w.Audit.Fail = func(string, []audit.Entry) error {
		if appends.Add(1) == 1 {
			<-hold
		}
		return nil
	}
	const calls = 40
	var group sync.WaitGroup
	c := newCaller(t, w, "acme")
	c.token = w.Issuer.Token(t, "acme", "export:read")
	call := func() {
		if a := c.send("POST", runsPath, `{}`); a.Status != 403 {
			t.Errorf("status %d", a.Status)
		}
	}
	group.Go(call)
	// Until the first is being written, whoever comes is written with it.
	require.Eventually(t, func() bool { return appends.Load() == 1 }, 10*time.Second, time.Millisecond)
	for range calls - 1 {
		group.Go(call)
	}
	require.Eventually(t, func() bool { return frontend.WaitingForRecord(w.Server, "acme") == calls-1 }, 10*time.Second, time.Millisecond)
	release()
	group.Wait()
	require.Len(t, entriesOf(t, w, "acme"), calls)
	require.Equal(t, int64(2), appends.Load(), "all that waited were written together")
}

func TestListAuditEntries(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	for range 3 {
		c.send("POST", runsPath, `{"profileId":"json:raw"}`)
	}
	newCaller(t, w, "globex").send("POST", runsPath, `{"profileId":"json:raw"}`)
	list := func(query string) (page frontend.AuditPage) {
		a := c.send("GET", "/api/audit/entries"+query, "")
		require.Equal(t, 200, a.Status, a.Body)
		require.NoError(t, json.Unmarshal([]byte(a.Body), &page))
		return page
	}
	all := list("")
	require.Len(t, all.Entries, 6)
	require.Zero(t, all.Next)
	require.Equal(t, all.Entries[0].Hash, all.Entries[1].Previous)
	require.NotContains(t, fmt.Sprint(all), "globex")
	first := list("?limit=4")
	require.Len(t, first.Entries, 4)
	require.Equal(t, int64(4), first.Next)
	require.Equal(t, all.Entries[4:], list("?limit=4&after=4").Entries)
	require.Len(t, list("?event=call.ended").Entries, 3)
	require.Empty(t, list("?subject=somebody").Entries)
	require.Len(t, list("?operation=CreateRun&from=2026-11-21T00:00:00Z&to=2026-11-22T00:00:00Z").Entries, 6)
	for query, field := range map[string]string{
		"?limit=0": "limit", "?limit=501": "limit", "?after=-1": "after", "?event=call": "event", "?from=yesterday": "from",
		"?subject=%00": "subject", "?operation=": "operation",
	} {
		a := c.send("GET", "/api/audit/entries"+query, "")
		require.Equal(t, 400, a.Status, query)
		require.Contains(t, a.problem(t).Message, field)
	}
}

// What is exported can be verified without us.
func TestExportAudit(t *testing.T) {
	w := frontendtest.New(t)
	c := newCaller(t, w, "acme")
	require.Equal(t, 409, c.send("GET", "/api/audit/export", "").Status, "nothing is signed yet")
	for range 600 { // more than a page
		require.NoError(t, w.Audit.Append(t.Context(), "acme", []audit.Entry{{At: w.Now(), Event: audit.CallRefused, RequestID: "x", Method: "GET"}}))
	}
	key, err := signing.ParsePublicKey(w.SignAudit(t, "acme").PublicKeyPEM())
	require.NoError(t, err)
	keys := []signing.Verifier{key}
	c.send("POST", runsPath, `{"profileId":"json:raw"}`) // behind the checkpoint

	whole := c.send("GET", "/api/audit/export", "")
	require.Equal(t, 200, whole.Status, whole.Body)
	report, err := audit.Verify(strings.NewReader(whole.Body), keys, nil)
	require.NoError(t, err)
	require.Equal(t, [2]int64{1, 600}, [2]int64{report.First, report.Last})
	report, err = audit.Verify(strings.NewReader(c.send("GET", "/api/audit/export?from=599", "").Body), keys, nil)
	require.NoError(t, err)
	require.Equal(t, [2]int64{599, 600}, [2]int64{report.First, report.Last})
	require.Equal(t, 409, c.send("GET", "/api/audit/export?from=601", "").Status)
	require.Equal(t, 400, c.send("GET", "/api/audit/export?from=0", "").Status)
	require.Equal(t, 409, newCaller(t, w, "globex").send("GET", "/api/audit/export", "").Status)
}
