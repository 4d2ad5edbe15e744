package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"golang.org/x/sync/errgroup"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
)

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
