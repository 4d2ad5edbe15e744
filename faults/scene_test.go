package faults

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/fault"
	"github.com/stella-ops/exportcenter/internal/testkit"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// endsWithin bounds a case: a run that has not ended by then is stuck.
func (w *world) endsWithin() time.Duration { return time.Minute + 20*w.attempt }

// scene is one run under one fault, from the import of its evidence to its end.
type scene struct {
	world    *world
	scenario scenario
	ref      export.Ref // its run id is known once the API has acknowledged it
	// rebuildOf is the run that it builds again.
	rebuildOf string
	queue     string
	blobs     string
	rough     string
	limits    storage.Limits
	log       *slog.Logger
	said      *testkit.Output

	began chan struct{}   // closed when both ranges of adapt have begun
	parts map[string]bool // that have
	asked chan struct{}   // closed when what the scenario wants then is done; adapt waits for it

	mu    sync.Mutex // guards what follows, and parts
	lives []*life
	alive *life         // nil between two lives
	born  chan struct{} // closed when there is a next life
	lost  error         // why there is none
}

func newScene(t *testing.T, w *world, of scenario, number int) *scene {
	s := &scene{world: w, scenario: of, limits: of.limits,
		ref: export.Ref{Tenant: fmt.Sprintf("fault-%05dx", number)}, queue: fmt.Sprintf("faults-%d", number),
		blobs: t.TempDir(), rough: t.TempDir(), said: &testkit.Output{},
		began: make(chan struct{}), parts: map[string]bool{}, asked: make(chan struct{}), born: make(chan struct{})}
	s.log = slog.New(slog.NewJSONHandler(s.said, nil))
	return s
}

// play lets the scenario happen under a fault, in as many lives as it takes,
// and gives the first life's injector and what somebody who reads meanwhile saw
// wrong.
func (s *scene) play(ctx context.Context, f fault.Fault) (*fault.Injector, error) {
	ctx, cancel := context.WithTimeout(ctx, s.world.endsWithin())
	defer cancel()
	defer s.over()
	first := fault.New(f, func() { s.rebirth(ctx) })
	if err := s.live(ctx, first); err != nil {
		return first, err
	}
	read := make(chan error, 1)
	reading, stop := context.WithCancel(ctx)
	go func() { read <- s.reads(reading) }()
	err := s.scenario.play(ctx, s)
	if err == nil {
		err = s.awaitEnd(ctx)
	}
	stop()
	return first, errors.Join(err, <-read)
}

// begun is told that a part of a phase has begun. Where the scenario wants
// something to happen during adapt, both of its ranges begin, and wait until that
// has happened.
func (s *scene) begun(ctx context.Context, phase export.Phase, part string) {
	if phase != export.PhaseAdapt || !s.scenario.duringAdapt {
		return
	}
	s.mu.Lock()
	if before := len(s.parts); before < 2 {
		if s.parts[part] = true; len(s.parts) == 2 {
			close(s.began)
		}
	}
	s.mu.Unlock()
	select {
	case <-s.asked:
	case <-ctx.Done():
	}
}

// awaitAdapt waits until adapt has begun.
func (s *scene) awaitAdapt(ctx context.Context) error {
	select {
	case <-s.began:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("adapt did not begin: %w", ctx.Err())
	}
}

// awaitEnd waits for the end of the run and of its workflow.
func (s *scene) awaitEnd(ctx context.Context) error {
	runs := postgres.NewRuns(s.world.db.DB)
	ended := func() (bool, error) {
		run, err := runs.GetRun(ctx, s.ref)
		return err == nil && run.State.Terminal(), err
	}
	closed := func() (bool, error) {
		about, err := s.world.client.DescribeWorkflowExecution(ctx, export.RunWorkflowID(s.ref), "")
		return err == nil && about.GetWorkflowExecutionInfo().GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, err
	}
	if err := until(ctx, "the run does not end", ended); err != nil {
		return err
	}
	return until(ctx, "the run has ended, its workflow does not", closed)
}

func until(ctx context.Context, what string, ask func() (bool, error)) error {
	for {
		there, err := ask()
		if there {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("stuck: %s (%v)", what, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
