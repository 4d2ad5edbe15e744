package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	temporal "go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
)

// Where a cancel comes from.
type way int

const (
	fromAPI way = 1 << iota
	fromTemporal
	terminated // in Temporal, which leaves the run no time to end itself
)

func (w way) String() string {
	return map[way]string{fromAPI: "API", fromTemporal: "Temporal", fromAPI | fromTemporal: "both", terminated: "terminate"}[w]
}

// strike is a moment of a run at which it is cancelled.
type strike struct {
	phase export.Phase
	point string // of a gate; "" = at a moment of chance
	way   way
}

// final reports whether the run may succeed in spite of the cancel: from the
// claim of distribute on, it is past the point of no return.
func (s strike) final() bool {
	return s.phase == export.PhaseDistribute || s.phase == export.PhaseEmitTimeline || s.point == ""
}

// moments are the points of a run at which it is stopped and cancelled: where
// each phase is claimed, in its middle, and at its last write.
var moments = []strike{
	{phase: export.PhasePlan, point: "begin plan"},
	{phase: export.PhasePlan, point: "event run.started"},
	{phase: export.PhaseResolve, point: "begin resolve"},
	{phase: export.PhaseResolve, point: "event run.planned"},
	{phase: export.PhaseResolve, point: "event adapter.start"},
	{phase: export.PhaseAdapt, point: "begin adapt"},
	{phase: export.PhaseAdapt, point: "event adapter.complete"},
	{phase: export.PhaseManifest, point: "begin manifest"},
	{phase: export.PhaseManifest, point: "file manifests/export.json"},
	{phase: export.PhaseManifest, point: "event manifest.written"},
	{phase: export.PhaseSign, point: "begin sign"},
	{phase: export.PhaseSign, point: "event signing.started"},
	{phase: export.PhaseSign, point: "signature seal"},
	{phase: export.PhaseSign, point: "event signing.completed"},
	{phase: export.PhaseDistribute, point: "begin distribute"},
	{phase: export.PhaseDistribute, point: "event distribution.completed"},
	{phase: export.PhaseEmitTimeline, point: "begin emitTimeline"},
	{phase: export.PhaseEmitTimeline, point: "event run.succeeded"},
}

// strikes is the list of all cases with a gate; terminations, which take the
// longest, come first.
func strikes() []strike {
	var all []strike
	for _, m := range moments {
		if m.point == "begin "+string(m.phase) {
			m.way = terminated
			all = append(all, m)
		}
	}
	for _, w := range []way{fromAPI, fromTemporal, fromAPI | fromTemporal} {
		for _, m := range moments {
			m.way = w
			all = append(all, m)
		}
	}
	return all
}

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

// lane is a tenant whose runs are cancelled one after the other.
type lane struct {
	storm    *storm
	evidence string
	twin     string // payload digest of an undisturbed run
	why      string // is said with every cancel
	gate     gate
	tenant   string
	client   *client.Client
}

var laneKeys atomic.Int64

// lane makes a tenant with evidence in it.
func (s *storm) lane(t testing.TB, evidence string) *lane {
	t.Helper()
	l := &lane{storm: s, evidence: evidence, twin: s.twin, gate: gate{db: s.house.superuser(t), key: laneKeys.Add(1)}}
	if evidence == s.wide {
		l.twin = s.wideTwin
	}
	l.tenant = fmt.Sprintf("storm-%d", l.gate.key)
	token := s.house.tokenFor(t, l.tenant)
	out, code := s.house.stellaAs(t, token, "ledger", "import", evidence, "--format", "json")
	require.Zero(t, code, "%s", out)
	var err error
	l.client, err = client.New(s.house.env["STELLA_SERVER"], token)
	require.NoError(t, err)
	return l
}

func (l *lane) create(ctx context.Context) (client.Run, error) {
	return l.client.CreateRun(ctx, client.RunRequest{ProfileID: "json:raw"}, "")
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

// take takes strikes until there are no more, and then makes the run that the
// cancelled ones were to make. Runs of terminated workflows end while others
// are cancelled.
func (l *lane) take(ctx context.Context, strikes <-chan strike) error {
	chance := rand.New(rand.NewPCG(stormSeed, uint64(l.gate.key)))
	var group errgroup.Group
	for c := range strikes {
		// The end of a terminated run would come to the last gate too; and until
		// then what it packed is there to be taken over, so that nobody adapts.
		if c.phase == export.PhaseEmitTimeline || c.phase == export.PhaseAdapt {
			if err := group.Wait(); err != nil {
				return err
			}
		}
		judged, err := l.strike(ctx, c, 2+chance.IntN(9))
		if err != nil {
			return errors.Join(fmt.Errorf("%s at %q, tenant %s: %w", c.way, c.point, l.tenant, err), group.Wait())
		}
		if c.way == terminated {
			group.Go(judged)
		} else if err := judged(); err != nil {
			return errors.Join(err, group.Wait())
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return l.again(ctx)
}

// strike stops a run at the gate and cancels it many times at once. The
// function it gives looks at what came of it.
func (l *lane) strike(ctx context.Context, c strike, times int) (judged func() error, err error) {
	if err := l.gate.close(ctx, l.tenant, c.point); err != nil {
		return nil, err
	}
	run, err := l.create(ctx)
	if err == nil {
		err = l.gate.await(ctx, atTheGate, 1)
	}
	if err != nil {
		return nil, errors.Join(err, l.gate.open(context.WithoutCancel(ctx), l.tenant))
	}
	began := time.Now()
	answers := l.cancel(ctx, run.RunID, c.way, times)
	if c.way&fromAPI != 0 {
		err = l.gate.await(ctx, behindIt, 1)
	} else {
		answers() // Temporal has it, before the run goes on
	}
	if err := errors.Join(err, l.gate.open(ctx, l.tenant)); err != nil {
		return nil, err
	}
	return func() error {
		status, err := l.judge(ctx, run.RunID, c, answers())
		if err != nil {
			return fmt.Errorf("%s at %q, run %s of %s: %w", c.way, c.point, run.RunID, l.tenant, err)
		}
		took := time.Since(began)
		l.storm.count(string(c.phase)+": "+c.point, c.way, status)
		if c.way != terminated {
			return nil
		}
		if took > terminatedWithin {
			return fmt.Errorf("run %s of %s ended %s after its workflow was terminated", run.RunID, l.tenant, took)
		}
		l.storm.mu.Lock()
		defer l.storm.mu.Unlock()
		l.storm.aged = append(l.storm.aged, took.Round(100*time.Millisecond))
		return nil
	}, nil
}

// again makes the run that the cancelled ones were to make: it gets a slot and
// has the bytes of one that nothing happened before.
func (l *lane) again(ctx context.Context) error {
	run, err := l.create(ctx)
	if err == nil {
		run, err = l.client.WaitRun(ctx, run.RunID, nil)
	}
	if err != nil {
		return fmt.Errorf("an undisturbed run after the cancelled ones: %w", err)
	}
	if run.Status != client.RunStatusSucceeded || run.PayloadDigest != l.twin {
		return fmt.Errorf("an undisturbed run after the cancelled ones is %s with payload %s, its twin has %s", run.Status, run.PayloadDigest, l.twin)
	}
	return nil
}

// answer is what somebody was told who cancelled through the API.
type answer struct {
	reason string
	run    client.Run
	err    error
}

// cancel sends that many requests at once. The result waits for the answers;
// those from Temporal are not in it.
func (l *lane) cancel(ctx context.Context, runID string, w way, times int) func() []answer {
	var all sync.WaitGroup
	answers := make([]answer, times)
	workflow := export.RunWorkflowID(export.Ref{Tenant: l.tenant, RunID: runID})
	for i := range times {
		all.Go(func() {
			if w&fromAPI != 0 && (w&fromTemporal == 0 || i%2 == 0) {
				answers[i] = l.ask(ctx, runID, fmt.Sprintf("reason %d %s", i, l.why))
				return
			}
			call := func() error { return l.storm.temporal.CancelWorkflow(ctx, workflow, "") }
			if w == terminated {
				call = func() error { return l.storm.temporal.TerminateWorkflow(ctx, workflow, "", "stop it") }
			}
			if err := patiently(ctx, call); err != nil {
				answers[i].err = fmt.Errorf("%s in Temporal: %w", w, err)
			}
		})
	}
	return func() []answer {
		all.Wait()
		return answers
	}
}

// ask cancels through the API, and asks again while the API or what it needs
// is away.
func (l *lane) ask(ctx context.Context, runID, reason string) answer {
	a := answer{reason: reason}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		a.run, a.err = l.client.CancelRun(ctx, runID, reason)
		if a.err == nil || !client.Temporary(a.err) || time.Now().After(deadline) {
			return a
		}
	}
}

// patiently calls Temporal until it answers; a workflow that is closed or does
// not exist yet is an answer.
func patiently(ctx context.Context, call func() error) error {
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := call()
		var absent *serviceerror.NotFound
		if err == nil || errors.As(err, &absent) {
			return nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
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

// race cancels a run so long after it has started.
func (l *lane) race(t *testing.T, wait time.Duration, w way, times int) error {
	ctx := t.Context()
	run, err := l.create(ctx)
	if err != nil {
		return err
	}
	for run.Status == client.RunStatusPending {
		if run, err = l.client.GetRun(ctx, run.RunID); err != nil {
			return err
		}
	}
	time.Sleep(wait) // the moment of chance
	status, err := l.judge(ctx, run.RunID, strike{way: w}, l.cancel(ctx, run.RunID, w, times)())
	if err != nil {
		return fmt.Errorf("run %s of %s, cancelled %s after its start: %w", run.RunID, l.tenant, wait, err)
	}
	l.storm.count("by chance", w, status)
	return nil
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
