package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/fault"
	"github.com/stella-ops/exportcenter/internal/oracle"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/files"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// endsWithin bounds a case: a run that has not ended by then is stuck.
func (w *world) endsWithin() time.Duration { return time.Minute + 20*w.attempt }

// scene is one run under one fault, from the import of its evidence to its end.
type scene struct {
	world    *world
	scenario scenario
	ref      export.Ref // its run id is known once the API has acknowledged it
	queue    string
	blobs    string
	limits   storage.Limits
	log      *slog.Logger
	said     *lockedBuffer

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
		blobs: t.TempDir(), said: &lockedBuffer{},
		began: make(chan struct{}), parts: map[string]bool{}, asked: make(chan struct{}), born: make(chan struct{})}
	s.log = slog.New(slog.NewJSONHandler(s.said, nil))
	return s
}

// lockedBuffer is a log in memory.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) bytes() []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return bytes.Clone(b.text.Bytes())
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

// live begins a life.
func (s *scene) live(ctx context.Context, injector *fault.Injector) error {
	l, err := s.begin(ctx, injector)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.lost = err
	} else {
		s.alive, s.lives = l, append(s.lives, l)
	}
	close(s.born)
	return err
}

// rebirth is called when a life has crashed: its connections and locks end, and
// the next one begins, without a fault.
func (s *scene) rebirth(ctx context.Context) {
	s.mu.Lock()
	dead := s.alive
	s.alive, s.born = nil, make(chan struct{})
	s.mu.Unlock()
	dead.cut(s.blobs)
	s.live(ctx, fault.New(fault.Fault{}, nil)) //nolint:errcheck // whoever waits for it is told
}

// now gives the life that is, and waits for it between two.
func (s *scene) now(ctx context.Context) (*life, error) {
	for {
		s.mu.Lock()
		alive, born, lost := s.alive, s.born, s.lost
		s.mu.Unlock()
		if alive != nil || lost != nil {
			return alive, lost
		}
		select {
		case <-born:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// over ends all lives; what stands still in dead ones goes.
func (s *scene) over() {
	s.mu.Lock()
	lives := s.lives
	s.mu.Unlock()
	for _, l := range lives {
		l.injector.Release()
	}
	for _, l := range lives {
		l.end()
	}
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

// insist is a client of the API: it asks until it is answered, each time for a
// while, in whatever life there is.
func (s *scene) insist(ctx context.Context, what string, ask func(context.Context, *life) error) error {
	var last error
	for ctx.Err() == nil {
		l, err := s.now(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if last = once(ctx, l, ask); last == nil {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("%s: %w: %w", what, ctx.Err(), last)
}

// once does not wait for an answer that a dead process owes.
func once(ctx context.Context, l *life, ask func(context.Context, *life) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTakes)
	defer cancel()
	answered := make(chan error, 1)
	go func() { answered <- ask(ctx, l) }()
	select {
	case err := <-answered:
		return err
	case <-l.injector.Dead():
		return fault.ErrDead // the connection has ended
	case <-ctx.Done():
		return ctx.Err()
	}
}

// imports brings the evidence.
func (s *scene) imports(ctx context.Context) error {
	return s.insist(ctx, "import", func(ctx context.Context, l *life) error {
		_, err := l.book.Import(ctx, s.ref.Tenant, s.world.evidence)
		return err
	})
}

// asks requests the run as frontend does: each try under a run id of its own,
// all under one idempotency key. What is acknowledged is the run.
func (s *scene) asks(ctx context.Context) error {
	acknowledged := make(chan export.Run, 100)
	err := s.insist(ctx, "request the run", func(ctx context.Context, l *life) error {
		run, _, err := l.runs.CreateRun(ctx, s.request(clock.NewID()), storage.Idempotency{Key: "one", RequestHash: bundle.DigestOf([]byte("the request"))})
		if err != nil {
			return err
		}
		if run.State == export.StatePending && !run.DispatchedAt.IsZero() {
			s.deliver(ctx, func(ctx context.Context) error { return l.dispatcher.StartRun(ctx, run) })
		}
		acknowledged <- run
		return nil
	})
	if err == nil {
		s.ref = (<-acknowledged).Ref()
	}
	return err
}

func (s *scene) request(id string) export.Run {
	return requestOf(export.Ref{Tenant: s.ref.Tenant, RunID: id})
}

func requestOf(ref export.Ref) export.Run {
	profile, _ := export.BuiltinProfile("json:raw")
	return export.Run{Tenant: ref.Tenant, ID: ref.RunID,
		ProfileID: profile.ID, ProfileRevision: profile.Revision, ProfileName: profile.Name, Kind: profile.Kind, Variant: profile.Variant,
		RequestedBy: "kim", RequestedAt: moment, State: export.StatePending}
}

// cancels asks for the end of the run as frontend does.
func (s *scene) cancels(ctx context.Context) error {
	return s.insist(ctx, "cancel", func(ctx context.Context, l *life) error {
		_, err := l.runs.RequestCancel(ctx, s.ref, export.Cancellation{By: "kim", Reason: "wrong selectors", At: moment})
		if errors.Is(err, storage.ErrConflict) {
			return nil // asked before, without hearing the answer, and the run has ended since
		}
		if err != nil {
			return err
		}
		s.deliver(ctx, func(ctx context.Context) error { return l.dispatcher.CancelRun(ctx, s.ref) })
		return nil
	})
}

// deliver is frontend's: what fails is the dispatcher's to deliver.
func (s *scene) deliver(ctx context.Context, call func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 3*time.Second)
	defer cancel()
	if err := call(ctx); err != nil {
		s.log.Warn("left to the dispatcher", "error", err.Error())
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

// reads reads the run's files, from the first moment to the last.
func (s *scene) reads(ctx context.Context) error {
	objects, err := files.OpenSurvey(s.blobs)
	if err != nil {
		return err
	}
	defer objects.Close()
	reader := oracle.Reader{Runs: postgres.NewRuns(s.world.db.DB), Objects: opener{objects}}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(150 * time.Millisecond):
		}
		if err := s.readsOnce(ctx, reader); err != nil && ctx.Err() == nil {
			return fmt.Errorf("a reader saw: %w", err)
		}
	}
}

// readsOnce reads whatever run the tenant has: its id may not be acknowledged yet.
func (s *scene) readsOnce(ctx context.Context, reader oracle.Reader) error {
	page, _, err := reader.Runs.ListRuns(ctx, s.ref.Tenant, storage.RunFilter{Limit: 10})
	if err != nil {
		return err
	}
	for _, run := range page {
		if err := reader.Look(ctx, run.Ref()); err != nil {
			return err
		}
	}
	return nil
}

// opener opens blobs of a survey by tenant.
type opener struct{ *files.Survey }

func (o opener) Open(ctx context.Context, tenant string, digest bundle.Digest) (storage.Blob, error) {
	return o.Survey.Open(ctx, storage.Namespace(tenant), digest)
}
