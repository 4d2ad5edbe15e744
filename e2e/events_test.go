package e2e

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/frontend"
	"github.com/stella-ops/exportcenter/frontend/frontendtest"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
)

// The size of the storm: tenants x runs x readers are 2,000 streams.
const (
	stormTenants = 20
	stormRuns    = 5
	stormReaders = 20
	stormStreams = stormTenants * stormRuns * stormReaders
	stormEvents  = 12 // of each run, besides its first and last
	// streamMemory is what a stream may cost, its reader in this process included.
	streamMemory = 64 << 10
)

// Two thousand streams are open while their runs go on and the API is restarted:
// every reader gets every event once, in order, and an open stream costs little.
func TestTwoThousandEventStreams(t *testing.T) {
	db := pgtest.New(t)
	s := &eventStorm{runs: postgres.NewRuns(db.DB), execution: postgres.NewExecution(db.DB)}
	s.world = frontendtest.New(t, func(c *frontend.Config) {
		c.Runs, c.Journal = s.runs, s.runs
		c.Log = slog.New(slog.DiscardHandler)
		s.cfg = *c
	})
	s.begin(t)
	stop := s.serve(t, "127.0.0.1:0")
	before := inUse()
	var readers sync.WaitGroup
	for _, run := range s.all {
		token := s.world.Issuer.Token(t, run.claim.Ref.Tenant, "export:read")
		for range stormReaders {
			readers.Go(func() { s.read(t, run.claim.Ref, token) })
		}
	}
	require.Eventually(t, func() bool { return s.connected.Load() == stormStreams }, time.Minute, 10*time.Millisecond)
	each := (inUse() - before) / stormStreams
	t.Logf("%d open streams: %d KiB each, reader included", stormStreams, each>>10)
	require.Less(t, each, int64(streamMemory))

	s.write(t, 0, stormEvents/2)
	stopped := time.Now()
	stop()
	t.Logf("the API stopped in %v", time.Since(stopped).Round(time.Millisecond))
	s.write(t, stormEvents/2, stormEvents*3/4) // while nobody serves
	stop = s.serve(t, s.address)
	s.write(t, stormEvents*3/4, stormEvents)
	s.end(t)
	readers.Wait()
	stop()
	require.Equal(t, int64(stormStreams), s.complete.Load())
	t.Logf("%d events were read over %d connections", s.events.Load(), s.connections.Load())
	require.Less(t, inUse()-before, int64(stormStreams*streamMemory), "nothing is kept")
}

// eventStorm is the test's world.
type eventStorm struct {
	world     *frontendtest.World
	cfg       frontend.Config
	runs      *postgres.Runs
	execution *postgres.Execution
	address   string
	all       []*eventStormRun

	connected, connections, complete, events atomic.Int64
}

type eventStormRun struct{ claim storage.Claim }

// begin makes the runs, each at work.
func (s *eventStorm) begin(t *testing.T) {
	for n := range stormTenants * stormRuns {
		at := frontendtest.Start.Truncate(time.Second)
		run := export.Run{Tenant: fmt.Sprintf("tenant-%d", n%stormTenants), ID: fmt.Sprintf("0195f000-0000-7000-8000-%012x", n+1),
			ProfileID: "prof-json-raw", ProfileRevision: 1, ProfileName: "json-raw", Kind: "json", Variant: "raw",
			RequestedBy: "storm", RequestedAt: at, State: export.StatePending}
		_, _, err := s.runs.CreateRun(t.Context(), run, storage.Idempotency{})
		require.NoError(t, err)
		claim, _, err := s.execution.Begin(t.Context(), run.Ref(), export.PhaseEmitTimeline, 1)
		require.NoError(t, err)
		s.all = append(s.all, &eventStormRun{claim: claim})
	}
}

// serve starts an API process's part and gives what stops it.
func (s *eventStorm) serve(t *testing.T, address string) (stop func()) {
	server, err := frontend.New(s.cfg)
	require.NoError(t, err)
	ln, err := net.Listen("tcp", address)
	require.NoError(t, err)
	s.address = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, ln) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// write adds events to all journals.
func (s *eventStorm) write(t *testing.T, from, to int) {
	var writers sync.WaitGroup
	for part := range 4 {
		writers.Go(func() {
			for n := from; n < to; n++ {
				for i := part; i < len(s.all); i += 4 {
					event := export.Event{Type: export.EventAdapterChunk, Message: fmt.Sprintf("chunk %d", n), At: frontendtest.Start}
					if err := s.execution.AddEvent(t.Context(), s.all[i].claim, fmt.Sprint(n), event); err != nil {
						t.Errorf("write event: %v", err)
					}
				}
			}
		})
	}
	writers.Wait()
}

// end ends all runs.
func (s *eventStorm) end(t *testing.T) {
	for _, run := range s.all {
		_, err := s.execution.Finish(t.Context(), run.claim, storage.Outcome{State: export.StateFailed, At: frontendtest.Start,
			Message: "the storm is over", Failure: &export.Failure{Code: export.CodeInternal, Message: "over", Phase: export.PhasePlan}})
		require.NoError(t, err)
	}
}

// read follows a run to its end over as many connections as that takes.
func (s *eventStorm) read(t *testing.T, ref export.Ref, token string) {
	last := int64(0)
	counted := false
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		done, err := s.stream(ref, token, &last, func() {
			if !counted {
				counted = true
				s.connected.Add(1)
			}
		})
		switch {
		case done && last == stormEvents+2:
			s.complete.Add(1)
			return
		case done || errors.Is(err, errDisorder):
			t.Errorf("run %s: at event %d: %v", ref.RunID, last, err)
			return
		}
		time.Sleep(20 * time.Millisecond) // as an EventSource does, if more patiently
	}
	t.Errorf("run %s: still at event %d", ref.RunID, last)
}

var errDisorder = errors.New("an event is missing, comes twice or comes late")

// stream reads one connection to its end; done is the answer 204.
func (s *eventStorm) stream(ref export.Ref, token string, last *int64, open func()) (done bool, err error) {
	conn, err := net.DialTimeout("tcp", s.address, 5*time.Second)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	s.connections.Add(1)
	conn.SetDeadline(time.Now().Add(time.Minute)) //nolint:errcheck // a test's connection
	fmt.Fprintf(conn, "GET /api/export/runs/%s/events HTTP/1.1\r\nHost: storm\r\nConnection: close\r\nAuthorization: Bearer %s\r\nLast-Event-ID: %d\r\n\r\n",
		ref.RunID, token, *last)
	answer, err := http.ReadResponse(bufio.NewReaderSize(conn, 1<<10), nil)
	if err != nil {
		return false, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return answer.StatusCode == http.StatusNoContent, fmt.Errorf("status %d", answer.StatusCode)
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(make([]byte, 0, 1<<10), 64<<10)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), ": ") {
			open()
		}
		var id int64
		if n, _ := fmt.Sscanf(lines.Text(), "id: %d", &id); n != 1 {
			continue
		}
		if id != *last+1 {
			return false, fmt.Errorf("%w: %d after %d", errDisorder, id, *last)
		}
		*last = id
		s.events.Add(1)
	}
	return false, lines.Err()
}

// inUse is what is in use: the heap's live objects and the stacks.
func inUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
