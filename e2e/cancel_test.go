package e2e

import (
	"math/rand/v2"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	temporal "go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
)

const (
	stormSeed    = 7
	stormLanes   = 6  // tenants at work beside each other
	stormChances = 12 // cancels at a moment of chance
	finishRaces  = 12 // cancels about when the run ends
	// terminatedWithin is when the run of a terminated workflow has ended at the
	// latest (worker/terminated.go).
	terminatedWithin = 30 * time.Second
	// cancelledWithin is how long a cancelled run may take to end otherwise.
	cancelledWithin = time.Minute
)

// TestCancels cancels more than a hundred runs, at every phase's first and last
// write and in its middle, while they wait in the queue, about when they end,
// and while the worker or PostgreSQL is away; each by 2 to 10 requests at
// once, from the API, from Temporal, from both, or by terminating the workflow.
// Every run must have one end, the right one, and leave nothing behind.
func TestCancels(t *testing.T) {
	s := openStorm(t)
	for _, stage := range []struct {
		name string
		run  func(*testing.T)
	}{{"at gates", s.gated}, {"in the queue", s.inTheQueue}, {"by chance", s.byChance}, {"restarts", s.restarts}, {"at rest", s.rest}} {
		began := time.Now()
		stage.run(t)
		t.Logf("%s: %s", stage.name, time.Since(began).Round(time.Millisecond))
	}
}

// storm is a house in which runs are cancelled.
type storm struct {
	house    *house
	temporal temporal.Client
	small    string // evidence of one range
	wide     string // evidence of several ranges
	twin     string // payload digest of the small evidence
	wideTwin string
	span     time.Duration // of an undisturbed run
	rows     *pgxpool.Pool
	lanes    []*lane // of the small evidence

	mu    sync.Mutex
	hits  map[string]map[string]int // by moment, by way
	total int
	aged  []time.Duration // how long terminated runs took to end
}

func openStorm(t *testing.T) *storm {
	t.Helper()
	s := stormOver(t, openHouse(t))
	for range stormLanes {
		s.lanes = append(s.lanes, s.lane(t, s.small))
	}
	buildGates(t, s.house.superuser(t))
	return s
}

// stormOver makes the twins of what is to come over a house.
func stormOver(t *testing.T, h *house) *storm {
	t.Helper()
	s := &storm{house: h, hits: map[string]map[string]int{}}
	s.temporal = s.house.temporal(t)
	s.small, s.wide = smallEvidence(t), wideEvidence(t)
	pool, err := pgxpool.New(t.Context(), s.house.superuserDSN(t))
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	s.rows = pool
	twins := []*lane{s.lane(t, s.small), s.lane(t, s.wide)}
	for _, l := range twins {
		run, err := l.create(t.Context())
		require.NoError(t, err)
		run, err = l.client.WaitRun(t.Context(), run.RunID, nil)
		require.NoError(t, err)
		require.Equal(t, client.RunStatusSucceeded, run.Status, "%+v", run.Error)
		l.twin = run.PayloadDigest
		if l.evidence == s.small {
			s.twin, s.span = run.PayloadDigest, run.CompletedAt.Sub(run.StartedAt)
		} else {
			s.wideTwin = run.PayloadDigest
		}
	}
	return s
}

// gated takes all strikes, in several lanes beside each other. What a run that
// succeeded has packed, later ones take over and have nothing to adapt; so the
// last lanes take all strikes that come too late. A lane of several ranges
// takes those of adapt again, a range at a time.
func (s *storm) gated(t *testing.T) {
	early, late := make(chan strike, 100), make(chan strike, 100)
	for _, c := range strikes() {
		if c.final() {
			late <- c
		} else {
			early <- c
		}
	}
	wide := make(chan strike, 6)
	for _, w := range []way{fromAPI, fromTemporal, fromAPI | fromTemporal} {
		wide <- strike{phase: export.PhaseAdapt, point: "begin adapt", way: w}
		wide <- strike{phase: export.PhaseAdapt, point: "event adapter.chunk", way: w}
	}
	close(early)
	close(late)
	close(wide)
	group, ctx := errgroup.WithContext(t.Context())
	for i, l := range s.lanes {
		work := early
		if i >= stormLanes-2 {
			work = late
		}
		group.Go(func() error { return l.take(ctx, work) })
	}
	l := s.lane(t, s.wide)
	group.Go(func() error { return l.take(ctx, wide) })
	if err := group.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, s.house.tail())
	}
}

// count notes that a moment was hit.
func (s *storm) count(moment string, w way, status client.RunStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.hits[moment] == nil {
		s.hits[moment] = map[string]int{}
	}
	s.hits[moment][w.String()]++
	s.hits[moment][string(status)]++
	s.total++
}

// inTheQueue cancels runs that wait for a slot, and then those that hold the
// slots, all at once.
func (s *storm) inTheQueue(t *testing.T) {
	const slots, queued = 4, 6
	l := s.lanes[0]
	ctx := t.Context()
	require.NoError(t, l.gate.close(ctx, l.tenant, "event run.started"))
	runs := make([]client.Run, slots+queued)
	for i := range runs {
		var err error
		runs[i], err = l.create(ctx)
		require.NoError(t, err)
	}
	require.NoError(t, l.gate.await(ctx, atTheGate, slots))
	for i, run := range runs[slots:] {
		status, err := l.judge(ctx, run.RunID, strike{way: fromAPI, phase: export.PhasePlan, point: "queue"}, l.cancel(ctx, run.RunID, fromAPI, 2+i)())
		require.NoError(t, err, "run %s, which waits for a slot", run.RunID)
		s.count("pending: in the queue", fromAPI, status)
	}
	var answers []func() []answer
	for _, run := range runs[:slots] {
		answers = append(answers, l.cancel(ctx, run.RunID, fromAPI|fromTemporal, 10))
	}
	require.NoError(t, l.gate.await(ctx, behindIt, slots))
	require.NoError(t, l.gate.open(ctx, l.tenant))
	for i, run := range runs[:slots] {
		status, err := l.judge(ctx, run.RunID, strike{way: fromAPI | fromTemporal, phase: export.PhasePlan, point: "slots"}, answers[i]())
		require.NoError(t, err, "run %s, which holds a slot", run.RunID)
		s.count("plan: all slots at once", fromAPI|fromTemporal, status)
	}
	require.NoError(t, l.again(ctx))
}

// byChance cancels runs that nothing holds up: some at any moment, some about
// when they end.
func (s *storm) byChance(t *testing.T) {
	var group errgroup.Group
	for n, l := range s.lanes[:3] {
		chance := rand.New(rand.NewPCG(stormSeed, uint64(n)))
		group.Go(func() error {
			for i := n; i < stormChances+finishRaces; i += 3 {
				wait := time.Duration(chance.Float64() * float64(s.span))
				if i >= stormChances {
					wait = time.Duration((0.6 + 0.6*chance.Float64()) * float64(s.span))
				}
				if err := l.race(t, wait, []way{fromAPI, fromTemporal, fromAPI | fromTemporal}[chance.IntN(3)], 2+chance.IntN(9)); err != nil {
					return err
				}
			}
			return l.again(t.Context())
		})
	}
	require.NoError(t, group.Wait(), s.house.tail())
}

// restarts cancels runs while the worker, and then PostgreSQL, is away.
func (s *storm) restarts(t *testing.T) {
	ways := []way{fromAPI, fromTemporal, fromAPI | fromTemporal, fromAPI}
	lanes := s.lanes[:len(ways)]
	for _, victim := range []string{"worker", "postgres"} {
		runs := make([]client.Run, len(lanes))
		for i, l := range lanes {
			var err error
			runs[i], err = l.create(t.Context())
			require.NoError(t, err)
		}
		pid := s.house.child(victim)
		require.NotZero(t, pid)
		require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
		var answers []func() []answer
		for i, l := range lanes {
			answers = append(answers, l.cancel(t.Context(), runs[i].RunID, ways[i], 2+i))
		}
		s.house.waitChild(t, victim, pid)
		s.house.waitReady(t, time.Minute)
		for i, l := range lanes {
			status, err := l.judge(t.Context(), runs[i].RunID, strike{way: ways[i]}, answers[i]())
			require.NoError(t, err, "run %s, cancelled while %s was away\n%s", runs[i].RunID, victim, s.house.tail())
			s.count("while "+victim+" is away", ways[i], status)
		}
	}
	for _, l := range lanes {
		require.NoError(t, l.again(t.Context()))
	}
}

// rest looks at what is left when all is done, and at what was tested.
func (s *storm) rest(t *testing.T) {
	db := s.house.superuser(t)
	razeGates(t, db)
	var holding int
	require.NoError(t, db.QueryRow(t.Context(), `select count(*) from export_runs where completed_at is null`).Scan(&holding))
	require.Zero(t, holding, "runs that still hold or want a slot")
	s.house.fsck(t, 0)

	require.GreaterOrEqual(t, s.total, 100)
	for _, m := range moments {
		for _, w := range []way{fromAPI, fromTemporal, fromAPI | fromTemporal} {
			require.Positive(t, s.hits[string(m.phase)+": "+m.point][w.String()], "no cancel from %s at %q", w, m.point)
		}
	}
	t.Log(s.table())
}
