package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/fault"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// scenario is a story that a run goes through, and how it ends.
type scenario struct {
	name        string
	play        func(context.Context, *scene) error
	ends        export.State
	limits      storage.Limits
	kind        string // catalogue name of its profile; "" = json:raw
	duringAdapt bool   // adapt waits until the story goes on
	rebuild     bool   // the run builds another one again
	encryption  string // mode in which its bundle leaves
	parked      bool   // the result lacks a canary, and waits for an approval
	again       bool   // a run of the same kind was published before
	delta       bool   // two full mirrors were published before, and it lies between them
	// points are those whose faults belong to the scenario: an undisturbed run
	// reaches each of them.
	points []fault.Point
	// chance are points that a run reaches or not, as the moment falls.
	chance []fault.Point
}

// scenarios: the first two have every point they reach, the others those that
// the first two cannot reach.
func scenarios() []scenario {
	return []scenario{
		{name: "success", ends: export.StateSucceeded, play: succeeds, points: slices.Concat(
			[]fault.Point{fault.Import, fault.CreateRun, fault.StartWorkflow}, packing, []fault.Point{fault.PinAll, fault.SaveShards,
				fault.SaveFiles, fault.SaveManifest, fault.Sign, fault.KeepSignature, fault.SaveSigned, fault.SaveDistribution, fault.Finish})},
		{name: "cancel", ends: export.StateAborted, play: isCancelled, duringAdapt: true, points: slices.Concat(
			[]fault.Point{fault.Import, fault.CreateRun, fault.StartWorkflow}, packing, []fault.Point{fault.RequestCancel, fault.SignalCancel,
				fault.Finish, fault.DropBlobs, fault.EraseBlobs, fault.Delete}),
			chance: []fault.Point{fault.PinAll, fault.SaveShards}},
		{name: "queued", ends: export.StateSucceeded, play: waitsForASlot, limits: storage.Limits{Active: 1},
			points: []fault.Point{fault.ClaimTurn, fault.StartWorkflow}},
		{name: "built", kind: "trivy:db", ends: export.StateSucceeded, play: succeeds,
			points: []fault.Point{fault.BeginPart, fault.Stage, fault.Write, fault.Pin, fault.Publish, fault.SaveFiles, fault.SaveSources, fault.SaveGuard, fault.AddEvent}},
		{name: "approved", kind: "trivy:db", ends: export.StateSucceeded, play: isApproved, parked: true,
			points: []fault.Point{fault.SaveGuard, fault.Decide, fault.ClaimTurn, fault.SignalCancel, fault.Settle}},
		{name: "undecided", kind: "trivy:db", ends: export.StateFailed, play: succeeds, parked: true,
			points: []fault.Point{fault.Settle}},
		{name: "rebuilt", kind: "trivy:db", ends: export.StateSucceeded, play: isRebuilt, rebuild: true,
			points: []fault.Point{fault.SaveRebuilt, fault.DropBlobs}},
		{name: "mirrored", kind: "mirror:full", ends: export.StateSucceeded, play: succeeds,
			points: []fault.Point{fault.Start, fault.Stage, fault.Write, fault.Pin, fault.Publish, fault.SaveFiles}},
		{name: "mirrored again", kind: "mirror:full", ends: export.StateSucceeded, play: isMirroredAgain, again: true,
			points: []fault.Point{fault.Pin, fault.SaveFiles}},
		{name: "delta", kind: "mirror:delta", ends: export.StateSucceeded, play: isDelta, delta: true,
			points: []fault.Point{fault.SavePlan, fault.PinAll, fault.Publish, fault.SaveFiles}},
		{name: "encrypted", encryption: export.EncryptionGCM, ends: export.StateSucceeded, play: succeeds,
			points: []fault.Point{fault.EraseCiphers, fault.SaveEncrypted}},
		{name: "encrypted mirror", kind: "mirror:full", encryption: export.EncryptionAge, ends: export.StateSucceeded, play: succeeds,
			points: []fault.Point{fault.SaveEncrypted}},
		{name: "terminated", ends: export.StateAborted, play: losesItsWorkflow, duringAdapt: true,
			points: []fault.Point{fault.SignalCancel, fault.SignalWithStart}},
	}
}

// packing are the points from the first claim to the first shard.
var packing = []fault.Point{fault.BeginPart, fault.Start, fault.SavePlaces, fault.SavePlan, fault.AddEvent,
	fault.Stage, fault.Write, fault.Pin, fault.Publish, fault.Discard}

// lost are the scenario's points that an undisturbed run did not reach.
func (s scenario) lost(hits map[fault.Point]int) (lost []fault.Point) {
	for _, p := range s.points {
		if hits[p] == 0 {
			lost = append(lost, p)
		}
	}
	return lost
}

// unreached are the points that no scenario reaches, each with a reason.
var unreached = map[fault.Point]string{
	fault.Begin:           "activities claim parts of phases (BeginPart); Begin is the same with the part \"\"",
	fault.ForgetPacked:    "only when stored bytes have rotted, which fails the run for good; activities and e2e have tests with rot",
	fault.EraseUnrecorded: "only an attempt that failed after it published takes back; late at staged.Publish, cancel, is one",
}

// succeeds: evidence, a request, a bundle.
func succeeds(ctx context.Context, s *scene) error {
	if err := s.imports(ctx); err != nil {
		return err
	}
	return s.asks(ctx)
}

// isCancelled: the end is asked for while adapt packs.
func isCancelled(ctx context.Context, s *scene) error {
	defer close(s.asked)
	if err := errors.Join(succeeds(ctx, s)); err != nil {
		return err
	}
	if err := s.awaitAdapt(ctx); err != nil {
		return err
	}
	return s.cancels(ctx)
}

// isRebuilt: a run that has a bundle is built again, and is identical.
func isRebuilt(ctx context.Context, s *scene) error {
	of, err := s.published(ctx)
	if err != nil {
		return err
	}
	s.rebuildOf = of.RunID
	return s.asks(ctx)
}

// isMirroredAgain: the mirror before has all originals already, and its segments are
// taken over.
func isMirroredAgain(ctx context.Context, s *scene) error {
	if _, err := s.published(ctx); err != nil {
		return err
	}
	return s.asks(ctx)
}

// isDelta: between two mirrors some evidence came in; the delta between them is asked for.
func isDelta(ctx context.Context, s *scene) error {
	for i, id := range []string{baseMirror, targetMirror} {
		if err := s.importsSome(ctx, s.world.halves()[i]); err != nil {
			return err
		}
		if _, err := s.publishedAs(ctx, id); err != nil {
			return err
		}
	}
	return s.asks(ctx)
}

// The mirrors of the scenario delta have the same names in a scene and in its twin: a
// delta names them.
const (
	baseMirror   = "0190c0de-0000-7000-8000-00000000ba5e"
	targetMirror = "0190c0de-0000-7000-8000-00000000beef"
)

// published imports the evidence and makes a run of the scenario's kind that has a bundle.
func (s *scene) published(ctx context.Context) (export.Ref, error) {
	if err := s.imports(ctx); err != nil {
		return export.Ref{}, err
	}
	return s.publishedAs(ctx, clock.NewID())
}

func (s *scene) publishedAs(ctx context.Context, id string) (export.Ref, error) {
	runs := postgres.NewRuns(s.world.db.DB)
	run, _, err := runs.CreateRun(ctx, s.request(id), storage.Idempotency{})
	if err != nil {
		return export.Ref{}, err
	}
	return run.Ref(), until(ctx, "the run before does not end", func() (bool, error) {
		run, err := runs.GetRun(ctx, run.Ref())
		return err == nil && run.State == export.StateSucceeded, err
	})
}

// rebuiltJournal judges the journal of a rebuild that is identical.
func rebuiltJournal(types []export.EventType) error {
	types = slices.DeleteFunc(slices.Clone(types), func(t export.EventType) bool { return t == export.EventAdapterChunk || t == export.EventProgress })
	want := []export.EventType{export.EventPending, export.EventStarted, export.EventPlanned, export.EventAdapterStart, export.EventAdapterComplete,
		export.EventManifestWritten, export.EventCompared, export.EventSucceeded}
	if !slices.Equal(types, want) {
		return fmt.Errorf("want %v, with chunks and progress between", want)
	}
	return nil
}

// isApproved: the run waits until somebody approves it, and then goes on.
func isApproved(ctx context.Context, s *scene) error {
	if err := succeeds(ctx, s); err != nil {
		return err
	}
	runs := postgres.NewRuns(s.world.db.DB)
	err := until(ctx, "the run does not wait", func() (bool, error) {
		run, err := runs.GetRun(ctx, s.ref)
		return err == nil && run.State == export.StateWaiting, err
	})
	if err != nil {
		return err
	}
	return s.approves(ctx)
}

// waitsForASlot: another run of the tenant has the only slot, and then ends.
func waitsForASlot(ctx context.Context, s *scene) error {
	runs, execution := postgres.NewRuns(s.world.db.DB).Within(s.limits), postgres.NewExecution(s.world.db.DB)
	other, _, err := runs.CreateRun(ctx, s.request(clock.NewID()), storage.Idempotency{})
	if err != nil {
		return err
	}
	claim, _, err := execution.Begin(ctx, other.Ref(), export.PhasePlan, 1)
	if err == nil {
		_, err = execution.Start(ctx, claim, 1, moment)
	}
	if err != nil {
		return err
	}
	if err := succeeds(ctx, s); err != nil {
		return err
	}
	failure := &export.Failure{Code: export.CodeInternal, Message: "it has made way", Phase: export.PhasePlan}
	_, err = execution.Finish(ctx, claim, storage.Outcome{State: export.StateFailed, At: moment, Failure: failure,
		Timeline: []export.TimelineEvent{{EventID: export.TimelineEventID(other.Ref(), export.TransitionFailed),
			TenantID: other.Tenant, EventType: export.TransitionFailed, RunID: other.ID}}})
	if err == nil {
		return nil
	}
	// The dispatcher saw it before it had started, and gave it a workflow: that
	// ends it.
	return until(ctx, fmt.Sprintf("the run that has the slot does not end (%v)", err), func() (bool, error) {
		run, err := runs.GetRun(ctx, other.Ref())
		return err == nil && run.State.Terminal(), err
	})
}

// losesItsWorkflow: an operator terminates the workflow while adapt packs; the
// cancel that follows finds none, and the dispatcher ends the run.
func losesItsWorkflow(ctx context.Context, s *scene) error {
	defer close(s.asked)
	if err := succeeds(ctx, s); err != nil {
		return err
	}
	if err := s.awaitAdapt(ctx); err != nil {
		return err
	}
	if err := s.world.client.TerminateWorkflow(ctx, export.RunWorkflowID(s.ref), "", "a test"); err != nil {
		return err
	}
	return s.cancels(ctx)
}

// abortedJournal judges the journal of a run that was cancelled: how many of the
// ranges were packed before depends on the moment, nothing else does.
func abortedJournal(types []export.EventType) error {
	for _, once := range []export.EventType{export.EventPending, export.EventStarted, export.EventPlanned,
		export.EventAdapterStart, export.EventCancelRequested, export.EventAborted} {
		n := 0
		for _, t := range types {
			if t == once {
				n++
			}
		}
		if n != 1 {
			return fmt.Errorf("it has %s %d times", once, n)
		}
	}
	begins := []export.EventType{export.EventPending, export.EventStarted, export.EventPlanned, export.EventAdapterStart}
	if !slices.Equal(types[:len(begins)], begins) {
		return fmt.Errorf("it does not begin with %v", begins)
	}
	if types[len(types)-1] != export.EventAborted {
		return errors.New("it does not end with the end")
	}
	return nil
}

// undecidedJournal judges the journal of a run about which nobody decided in time.
func undecidedJournal(types []export.EventType) error {
	waits := slices.Index(types, export.EventWaiting)
	if waits < 0 || !slices.Equal(types[waits:], []export.EventType{export.EventWaiting, export.EventFailed}) {
		return errors.New("it does not end with a wait and a failure")
	}
	return nil
}
