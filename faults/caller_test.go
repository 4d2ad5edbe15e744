package faults

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/fault"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
)

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
func (s *scene) imports(ctx context.Context) error { return s.importsSome(ctx, s.world.evidence) }

func (s *scene) importsSome(ctx context.Context, evidence []ledger.Observation) error {
	return s.insist(ctx, "import", func(ctx context.Context, l *life) error {
		_, err := l.book.Import(ctx, s.ref.Tenant, evidence)
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
	run := s.scenario.request(export.Ref{Tenant: s.ref.Tenant, RunID: id})
	run.RebuildOf = s.rebuildOf
	return run
}

// request is a run of the scenario's kind.
func (s scenario) request(ref export.Ref) export.Run {
	kind := s.kind
	if kind == "" {
		kind = "json:raw"
	}
	mirror := s.delta && (ref.RunID == baseMirror || ref.RunID == targetMirror)
	if mirror {
		kind = "mirror:full"
	}
	profile, _ := export.BuiltinProfile(kind)
	var guard *export.GuardConfig
	if s.parked { // the runs' clock stands still, Temporal's does not: an hour is over at once
		guard = &export.GuardConfig{Canaries: []string{"EXC-NOWHERE"}, ExpiresHours: 1}
		if s.ends == export.StateSucceeded {
			guard.ExpiresHours = 200_000
		}
	}
	var options export.Options
	if export.HoldsPolicy(profile.Kind, profile.Variant) {
		options.PolicySnapshotID = export.BaselineSnapshot // as frontend fills it in
	}
	if s.delta && !mirror {
		options.BaseRunID, options.TargetRunID = baseMirror, targetMirror
	}
	var encryption *export.Encryption
	if s.encryption != "" {
		encryption = &export.Encryption{Enabled: true, Mode: s.encryption, RecipientKeys: []string{recipient}}
	}
	return export.Run{Options: options, Guard: guard, Encryption: encryption, Tenant: ref.Tenant, ID: ref.RunID,
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

// approval is what is said of a run that waits.
var approval = export.Decision{Verdict: export.VerdictApproved, By: "robin", Reason: "it was never there", At: moment}

// approves lets a run that waits go on, as frontend does. Asked again, it is the same.
func (s *scene) approves(ctx context.Context) error {
	return s.insist(ctx, "approve", func(ctx context.Context, l *life) error {
		if _, err := l.runs.Decide(ctx, s.ref, approval); err != nil {
			return err
		}
		s.deliver(ctx, func(ctx context.Context) error { return l.dispatcher.DecideRun(ctx, s.ref) })
		return nil
	})
}
