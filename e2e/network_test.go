package e2e

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/internal/clock"
)

// disturbances are the faults of a link, in toxiproxy's terms; times in
// milliseconds, sizes in bytes, rate in KB/s. Each but the last is made in each
// direction. What closes a connection leaves the link as it is: whoever connects
// again meets the same fault until it ends.
var disturbances = []struct {
	name   string
	toxics []toxic
}{
	{"latency", []toxic{{Type: "latency", Attributes: map[string]int{"latency": 150, "jitter": 100}}}},
	{"reset", []toxic{{Type: "reset_peer", Attributes: map[string]int{"timeout": 100}}}},
	{"silence", []toxic{{Type: "timeout", Attributes: map[string]int{"timeout": 0}}}},
	{"slow close", []toxic{{Type: "slow_close", Attributes: map[string]int{"delay": 800}}, {Type: "limit_data", Attributes: map[string]int{"bytes": 2000}}}},
	{"bandwidth", []toxic{{Type: "bandwidth", Attributes: map[string]int{"rate": 30}}}},
	{"slicer", []toxic{{Type: "slicer", Attributes: map[string]int{"average_size": 64, "size_variation": 32, "delay": 300}}}},
	{"limit", []toxic{{Type: "limit_data", Attributes: map[string]int{"bytes": 5000}}}},
	{"down", nil},
}

// networkCase is one fault of one link.
type networkCase struct {
	link, fault, stream string
	lasts               time.Duration
	toxics              []toxic
}

func (c networkCase) String() string {
	return strings.TrimSuffix(c.link+" "+c.fault+" "+c.stream, " ")
}

// networkCases gives each fault on both links to a server, in one direction or
// the other by turns; with all, each in both.
func networkCases(server string, all bool) (cases []networkCase) {
	for d, disturbance := range disturbances {
		for l, from := range []string{"api", "worker"} {
			for s, stream := range []string{"upstream", "downstream"} {
				c := networkCase{link: from + "-" + server, fault: disturbance.name, stream: stream,
					lasts: time.Second + time.Duration((d+l)%3)*250*time.Millisecond}
				for _, toxic := range disturbance.toxics {
					toxic.Stream = stream
					c.toxics = append(c.toxics, toxic)
				}
				if disturbance.toxics == nil {
					c.stream = ""
				}
				if s == (d+l)%2 || all && disturbance.toxics != nil {
					cases = append(cases, c)
				}
			}
		}
	}
	return append(cases, longSilences(server, all)...)
}

// longSilences outlast the bounds of a single call, which shorter faults do not
// reach: a connection is open and says nothing.
func longSilences(server string, all bool) (cases []networkCase) {
	for _, from := range []string{"api", "worker"} {
		if link := from + "-" + server; all || link == "api-postgres" {
			cases = append(cases, networkCase{link: link, fault: "long silence", stream: "downstream", lasts: 12 * time.Second,
				toxics: []toxic{{Type: "timeout", Stream: "downstream", Attributes: map[string]int{"timeout": 0}}}})
		}
	}
	return cases
}

// TestSlowAndCutConnections disturbs each link of a house with runs in flight.
// Every request ends in its stated time, the service is healthy soon after, and
// every run succeeds with the payload of its undisturbed twin, once.
// FAULTS=all makes every fault in both directions.
func TestSlowAndCutConnections(t *testing.T) {
	t.Parallel() // it waits more than it works
	all, cases := os.Getenv("FAULTS") == "all", 0
	for _, server := range []string{"postgres", "temporal"} {
		faults := networkCases(server, all)
		cases += len(faults)
		t.Run(server, func(t *testing.T) {
			t.Parallel()
			n := openNetwork(t)
			for _, c := range faults {
				t.Run(c.String(), func(t *testing.T) { n.hit(t, c) })
			}
			n.rest(t)
		})
	}
	require.GreaterOrEqual(t, cases, 30)
}

// network is a house apart whose runs are counted.
type network struct {
	*apart
	sample         [][]byte // some documents that the ledger has
	source, stream string   // where it has them from
	twins          map[selection]client.Run
	journal        []*promise
}

// networkDocuments is enough that a run takes a while.
const networkDocuments = 4000

func openNetwork(t *testing.T) *network {
	t.Helper()
	n := &network{apart: openApart(t), twins: map[selection]client.Run{}}
	documents := replicas(t, networkDocuments, "")
	var imported counts
	n.must(t, &imported, "ledger", "import", documents)
	require.Equal(t, networkDocuments, imported.Accepted)
	raw, err := os.ReadFile(documents)
	require.NoError(t, err)
	n.sample = bytes.SplitN(raw, []byte("\n"), 25)[:24]
	n.source, n.stream = n.origin(t)
	for _, of := range []selection{"", "npm"} {
		twin := n.endOf(t, *n.order(t, of), time.Minute)
		require.Equal(t, client.RunStatusSucceeded, twin.Status, "the twin must succeed: %+v", twin.Error)
		require.NotEmpty(t, twin.ArchiveDigest)
		n.twins[of] = twin
	}
	return n
}

// origin gives what the ledger calls the source and the stream of our documents,
// so that they are unchanged when they come again.
func (n *network) origin(t *testing.T) (source, stream string) {
	t.Helper()
	h := n.put(t, question{method: "GET", path: "/api/ledger/documents?limit=1", within: time.Minute})
	require.NoError(t, h.err)
	var page struct {
		Documents []struct{ Source, Stream string }
	}
	require.NoError(t, json.Unmarshal([]byte(h.body), &page), h.body)
	require.NotEmpty(t, page.Documents, h.body)
	return page.Documents[0].Source, page.Documents[0].Stream
}

// order asks for a run, without a fault.
func (n *network) order(t *testing.T, of selection) *promise {
	t.Helper()
	p := &promise{key: clock.NewID(), of: of}
	n.journal = append(n.journal, p)
	require.NoError(t, n.askFor(t, p, healthyWithin), n.tail())
	return p
}

// hit disturbs a link while a run is in flight. A fault that came too late does
// not count and is made again.
func (n *network) hit(t *testing.T, c networkCase) {
	for range tries {
		first := len(n.journal)
		flying := n.order(t, "")
		n.waitBegun(t, flying.run.RunID)
		began := time.Now()
		heal := n.proxies.disturb(t, c.link, c.toxics)
		asked := &promise{key: clock.NewID(), of: "npm"}
		n.journal = append(n.journal, asked)
		answers := n.probe(t, asked, began.Add(c.lasts))
		heal()
		ended := time.Now()
		slowest := answers.wait(t)

		n.waitServing(t, healthyWithin)
		require.NoError(t, n.askFor(t, asked, healthyWithin))
		n.order(t, "npm")
		healthy := time.Since(ended)
		require.Less(t, healthy, healthyWithin)
		for _, p := range n.journal[first:] {
			run := n.endOf(t, *p, time.Minute)
			require.Equal(t, client.RunStatusSucceeded, run.Status, "%+v\n%s", run.Error, n.tail())
			require.Equal(t, n.twins[p.of].PayloadDigest, run.PayloadDigest, "not the bytes of its twin")
			if p == flying {
				flying.run = run
			}
		}
		require.Empty(t, n.ended(), "no process ends because of a link")
		if !flying.run.CompletedAt.After(began) {
			t.Log("the fault missed the run")
			continue
		}
		n.fsck(t, healthyWithin)
		answers.meant(t, c)
		t.Logf("%d requests, the slowest %s; healthy %s after the fault; the run ended %s after it", answers.count(),
			slowest, healthy.Round(time.Millisecond), flying.run.CompletedAt.Sub(ended).Round(time.Millisecond))
		return
	}
	t.Fatalf("no fault hit a run in flight in %d tries: nothing was tested", tries)
}

// rest looks for runs that are stuck, doubled or lost, and for what was left
// behind.
func (n *network) rest(t *testing.T) {
	conn, err := pgx.Connect(t.Context(), n.admin)
	require.NoError(t, err)
	defer conn.Close(context.Background()) //nolint:errcheck // only read
	rows, err := conn.Query(t.Context(), `select id::text || ' ' || status from export_runs`)
	require.NoError(t, err)
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	var want []string
	for _, p := range n.journal {
		want = append(want, p.run.RunID+" succeeded")
	}
	require.ElementsMatch(t, want, got, "each run that was asked for, once, and no other")
	n.fsck(t, healthyWithin, "--deep")
	t.Logf("%d runs", len(got))
}

// question is a request that is repeated during a fault.
type question struct {
	name         string
	method, path string
	body         string
	mediaType    string
	key          string        // Idempotency-Key
	within       time.Duration // when it has its answer, whatever happened; docs/torture.md
	digest       string        // of the body of a good answer, "sha256:" and hex; "" = not compared
}

// overhead is what a busy machine and the client itself may add to a stated time.
const overhead = 2 * time.Second

func (n *network) questions(t *testing.T, asked *promise) []question {
	t.Helper()
	var record strings.Builder
	for _, line := range n.sample {
		require.NoError(t, json.NewEncoder(&record).Encode(client.ImportRecord{Source: n.source, Stream: n.stream, Bytes: line}))
	}
	run := "/api/export/runs/" + n.twins[""].RunID
	return []question{
		{name: "ready", method: "GET", path: "/health/ready", within: 2 * time.Second},
		{name: "create", method: "POST", path: "/api/export/runs", body: `{"profileId":"json:raw","selectors":{"ecosystems":["npm"]}}`, mediaType: "application/json", key: asked.key, within: 13 * time.Second},
		{name: "get", method: "GET", path: run, within: 10 * time.Second},
		{name: "list", method: "GET", path: "/api/export/runs?limit=5", within: 10 * time.Second},
		{name: "manifest", method: "GET", path: run + "/manifest", within: 30 * time.Second},
		{name: "stats", method: "GET", path: "/api/ledger/stats", within: 30 * time.Second},
		{name: "documents", method: "GET", path: "/api/ledger/documents?limit=5", within: 30 * time.Second},
		{name: "download", method: "GET", path: run + "/download", within: 40 * time.Second, digest: n.twins[""].ArchiveDigest},
		{name: "import", method: "POST", path: "/api/ledger/documents", body: record.String(), mediaType: "application/x-ndjson", within: time.Minute},
	}
}

// heard is an answer, or why there was none.
type heard struct {
	question
	status int
	body   string
	err    error
	took   time.Duration
}

// answers are what came back of the questions of one fault.
type answers struct {
	asking sync.WaitGroup
	mu     sync.Mutex
	all    []heard
}

// probe asks every question again and again until the time, and returns then;
// the last answers may still be on their way.
func (n *network) probe(t *testing.T, asked *promise, until time.Time) *answers {
	t.Helper()
	a := &answers{}
	for _, q := range n.questions(t, asked) {
		a.asking.Go(func() {
			for time.Now().Before(until) {
				h := n.put(t, q)
				a.mu.Lock()
				a.all = append(a.all, h)
				a.mu.Unlock()
				time.Sleep(150 * time.Millisecond) // not to be the only load
			}
		})
	}
	time.Sleep(time.Until(until)) // the fault's own duration
	return a
}

// put asks one question and reads the answer to its end.
func (n *network) put(t *testing.T, q question) (h heard) {
	ctx, cancel := context.WithTimeout(t.Context(), q.within+overhead)
	defer cancel()
	began := time.Now()
	defer func() { h.question, h.took = q, time.Since(began) }()
	request, err := http.NewRequestWithContext(ctx, q.method, n.env["STELLA_SERVER"]+q.path, strings.NewReader(q.body))
	if err != nil {
		return heard{err: err}
	}
	request.Header.Set("Authorization", "Bearer "+n.env["STELLA_TOKEN"])
	request.Header.Set("Content-Type", q.mediaType)
	if q.key != "" {
		request.Header.Set("Idempotency-Key", q.key)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return heard{err: err}
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return heard{status: answer.StatusCode, body: string(body), err: err}
}

// wait waits for all answers and holds each to its stated time and to an answer
// that says what to do. It gives the slowest.
func (a *answers) wait(t *testing.T) string {
	t.Helper()
	a.asking.Wait()
	for _, h := range a.all {
		require.NoError(t, h.err, "%s had no answer after %s; it is to have one within %s", h.name, h.took, h.within)
		require.LessOrEqual(t, h.took, h.within+overhead, h.name)
		if h.digest != "" && h.status == http.StatusOK {
			require.Equal(t, h.digest, bundle.DigestOf([]byte(h.body)).String(), "%s gave %d other bytes", h.name, len(h.body))
		}
		if strings.Contains(h.body, `{"error":`) { // the last line of an import
			require.Contains(t, h.body, "ERR_EXPORT_UNAVAILABLE", h.name)
		}
		if h.status >= http.StatusBadRequest && h.name != "ready" {
			require.Equal(t, http.StatusServiceUnavailable, h.status, "%s: %s", h.name, h.body)
			require.Contains(t, h.body, "ERR_EXPORT_UNAVAILABLE", h.name)
		}
	}
	slowest := slices.MaxFunc(a.all, func(a, b heard) int { return cmp.Compare(a.took, b.took) })
	return fmt.Sprintf("%s %s (%d)", slowest.name, slowest.took.Round(time.Millisecond), slowest.status)
}

func (a *answers) count() int { return len(a.all) }

// meant fails when a fault of the API's own links that stops everything was not
// noticed: then it was not there.
func (a *answers) meant(t *testing.T, c networkCase) {
	t.Helper()
	unready := func(h heard) bool { return h.name == "ready" && h.status == http.StatusServiceUnavailable }
	slow := func(h heard) bool { return h.took > c.lasts/2 }
	late := func(h heard) bool { return h.name == "get" && h.took > 9*time.Second }
	switch {
	case !strings.HasPrefix(c.link, "api-"):
	case c.fault == "down":
		require.True(t, slices.ContainsFunc(a.all, unready), "the API was ready all the time: there was no fault")
	case c.fault == "silence":
		require.True(t, slices.ContainsFunc(a.all, slow), "every answer was quick: there was no fault")
	case c.fault == "long silence" && c.link == "api-postgres":
		require.True(t, slices.ContainsFunc(a.all, late), "no request reached its bound")
	}
}
