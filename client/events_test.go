package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
)

// Each connection is cut after so many bytes, somewhere within an event or its
// headers: every event comes once, in order.
func TestEventsThroughAProxyThatCuts(t *testing.T) {
	w := frontendtest.New(t)
	run := w.Run("acme", export.StateRunning)
	const n = 60
	for i := range n {
		w.Runs.Say(run.Ref(), export.EventAdapterChunk, fmt.Sprintf("chunk %d", i))
	}
	address := scissors(t, w.URL, func(connection int64) int64 {
		if connection == 4 { // from here on it holds; the run ends meanwhile
			go w.Runs.End(run.Ref(), export.StateSucceeded)
		}
		if connection >= 4 {
			return 0
		}
		return []int64{40, 1900, 2500}[connection-1]
	})
	c, err := client.New(address, w.Token(t, "acme"))
	require.NoError(t, err)
	var seqs []int64
	for event, err := range c.Events(t.Context(), run.ID, client.EventOptions{}) {
		require.NoError(t, err)
		seqs = append(seqs, event.Seq)
		require.Equal(t, event.Seq == n+1, event.Ends())
	}
	require.Len(t, seqs, n+1)
	for i, seq := range seqs {
		require.Equal(t, int64(i+1), seq)
	}
}

func TestEventsOnce(t *testing.T) {
	w := frontendtest.New(t)
	run := w.Run("acme", export.StateRunning)
	for range 3 {
		w.Runs.Say(run.Ref(), export.EventAdapterChunk, "chunk")
	}
	read := func(options client.EventOptions) (seqs []int64) {
		for event, err := range newClient(t, w).Events(t.Context(), run.ID, options) {
			require.NoError(t, err)
			seqs = append(seqs, event.Seq)
		}
		return seqs
	}
	require.Equal(t, []int64{1, 2, 3}, read(client.EventOptions{Once: true}))
	require.Equal(t, []int64{3}, read(client.EventOptions{After: 2, Once: true}))
	require.Empty(t, read(client.EventOptions{After: 3, Once: true}))
	w.Runs.End(run.Ref(), export.StateAborted)
	require.Equal(t, []int64{3, 4}, read(client.EventOptions{After: 2}))
	require.Empty(t, read(client.EventOptions{After: 4}), "nothing follows the end")
}

// Whoever stops reading ends the request, and a context that ends is an error.
func TestEventsEndWithTheirReader(t *testing.T) {
	w := frontendtest.New(t)
	run := w.Run("acme", export.StateRunning)
	w.Runs.Say(run.Ref(), export.EventStarted, "started")
	for event, err := range newClient(t, w).Events(t.Context(), run.ID, client.EventOptions{}) {
		require.NoError(t, err)
		require.Equal(t, int64(1), event.Seq)
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := 0
	for _, err := range newClient(t, w).Events(ctx, run.ID, client.EventOptions{}) {
		if n++; n == 1 {
			require.NoError(t, err)
			cancel()
			continue
		}
		require.ErrorIs(t, err, context.Canceled)
	}
	require.Equal(t, 2, n)
	for _, err := range newClient(t, w).Events(t.Context(), "0192f3c4-5d6e-7f80-9a1b-ffffffffffff", client.EventOptions{}) {
		var problem *client.Problem
		require.ErrorAs(t, err, &problem)
		require.Equal(t, 404, problem.Status)
	}
}

// A server that leaves out, repeats or exchanges an event is not believed.
func TestEventsThatDoNotFollowEachOther(t *testing.T) {
	const id = "0192f3c4-5d6e-7f80-9a1b-000000000001"
	event := func(id string, seq int, run string) string {
		return fmt.Sprintf("id: %s\ndata: {\"runId\":%q,\"seq\":%d,\"eventType\":\"x\",\"message\":\"\",\"at\":\"2026-11-21T08:00:00Z\",\"metrics\":{}}\n\n", id, run, seq)
	}
	for name, text := range map[string]string{
		"left out": event("2", 2, id), "again": event("1", 1, id) + event("1", 1, id),
		"other id": event("7", 1, id), "other run": event("1", 1, "x"), "not JSON": "id: 1\ndata: x\n\n",
	} {
		var asked atomic.Int64
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.Header().Set("Content-Type", "text/event-stream")
			fmt.Fprint(w, text)
		}))
		c, err := client.New(server.URL, "token")
		require.NoError(t, err)
		var last error
		for _, last = range c.Events(t.Context(), id, client.EventOptions{}) {
			if last != nil {
				break
			}
		}
		require.Error(t, last, name)
		require.Equal(t, int64(1), asked.Load(), name)
		server.Close()
	}
}
