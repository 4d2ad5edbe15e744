package faults

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/fault"
	"github.com/stella-ops/exportcenter/internal/scratch"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/worker"
	"github.com/stella-ops/exportcenter/workflows"
)

// callTakes is how long a client waits for an answer: a little longer than the
// API lets Temporal take.
const callTakes = 4 * time.Second

// attemptAtLeast is the shortest time an attempt gets: a second for a heartbeat
// to come, and room. On a loaded machine it gets half the time that a whole run
// takes (see calibrate), up to attemptAtMost.
const (
	attemptAtLeast = 1500 * time.Millisecond
	attemptAtMost  = 5 * time.Second
)

// quick is the table of retries, for people who have four minutes.
func quick(attempt time.Duration) workflows.Runs {
	table := map[export.Phase]workflows.Patience{}
	for _, phase := range export.Phases {
		table[phase] = workflows.Patience{StartToClose: attempt, Heartbeat: attempt}
	}
	return workflows.Runs{PatienceOf: table}
}

// life is one process: API and worker on the case's database, blobs and queue,
// with an injector around all that has effects.
type life struct {
	injector *fault.Injector
	database *lifeline
	temporal *lifeline
	db       *postgres.DB
	objects  *files.Store
	stages   *stages
	rough    *scratch.Dir
	client   client.Client
	log      *slog.Logger

	book       ledger.Store
	runs       storage.Runs
	dispatcher *worker.Dispatcher

	stop   context.CancelFunc
	worked sync.WaitGroup
}

// begin starts a life of s.
func (s *scene) begin(ctx context.Context, injector *fault.Injector) (*life, error) {
	l := &life{injector: injector, log: s.log}
	var err error
	if l.database, err = newLifeline(hostOf(s.world.db.App)); err != nil {
		return nil, err
	}
	if l.temporal, err = newLifeline(s.world.temporal.Address); err != nil {
		return nil, err
	}
	l.db, err = postgres.Open(ctx, postgres.Config{MaxConns: 6,
		App: through(s.world.db.App, l.database), Dispatch: through(s.world.db.Dispatch, l.database)})
	if err != nil {
		return nil, err
	}
	if l.objects, err = files.Open(s.blobs, clock.System, rand.Reader); err != nil {
		return nil, err
	}
	l.stages = &stages{Objects: l.objects}
	if l.rough, err = scratch.Open(s.rough); err != nil {
		return nil, err
	}
	l.client, err = client.DialContext(ctx, client.Options{HostPort: l.temporal.address(), Namespace: s.world.temporal.Namespace,
		Logger: sdklog.NewStructuredLogger(slog.New(errorsOnly{s.log.Handler()}))})
	if err != nil {
		return nil, err
	}
	return l, l.work(s)
}

// work puts the parts together as cmd/exportcenter does, behind the injector.
func (l *life) work(s *scene) error {
	l.book = l.injector.Ledger(postgres.NewLedger(l.db))
	l.runs = l.injector.Runs(postgres.NewRuns(l.db).Within(s.limits))
	execution := &watched{Execution: l.injector.Execution(postgres.NewExecution(l.db)), begun: s.begun}
	cfg := worker.Config{TaskQueue: s.queue, Workflows: quick(s.world.attempt), StopTimeout: 5 * time.Second}
	l.dispatcher = &worker.Dispatcher{
		Client: l.injector.Temporal(hasty{l.client}), TaskQueue: s.queue, Clock: clock.Fixed(moment), Log: s.log,
		Waiting: l.injector.Dispatch(mine{postgres.NewDispatch(l.db).Within(s.limits), s.ref.Tenant}),
	}
	exporting := &activities.Export{Ledger: l.book, Execution: execution, Objects: l.injector.Objects(l.stages),
		Signer: l.injector.Signer(s.world.signer), Adapters: s.world.registry, Scratch: l.rough, Policies: policies{}, TUF: s.world.tuf,
		Clock: clock.Fixed(moment), Log: s.log, Version: "twin"}
	ctx, stop := context.WithCancel(context.Background())
	l.stop = stop
	ready := make(chan struct{})
	failed := make(chan error, 1)
	l.worked.Go(func() {
		failed <- worker.Run(ctx, l.client, cfg, exporting, l.dispatcher, func() error { close(ready); return nil })
	})
	select {
	case <-ready:
		return nil
	case err := <-failed:
		return fmt.Errorf("the worker ended: %w", err)
	}
}

// cut is what the kernel does to a process that is gone: its connections end, it
// makes no more files, and the locks of those it has made end.
func (l *life) cut(blobs string) {
	l.stop()
	l.database.sever()
	l.temporal.sever()
	l.stages.end()
	unlock(blobs)
}

// end stops a life, dead or alive, and waits for it, and for effects that are late.
func (l *life) end() {
	l.stop()
	l.worked.Wait()
	l.injector.Rest()
	l.client.Close()
	l.db.Close()
	l.objects.Close()
	l.rough.Close() //nolint:errcheck // a life that died leaves it to the next
	l.database.sever()
	l.temporal.sever()
}

// unlock takes the locks (flock(2)) from all files below dir that this process
// has open. Nobody who has them open is alive.
func unlock(dir string) {
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return
	}
	for _, e := range open {
		target, err := os.Readlink(filepath.Join("/proc/self/fd", e.Name()))
		if err != nil || !strings.HasPrefix(target, dir+"/") {
			continue
		}
		if fd, err := strconv.Atoi(e.Name()); err == nil {
			syscall.Flock(fd, syscall.LOCK_UN) //nolint:errcheck // a directory has none
		}
	}
}

func hostOf(dsn string) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err)
	}
	return u.Host
}

// through is the connection string dsn by way of a lifeline.
func through(dsn string, line *lifeline) string {
	u, err := url.Parse(dsn)
	if err != nil {
		panic(err)
	}
	u.Host = line.address()
	return u.String()
}

// errorsOnly drops what Temporal's library says below errors.
type errorsOnly struct{ slog.Handler }

func (errorsOnly) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelError }

// hasty gives workflow tasks two seconds instead of ten: one that a dead worker
// had is given to another after that.
type hasty struct{ worker.Temporal }

func (h hasty) ExecuteWorkflow(ctx context.Context, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error) {
	o.WorkflowTaskTimeout = 2 * time.Second
	return h.Temporal.ExecuteWorkflow(ctx, o, workflow, args...)
}

// ListWorkflow finds nothing: what it would find belongs to other cases too.
func (h hasty) ListWorkflow(context.Context, *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	return &workflowservice.ListWorkflowExecutionsResponse{}, nil
}

func (h hasty) SignalWithStartWorkflow(ctx context.Context, id, signal string, arg any, o client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error) {
	o.WorkflowTaskTimeout = 2 * time.Second
	return h.Temporal.SignalWithStartWorkflow(ctx, id, signal, arg, o, workflow, args...)
}

// mine shows a dispatcher the runs of one tenant: the other cases' are not its.
type mine struct {
	storage.Dispatch
	tenant string
}

func (m mine) Waiting(ctx context.Context, after string, tenants int) ([]storage.Waiting, error) {
	if after >= m.tenant {
		return nil, nil
	}
	before := m.tenant[:len(m.tenant)-1] // names are of one length and end in a letter
	all, err := m.Dispatch.Waiting(ctx, before, tenants)
	var own []storage.Waiting
	for _, w := range all {
		if w.Ref.Tenant == m.tenant {
			own = append(own, w)
		}
	}
	return own, err
}

// watched tells the case when an activity has begun, and holds it until the
// case has done what it wants to do at that moment.
type watched struct {
	storage.Execution
	begun func(ctx context.Context, phase export.Phase, part string)
}

func (w *watched) BeginPart(ctx context.Context, ref export.Ref, phase export.Phase, part string, attempt int64) (storage.Claim, export.Run, error) {
	claim, run, err := w.Execution.BeginPart(ctx, ref, phase, part, attempt)
	if err == nil {
		w.begun(ctx, phase, part)
	}
	return claim, run, err
}
