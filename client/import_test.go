package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/ledger"
)

func documents(n int) iter.Seq2[client.ImportRecord, error] {
	return func(yield func(client.ImportRecord, error) bool) {
		for i := range n {
			doc := fmt.Sprintf(`{"id":"D-%d"}`, i)
			if i%10 == 9 {
				doc = "not JSON"
			}
			if !yield(client.ImportRecord{Source: "osv", Stream: "s", File: "f", Entry: fmt.Sprint(i), Bytes: []byte(doc)}, nil) {
				return
			}
		}
	}
}

// collected gathers what an import tells.
type collected struct {
	sum        client.ImportSummary
	rejections []client.Rejection
}

func (c *collected) settled(s client.Settled) error {
	c.sum.Read += s.Summary.Read
	c.sum.Rejected += s.Summary.Rejected
	c.rejections = append(c.rejections, s.Rejections...)
	return nil
}

func TestImport(t *testing.T) {
	for _, jobs := range []int{0, 1, 8} {
		w := frontendtest.New(t)
		c := newClient(t, w)
		var told collected
		total, err := c.ImportDocuments(t.Context(), documents(2*ledger.BatchDocuments+500), client.Import{Jobs: jobs, Settled: told.settled})
		require.NoError(t, err)
		count := int64(2*ledger.BatchDocuments + 500)
		require.Equal(t, client.ImportSummary{Read: count, Accepted: count - count/10, Rejected: count / 10}, total.Summary)
		require.Zero(t, total.Resent)
		require.Equal(t, count, told.sum.Read)
		require.Len(t, told.rejections, int(count/10))
		for n, r := range told.rejections {
			require.Equal(t, client.Rejection{Record: int64(n)*10 + 10, File: "f", Entry: fmt.Sprint(n*10 + 9), Reason: "not JSON"}, r)
		}
		doc := `{"id":"D-0"}`
		got, err := c.Original(t.Context(), bundle.DigestOf([]byte(doc)).String())
		require.NoError(t, err)
		require.Equal(t, doc, string(got))
		_, err = c.Original(t.Context(), "sha256:x")
		require.Error(t, err)
	}
}

// What is sent is what a strict reader reads, whatever names files have.
func TestImportOfOddNames(t *testing.T) {
	w := frontendtest.New(t)
	var told collected
	names := []string{"a\"b\\c.json", "\xff\xfe.json", "line\nfeed\x00.json", "\u2028<&>.json", ""}
	_, err := newClient(t, w).ImportDocuments(t.Context(), func(yield func(client.ImportRecord, error) bool) {
		for _, name := range names {
			yield(client.ImportRecord{File: name, Entry: name, Bytes: []byte("no")}, nil)
		}
		yield(client.ImportRecord{Entry: "empty"}, nil)
	}, client.Import{Settled: told.settled})
	require.NoError(t, err)
	for n, name := range names[:4] {
		require.Equal(t, strings.ToValidUTF8(name, "\ufffd"), told.rejections[n].File)
		require.Equal(t, "not JSON", told.rejections[n].Reason)
	}
	require.Equal(t, "record 5", told.rejections[4].Entry)
	require.Len(t, told.rejections, 6)
}

func TestImportEndsEarly(t *testing.T) {
	w := frontendtest.New(t)
	c := newClient(t, w)
	full := errors.New("the disk with the documents is gone")
	_, err := c.ImportDocuments(t.Context(), func(yield func(client.ImportRecord, error) bool) {
		if yield(client.ImportRecord{Bytes: []byte(`{"id":"x"}`)}, nil) {
			yield(client.ImportRecord{}, full)
		}
	}, client.Import{})
	require.ErrorIs(t, err, full)

	stop := errors.New("enough")
	_, err = c.ImportDocuments(t.Context(), documents(100000), client.Import{Settled: func(client.Settled) error { return stop }})
	require.ErrorIs(t, err, stop)

	nobody, err := client.New(w.URL, w.Issuer.Token(t, "acme", "export:read"))
	require.NoError(t, err)
	_, err = nobody.ImportDocuments(t.Context(), documents(100000), client.Import{})
	var problem *client.Problem
	require.ErrorAs(t, err, &problem)
	require.Equal(t, "ERR_EXPORT_SCOPE", problem.Code)

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = c.ImportDocuments(ctx, func(yield func(client.ImportRecord, error) bool) {
		for yield(client.ImportRecord{Bytes: []byte(`{"id":"x"}`)}, nil) {
			time.Sleep(time.Millisecond)
		}
	}, client.Import{})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// A server that rests is asked again; one that was never there is given up soon.
func TestImportOfAServerThatRests(t *testing.T) {
	w := frontendtest.New(t)
	c := newClient(t, w)
	w.Ledger.SetFail(export.Errorf(export.CodeUnavailable, "the ledger rests"))
	var asked atomic.Int64
	total, err := c.ImportDocuments(t.Context(), documents(100), client.Import{Again: func(cause error, _ time.Duration) {
		if asked.Add(1) == 2 {
			w.Ledger.SetFail(nil)
		}
	}})
	require.NoError(t, err)
	require.EqualValues(t, 2, asked.Load())
	require.Equal(t, client.ImportSummary{Read: 100, Accepted: 90, Rejected: 10}, total.Summary)
	require.EqualValues(t, 100, total.Resent)

	w.Ledger.SetFail(errors.New("broken for good"))
	_, err = c.ImportDocuments(t.Context(), documents(100), client.Import{})
	var problem *client.Problem
	require.ErrorAs(t, err, &problem, "an error that does not go away is not tried again")
	require.Equal(t, 500, problem.Status)

	w.Ledger.SetFail(export.Errorf(export.CodeUnavailable, "the ledger rests"))
	_, err = c.ImportDocuments(t.Context(), documents(100), client.Import{})
	require.ErrorAs(t, err, &problem)
	require.True(t, client.Temporary(err))
}

// cutter passes connections on and cuts each at a random place, in either
// direction, until it is told to be kind.
type cutter struct {
	net.Listener
	server string
	kind   atomic.Bool
	cuts   atomic.Int64
	mu     sync.Mutex
	chance *rand.Rand
	ended  sync.WaitGroup
	open   []net.Conn
}

func newCutter(t *testing.T, w *frontendtest.World, seed uint64) *cutter {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c := &cutter{Listener: listener, server: strings.TrimPrefix(w.URL, "http://"), chance: rand.New(rand.NewPCG(seed, 0))}
	c.ended.Go(c.serve)
	t.Cleanup(func() {
		listener.Close()
		c.mu.Lock()
		for _, conn := range c.open { // also those that the client keeps for later
			conn.Close()
		}
		c.mu.Unlock()
		c.ended.Wait()
	})
	return c
}

func (c *cutter) serve() {
	for {
		front, err := c.Accept()
		if err != nil {
			return
		}
		back, err := net.Dial("tcp", c.server)
		if err != nil {
			front.Close()
			continue
		}
		request, answer := int64(1)<<40, int64(1)<<40
		c.mu.Lock()
		c.open = append(c.open, front, back)
		switch {
		case c.kind.Load():
		case c.chance.IntN(2) == 0:
			request = c.chance.Int64N(200_000)
		default:
			answer = c.chance.Int64N(2_000)
		}
		c.mu.Unlock()
		pass := func(to, from net.Conn, limit int64) {
			if n, _ := io.CopyN(to, from, limit); n == limit {
				c.cuts.Add(1)
			}
			to.Close()
			from.Close()
		}
		c.ended.Go(func() { pass(back, front, request) })
		c.ended.Go(func() { pass(front, back, answer) })
	}
}

// However often the connection breaks, every document is counted once and
// every rejection told once, in order.
func TestImportSurvivesCuts(t *testing.T) {
	for seed := range uint64(6) {
		w := frontendtest.New(t)
		proxy := newCutter(t, w, seed)
		c, err := client.New("http://"+proxy.Addr().String(), w.Token(t, "acme"))
		require.NoError(t, err)
		c.Hurry()
		const count = 3*ledger.BatchDocuments + 17
		var told collected
		total, err := c.ImportDocuments(t.Context(), documents(count), client.Import{Jobs: 1 + int(seed)%3, Settled: told.settled,
			Again: func(error, time.Duration) {
				if proxy.cuts.Load() > 25 {
					proxy.kind.Store(true)
				}
			}})
		require.NoError(t, err, "seed %d after %d cuts", seed, proxy.cuts.Load())
		require.Positive(t, proxy.cuts.Load())
		const bad = count / 10
		s := total.Summary
		require.EqualValues(t, count, s.Read)
		require.EqualValues(t, bad, s.Rejected)
		require.EqualValues(t, count-bad, s.Accepted+s.Unchanged+s.Superseded)
		require.LessOrEqual(t, s.Unchanged, total.Resent, "only what was sent twice can be known already")
		require.Len(t, w.Ledger.Documents("acme"), count-bad)
		require.Len(t, told.rejections, bad)
		for n, r := range told.rejections {
			require.EqualValues(t, n*10+10, r.Record)
		}
		t.Logf("seed %d: %d cuts, %d sent again, %d of them known", seed, proxy.cuts.Load(), total.Resent, s.Unchanged)
	}
}

// A server that contradicts itself is not believed.
func TestImportAnswersThatDoNotAddUp(t *testing.T) {
	summary := `{"summary":{"read":1,"accepted":1,"unchanged":0,"superseded":0,"rejected":0}}`
	rejection := `{"rejection":{"record":1,"file":"","entry":"","reason":"no"}}`
	for answer, want := range map[string]string{
		`{"summary":{"read":2,"accepted":2,"unchanged":0,"superseded":0,"rejected":0}}`: "do not add up",
		`{"summary":{"read":0,"accepted":0,"unchanged":0,"superseded":0,"rejected":0}}`: "do not add up",
		`{"summary":{"read":1,"accepted":2,"unchanged":0,"superseded":0,"rejected":0}}`: "do not add up",
		`{"summary":{"read":1,"accepted":0,"unchanged":0,"superseded":0,"rejected":1}}`: "do not add up",
		rejection + "\n" + summary:     "do not add up",
		rejection + "\n" + rejection:   "record 1 is rejected after record 1",
		`{"rejection":{"record":2}}`:   "record 2 is rejected",
		`{"rejection":{"record":0}}`:   "record 0 is rejected",
		`{"recorded":{"read":1}}`:      "do not add up",
		`nonsense`:                     "not what the API promises",
		`{"error":{"code":"ERR_AOC"}}`: "ERR_AOC",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			_, _ = io.WriteString(w, answer+"\n")
		}))
		c, err := client.New(server.URL, "token")
		require.NoError(t, err)
		_, err = c.ImportDocuments(t.Context(), documents(1), client.Import{})
		require.ErrorContains(t, err, want, answer)
		server.Close()
	}
}
