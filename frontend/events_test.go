package frontend_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwa"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/storage"
)

func eventsPath(run export.Run) string { return runsPath + "/" + run.ID + "/events" }

// openStream opens a stream whose lines are read one by one; it is closed with the test.
func openStream(t *testing.T, w *frontendtest.World, token, path string, headers ...string) (*http.Response, *bufio.Scanner) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	req, err := http.NewRequestWithContext(ctx, "GET", w.URL+path, nil)
	require.NoError(t, err)
	req.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	require.NoError(t, err)
	t.Cleanup(func() {
		cancel()
		resp.Body.Close()
	})
	return resp, bufio.NewScanner(resp.Body)
}

// nextLine gives the next line that begins with prefix, "" at the end.
func nextLine(lines *bufio.Scanner, prefix string) string {
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), prefix) {
			return lines.Text()
		}
	}
	return ""
}

// whatFollows reads a stream to its end and counts lines that are not empty.
func whatFollows(lines *bufio.Scanner) (n int) {
	for lines.Scan() {
		if lines.Text() != "" {
			n++
		}
	}
	return n
}

func TestEventsAreReplayedAndFollowed(t *testing.T) {
	w := frontendtest.New(t)
	run := w.Run("acme", export.StateRunning)
	w.Runs.Say(run.Ref(), export.EventPending, "waits")
	w.Runs.Say(run.Ref(), export.EventStarted, "two\nlines, \"quotes\" and ü")
	resp, lines := openStream(t, w, w.Token(t, "acme"), eventsPath(run))
	require.Equal(t, 200, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	require.Equal(t, "no-store", resp.Header.Get("Cache-Control"))
	require.Equal(t, "id: 1", nextLine(lines, "id:"))
	require.Equal(t, "event: run.pending", nextLine(lines, "event:"))
	require.Equal(t, "id: 2", nextLine(lines, "id:"))
	var event frontend.RunEvent
	require.NoError(t, json.Unmarshal([]byte(strings.TrimPrefix(nextLine(lines, "data:"), "data: ")), &event))
	require.Equal(t, frontend.RunEvent{RunID: run.ID, Seq: 2, EventType: "run.started", Message: "two\nlines, \"quotes\" and ü",
		At: frontendtest.Start, Metrics: map[string]int64{"n": 2}}, event)
	_, shared := openStream(t, w, w.Token(t, "acme"), eventsPath(run), "Last-Event-ID", "1")
	require.Equal(t, "id: 2", nextLine(shared, "id:"), "of what the first has read, what follows")
	w.Runs.Say(run.Ref(), export.EventAdapterChunk, "live")
	require.Equal(t, "id: 3", nextLine(lines, "id:"))
	w.Runs.Say(run.Ref(), export.EventAdapterChunk, "live")
	require.Equal(t, "id: 4", nextLine(lines, "id:"))
	_, second := openStream(t, w, w.Token(t, "acme"), eventsPath(run), "Last-Event-ID", "3")
	require.Equal(t, "id: 4", nextLine(second, "id:"), "what another reader has read is shared from the right place on")
	_, third := openStream(t, w, w.Token(t, "acme"), eventsPath(run), "Last-Event-ID", "1")
	require.Equal(t, "id: 2", nextLine(third, "id:"))
	w.Runs.End(run.Ref(), export.StateFailed)
	require.Equal(t, "id: 5", nextLine(lines, "id:"))
	require.Empty(t, nextLine(lines, "id:"), "the stream ends behind the end of the run")
	require.NoError(t, lines.Err(), "as an answer that is complete")
}

func TestWhereEventsBegin(t *testing.T) {
	w := frontendtest.New(t)
	run := w.Run("acme", export.StateRunning)
	for range 250 { // more than a page
		w.Runs.Say(run.Ref(), export.EventAdapterChunk, "chunk")
	}
	c := newCaller(t, w, "acme")
	first := func(a answer) string {
		require.Equal(t, 200, a.Status, a.Body)
		_, rest, _ := strings.Cut(a.Body, "id: ")
		id, _, _ := strings.Cut(rest, "\n")
		return fmt.Sprint(id, " ", strings.Count(a.Body, "id: "))
	}
	path := eventsPath(run) + "?follow=false"
	require.Equal(t, "1 250", first(c.send("GET", path, "")))
	require.Equal(t, "249 2", first(c.send("GET", path, "", "Last-Event-ID", "248")))
	require.Equal(t, "6 245", first(c.send("GET", path+"&after=5", "")))
	require.Equal(t, "250 1", first(c.send("GET", path+"&after=5", "", "Last-Event-ID", "249")), "the header wins")
	require.Equal(t, " 0", first(c.send("GET", path, "", "Last-Event-ID", "250")))
	for _, bad := range []string{"251", "-1", "x", "1.0", "99999999999999999999", "9223372036854775807"} {
		require.Equal(t, 400, c.send("GET", path, "", "Last-Event-ID", bad).Status, bad)
	}
	require.Equal(t, 400, c.send("GET", path+"&after=-1", "").Status)
	w.Runs.End(run.Ref(), export.StateSucceeded)
	require.Equal(t, "251 1", first(c.send("GET", eventsPath(run), "", "Last-Event-ID", "250")))
	require.Equal(t, 204, c.send("GET", eventsPath(run), "", "Last-Event-ID", "251").Status)
	require.Equal(t, 400, c.send("GET", eventsPath(run), "", "Last-Event-ID", "252").Status)
	head := c.send("HEAD", eventsPath(run), "")
	require.Equal(t, 200, head.Status)
	require.Equal(t, "text/event-stream", head.Header.Get("Content-Type"))
}

// An idle stream says something; one whose token expires ends.
func TestStreamsBeatAndEndWithTheirToken(t *testing.T) {
	w := frontendtest.New(t, func(c *frontend.Config) { c.Streams.Heartbeat = 20 * time.Millisecond })
	run := w.Run("acme", export.StateRunning)
	claims := w.Issuer.Claims("acme", "export:read")
	claims["exp"] = frontendtest.Start.Unix() + 1 // the world's clock stands still at 123 ms past the second
	token := frontendtest.Sign(t, jwa.ES256(), w.Issuer.Key, map[string]any{"kid": frontendtest.KeyID, "typ": "JWT"}, claims)
	_, lines := openStream(t, w, token, eventsPath(run))
	require.Equal(t, ": still here", nextLine(lines, ": still"))
	require.Equal(t, ": still here", nextLine(lines, ": still"))
	require.Equal(t, ": the token has expired", nextLine(lines, ": the"))
	require.Zero(t, whatFollows(lines))
	require.NoError(t, lines.Err())
}

// A tenant that is suspended hears no more.
func TestStreamsOfASuspendedTenantEnd(t *testing.T) {
	w := frontendtest.New(t, func(c *frontend.Config) { c.Streams.Heartbeat = 10 * time.Millisecond })
	run := w.Run("acme", export.StateRunning)
	_, lines := openStream(t, w, w.Token(t, "acme"), eventsPath(run))
	require.Equal(t, ": still here", nextLine(lines, ": still"))
	require.NoError(t, w.Tenants.CreateTenant(t.Context(), export.Tenant{Name: "acme", State: export.TenantSuspended}))
	w.SetTime(w.Now().Add(time.Minute)) // what is known of tenants is old by now
	require.Equal(t, ": the tenant is suspended", nextLine(lines, ": the"))
	require.Zero(t, whatFollows(lines))
}

// What no notice tells of is found all the same.
func TestALostNoticeCostsNoEvent(t *testing.T) {
	deaf := &deafJournal{}
	w := frontendtest.New(t, func(c *frontend.Config) {
		deaf.Journal, c.Journal = c.Journal, deaf
		c.Streams.Look = 20 * time.Millisecond
	})
	run := w.Run("acme", export.StateRunning)
	_, lines := openStream(t, w, w.Token(t, "acme"), eventsPath(run))
	nextLine(lines, ": events")
	w.Runs.Say(run.Ref(), export.EventStarted, "started")
	require.Equal(t, "id: 1", nextLine(lines, "id:"))
	w.Runs.End(run.Ref(), export.StateSucceeded)
	require.Equal(t, "id: 2", nextLine(lines, "id:"))
}

// deafJournal hears nothing, and its listening breaks again and again.
type deafJournal struct{ storage.Journal }

func (deafJournal) Hear(context.Context, func(storage.Notice)) error {
	return fmt.Errorf("the connection broke")
}

func TestStreamsOfATenantAreLimited(t *testing.T) {
	w := frontendtest.New(t, func(c *frontend.Config) { c.Streams.PerTenant = 2 })
	run := w.Run("acme", export.StateRunning)
	c := newCaller(t, w, "acme")
	first, lines := openStream(t, w, c.token, eventsPath(run))
	openStream(t, w, c.token, eventsPath(run))
	full := c.send("GET", eventsPath(run), "")
	require.Equal(t, 429, full.Status)
	require.Equal(t, "ERR_EXPORT_QUOTA", full.problem(t).Code)
	require.Equal(t, "2", full.Header.Get("X-Stella-Quota-Limit"))
	require.NotEmpty(t, full.Header.Get("Retry-After"))
	other := w.Run("globex", export.StateRunning)
	open, _ := openStream(t, w, w.Token(t, "globex"), eventsPath(other))
	require.Equal(t, 200, open.StatusCode, "another tenant has places of its own")
	nextLine(lines, ": events")
	first.Body.Close()
	require.Eventually(t, func() bool { return c.send("GET", eventsPath(run)+"?follow=false", "").Status == 200 },
		5*time.Second, 5*time.Millisecond, "the place of a closed stream is free")
}

// A reader that takes nothing is cut, and holds nobody up.
func TestASlowReaderIsCut(t *testing.T) {
	w := frontendtest.New(t, func(c *frontend.Config) { c.Streams.WritePatience = time.Second })
	run := w.Run("acme", export.StateRunning)
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.URL, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4096))
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", eventsPath(run), w.Token(t, "acme"))
	_, lines := openStream(t, w, w.Token(t, "acme"), eventsPath(run))
	lines.Buffer(nil, 1<<20)
	const n = 300
	go func() {
		for range n {
			w.Runs.Say(run.Ref(), export.EventAdapterChunk, strings.Repeat("x", 64<<10))
		}
	}()
	for i := range n {
		require.Equal(t, fmt.Sprint("id: ", i+1), nextLine(lines, "id:"))
	}
	require.Eventually(t, func() bool { return frontend.OpenStreams(w.Server) == 1 }, 10*time.Second, 10*time.Millisecond)
}

// A server that stops ends its streams as complete answers, at once.
func TestStreamsEndWhenTheServerStops(t *testing.T) {
	w := frontendtest.New(t)
	run := w.Run("acme", export.StateRunning)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Server.Serve(ctx, ln) }()
	var open sync.WaitGroup
	for range 20 {
		_, lines := openStream(t, &frontendtest.World{URL: "http://" + ln.Addr().String()}, w.Token(t, "acme"), eventsPath(run))
		nextLine(lines, ": events")
		open.Go(func() {
			if got := nextLine(lines, ": the server"); got == "" || whatFollows(lines) > 0 || lines.Err() != nil {
				t.Errorf("%q, %v", got, lines.Err())
			}
		})
	}
	began := time.Now()
	stop()
	open.Wait()
	require.NoError(t, <-ended)
	require.Less(t, time.Since(began), 5*time.Second)
}
