package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// workers stand in for Temporal's task queue and a few workers on it: one line for all
// tenants, first come first served, and so many tasks at work. A run is seven tasks, one
// after the other, as its phases are. Whoever may put more runs into the line gets more
// of the workers: what keeps them fair is how many runs of a tenant are given out.
type workers struct {
	line  chan struct{} // of the tasks at work; those who wait for a place wait in order
	tasks int
	each  time.Duration
}

func (w *workers) run() {
	for range w.tasks {
		w.line <- struct{}{}
		time.Sleep(w.each)
		<-w.line
	}
}

// fairground is a database, dispatchers of three processes, and workers.
type fairground struct {
	*engine
	workers  *workers
	ends     sync.Mutex
	over     []string // samples with more runs at work than may be
	next     atomic.Int64
	finished map[string]chan struct{} // by run
}

func newFairground(t *testing.T, limits storage.Limits) *fairground {
	f := &fairground{engine: newEngine(t), workers: &workers{line: make(chan struct{}, 4), tasks: 7, each: 6 * time.Millisecond},
		finished: map[string]chan struct{}{}}
	f.limits = limits
	f.play = f.workflow
	return f
}

// workflow is a run from start to end, with its rows.
func (f *fairground) workflow(ref export.Ref) {
	ctx := context.Background()
	claim, _, err := f.exec.Begin(ctx, ref, export.PhasePlan, 1)
	if err == nil {
		_, err = f.exec.Start(ctx, claim, 1, clock.System())
	}
	f.workers.run()
	f.engine.ended(ref)
	if err == nil {
		_, err = f.exec.Finish(ctx, claim, storage.Outcome{State: export.StateFailed, At: clock.System(),
			Failure: &export.Failure{Code: export.CodeInternal, Message: "a test", Phase: export.PhasePlan}})
	}
	if err != nil {
		f.t.Errorf("run %s: %v", ref.RunID, err)
	}
	close(f.end(ref.RunID))
}

func (f *fairground) end(run string) chan struct{} {
	f.ends.Lock()
	defer f.ends.Unlock()
	if f.finished[run] == nil {
		f.finished[run] = make(chan struct{})
	}
	return f.finished[run]
}

// request asks for a run as the API does; nil when the tenant's queue is full.
func (f *fairground) request(api *Dispatcher, tenant string) (ended <-chan struct{}) {
	run := export.Run{Tenant: tenant, ID: fmt.Sprintf("0195f000-0000-7000-8000-%012x", f.next.Add(1)),
		ProfileID: "p", RequestedBy: "tester", RequestedAt: clock.System()}
	ended = f.end(run.ID)
	stored, _, err := postgres.NewRuns(f.db.DB).Within(f.limits).CreateRun(f.t.Context(), run, storage.Idempotency{})
	var full *storage.QueueFull
	if errors.As(err, &full) {
		return nil
	}
	if err == nil && !stored.DispatchedAt.IsZero() {
		err = api.StartRun(f.t.Context(), stored)
	}
	if err != nil {
		f.t.Errorf("run of %s: %v", tenant, err)
	}
	return ended
}

// victims ask for ten runs each, one after the other, and tell how long each took,
// from the slowest on.
func (f *fairground) victims(api *Dispatcher, tenants, runs int) []time.Duration {
	var mu sync.Mutex
	var took []time.Duration
	var group sync.WaitGroup
	for n := range tenants {
		group.Go(func() {
			for range runs {
				begin := time.Now()
				<-f.request(api, fmt.Sprintf("victim-%d", n))
				mu.Lock()
				took = append(took, time.Since(begin))
				mu.Unlock()
			}
		})
	}
	group.Wait()
	slices.Sort(took)
	slices.Reverse(took)
	return took
}

// sample looks, until ctx ends, whether any tenant has more runs at work than may be.
func (f *fairground) sample(ctx context.Context, most int64) (samples int) {
	survey := postgres.NewSurvey(f.db.DB)
	for ctx.Err() == nil {
		names, err := survey.Tenants(ctx)
		for _, tenant := range names {
			var q storage.QueueRecord
			if q, err = survey.QueueRecord(ctx, tenant); err == nil && q.Active > most {
				f.over = append(f.over, fmt.Sprintf("%s: %d", tenant, q.Active))
			}
			samples++
		}
		time.Sleep(5 * time.Millisecond)
		if err != nil && ctx.Err() == nil {
			f.t.Errorf("sample: %v", err)
		}
	}
	return samples
}

// noise asks for runs from four sides, for a hundred and for more whenever one has
// ended, until ctx ends. full is closed once the tenant's queue is.
func (f *fairground) noise(ctx context.Context, api *Dispatcher, tenant string) (full chan struct{}, ended *sync.WaitGroup) {
	full, ended = make(chan struct{}), &sync.WaitGroup{}
	var once sync.Once
	for range 4 {
		ended.Go(func() {
			for ctx.Err() == nil {
				if f.request(api, tenant) == nil {
					once.Do(func() { close(full) })
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	return full, ended
}

// drained waits until nothing is at work or waits.
func (f *fairground) drained() {
	require.Eventually(f.t, func() bool {
		waiting, err := postgres.NewDispatch(f.db.DB).Waiting(f.t.Context(), "", 100)
		return err == nil && len(waiting) == 0
	}, 30*time.Second, 50*time.Millisecond)
	f.work.Wait()
}

// TRUST L4: twenty tenants with ten runs each, and one that keeps a hundred waiting. It
// never has more than four at work, and what the others wait, from request to end, is
// at most twice what they wait without it. The machine may be busy with other things in
// one of the two; whoever is starved, is so each time.
func TestANoisyTenantStarvesNobody(t *testing.T) {
	f := newFairground(t, storage.Limits{})
	ctx, stop := context.WithCancel(t.Context())
	var loops sync.WaitGroup
	for range 3 {
		d := f.dispatcher()
		loops.Go(func() { d.Loop(ctx) })
	}
	samples := 0
	loops.Go(func() { samples = f.sample(ctx, storage.DefaultActive) })
	api, fair := f.dispatcher(), false
	f.victims(api, 20, 3) // connections are made, and statements prepared
	for try := 1; try <= 3 && !fair; try++ {
		quiet := f.victims(api, 20, 10)
		tenant := fmt.Sprintf("noisy-%d", try)
		noisy, hush := context.WithCancel(ctx)
		full, ended := f.noise(noisy, api, tenant)
		select {
		case <-full:
		case <-time.After(5 * time.Second): // all of its runs are at work
		}
		loud := f.victims(api, 20, 10)
		hush()
		ended.Wait()
		before, beside := quiet[len(quiet)/20], loud[len(loud)/20]
		t.Logf("victims' p95: %v alone, %v beside %s", before, beside, tenant)
		fair = beside <= 2*before
		f.drained()
		require.Equal(t, storage.DefaultActive, f.most[tenant], "all slots were used, and no more")
	}
	stop()
	loops.Wait()
	require.Empty(t, f.over)
	require.Greater(t, samples, 100)
	require.True(t, fair, "they wait for it")
}
