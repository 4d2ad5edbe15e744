package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/mocks"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/storage/postgres/pgtest"
	"github.com/stella-ops/exportcenter/workflows"
)

// engine stands in for Temporal and its workers: a workflow holds its run for
// a while and ends it. Starting one that is there is starting nothing.
type engine struct {
	t      *testing.T
	db     *pgtest.Database
	exec   *postgres.Execution
	limits storage.Limits
	failed int // starts that are still to fail

	mu     sync.Mutex
	known  map[string]bool
	active map[string]int // by tenant
	most   map[string]int // the greatest active has been
	order  map[string][]string
	work   sync.WaitGroup
	// play is what a workflow does with its run.
	play func(export.Ref)
}

func newEngine(t *testing.T) *engine {
	db := pgtest.New(t)
	e := &engine{t: t, db: db, exec: postgres.NewExecution(db.DB),
		known: map[string]bool{}, active: map[string]int{}, most: map[string]int{}, order: map[string][]string{}}
	e.play = e.workflow
	return e
}

// dispatcher is one of several worker processes.
func (e *engine) dispatcher() *Dispatcher {
	temporal := mocks.NewClient(e.t)
	temporal.On("ExecuteWorkflow", mock.Anything, mock.Anything, mock.Anything, mock.Anything).Return(
		func(_ context.Context, _ client.StartWorkflowOptions, _ any, args ...any) (client.WorkflowRun, error) {
			return nil, e.start(args[0].(workflows.ExportRunInput).Ref)
		}).Maybe()
	temporal.On("ListWorkflow", mock.Anything, mock.Anything).Return(&workflowservice.ListWorkflowExecutionsResponse{}, nil).Maybe()
	return &Dispatcher{Client: temporal, Waiting: postgres.NewDispatch(e.db.DB).Within(e.limits), Clock: clock.System, Log: slog.New(slog.DiscardHandler)}
}

func (e *engine) start(ref export.Ref) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.failed > 0 {
		e.failed--
		return errors.New("the process died before the call")
	}
	if e.known[ref.RunID] {
		return nil
	}
	e.known[ref.RunID] = true
	e.active[ref.Tenant]++
	e.most[ref.Tenant] = max(e.most[ref.Tenant], e.active[ref.Tenant])
	e.order[ref.Tenant] = append(e.order[ref.Tenant], ref.RunID)
	e.work.Go(func() { e.play(ref) })
	return nil
}

func (e *engine) workflow(ref export.Ref) {
	ctx := context.Background()
	claim, _, err := e.exec.Begin(ctx, ref, export.PhasePlan, 1)
	if err == nil {
		_, err = e.exec.Start(ctx, claim, 1, clock.System())
	}
	time.Sleep(30 * time.Millisecond)
	e.ended(ref)
	if err == nil {
		_, err = e.exec.Finish(ctx, claim, storage.Outcome{State: export.StateFailed, At: clock.System(),
			Failure: &export.Failure{Code: export.CodeInternal, Message: "a test", Phase: export.PhasePlan}})
	}
	if err != nil {
		e.t.Errorf("run %s: %v", ref.RunID, err)
	}
}

// ended notes that a workflow has come to its end.
func (e *engine) ended(ref export.Ref) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.active[ref.Tenant]-- // before the row says so: the next may start at once
}

func (e *engine) ask(tenant string, n int) export.Run {
	e.t.Helper()
	run, _, err := postgres.NewRuns(e.db.DB).Within(e.limits).CreateRun(e.t.Context(), export.Run{Tenant: tenant, ID: fmt.Sprintf("0195f000-0000-7000-8000-%012x", n),
		ProfileID: "p", RequestedBy: "tester", RequestedAt: clock.System()}, storage.Idempotency{})
	require.NoError(e.t, err)
	return run
}

// until waits for runs to have ended, while three dispatchers loop.
func (e *engine) until(runs int) {
	e.t.Helper()
	ctx, stop := context.WithCancel(e.t.Context())
	var loops sync.WaitGroup
	for range 3 {
		d := e.dispatcher()
		loops.Go(func() { d.Loop(ctx) })
	}
	started := func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return len(e.known) == runs
	}
	require.Eventually(e.t, started, 20*time.Second, 10*time.Millisecond)
	stop()
	loops.Wait()
	e.work.Wait()
}

// Twelve runs of one tenant and one of another: never more than four of the
// twelve at once, in the order of request, and the other's does not wait.
func TestTheCapAndTheQueue(t *testing.T) {
	e := newEngine(t)
	var want []string
	for n := 1; n <= 12; n++ {
		run := e.ask("acme", n)
		want = append(want, run.ID)
	}
	other := e.ask("globex", 13)
	require.NotZero(t, other.DispatchedAt, "it has a slot before any dispatcher looks")

	e.until(13)
	require.Equal(t, 4, e.most["acme"], "all slots were used, and no more")
	require.Equal(t, 1, e.most["globex"])
	require.ElementsMatch(t, want[:4], e.order["acme"][:4])
	for i := 4; i < 12; i++ { // two slots may become free at once, in any order of the two
		require.Contains(t, want[max(4, i-3):min(12, i+4)], e.order["acme"][i], "place %d", i)
	}
}

// One slot: the order is exact.
func TestOneSlotKeepsTheExactOrder(t *testing.T) {
	e := newEngine(t)
	var want []string
	e.limits = storage.Limits{Active: 1}
	for n := 1; n <= 6; n++ {
		want = append(want, e.ask("acme", n).ID)
	}
	e.until(6)
	require.Equal(t, want, e.order["acme"])
	require.Equal(t, 1, e.most["acme"])
}

// Whoever dies between the mark and the start loses nothing: the next look
// starts the run, and it holds its slot until then.
func TestARunMarkedAndNotStartedIsStarted(t *testing.T) {
	e := newEngine(t)
	for n := 1; n <= 5; n++ {
		e.ask("acme", n) // the API died before it called Temporal
	}
	e.failed = 4 // and so does the first dispatcher, four times
	d := e.dispatcher()
	require.Equal(t, []string{"acme"}, d.deliver(t.Context()))
	require.Empty(t, e.known)
	e.until(5)
	require.Equal(t, 4, e.most["acme"])
}
