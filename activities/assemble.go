package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// assemblePart is the part of phase adapt that builds; ranges have numbers.
const assemblePart = "assemble"

// Scratch gives an attempt a directory of its own; internal/scratch is one.
type Scratch interface {
	Attempt() (path string, remove func() error, err error)
}

// Policies gives the policy snapshots that runs decide by.
type Policies interface {
	// PolicyOf gives the snapshot a run asked for; the built-in one when it named none.
	PolicyOf(ctx context.Context, run export.Run) (adapters.Policy, error)
}

// Assemble builds what the run's kind makes of its packed shards, once all are
// packed. A retry builds again: the same bytes come out, and blobs that are there
// stay.
func (e *Export) Assemble(ctx context.Context, in PhaseInput) (PhaseResult, error) {
	result, err := e.assemble(ctx, in.Ref)
	return result, e.fail(ctx, in.Ref, export.PhaseAdapt, err)
}

func (e *Export) assemble(ctx context.Context, ref export.Ref) (_ PhaseResult, err error) {
	claim, run, err := e.beginPart(ctx, ref, export.PhaseAdapt, assemblePart)
	if err != nil {
		return PhaseResult{}, err
	}
	builder, err := e.builderOf(run)
	if err != nil {
		return PhaseResult{}, err
	}
	_, shards, err := e.Execution.Plan(ctx, ref)
	if err != nil {
		return PhaseResult{}, fmt.Errorf("load plan: %w", err)
	}
	dir, remove, err := e.Scratch.Attempt()
	if err != nil {
		return PhaseResult{}, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	beat := newHeartbeat(ctx)
	in, err := e.buildInput(ctx, run, builder, shards, dir, beat)
	if err != nil {
		return PhaseResult{}, err
	}
	a := &assembly{Export: e, claim: claim, beat: beat, ships: builder.Ships(), paths: map[string]bool{}}
	defer func() {
		if err = errors.Join(err, a.discard()); err != nil {
			e.takeBack(ctx, ref.Tenant, a.stored()...)
		}
	}()
	built, err := e.build(ctx, claim, builder, in, a)
	if err != nil {
		return PhaseResult{}, err
	}
	return a.record(ctx, built)
}

// build builds, and forgets shards whose bytes are not those that were packed: the
// next run packs them anew.
func (e *Export) build(ctx context.Context, claim storage.Claim, builder adapters.Builder, in adapters.Input, a *assembly) (adapters.Built, error) {
	defer a.beat.building(in.Scratch)()
	built, err := builder.Build(ctx, in, a)
	if errors.Is(err, bundle.ErrRotten) {
		return built, e.rotten(ctx, claim, err)
	}
	if err != nil {
		return built, fmt.Errorf("build %s: %w", adapters.Label(builder), err)
	}
	return built, nil
}

// builderOf gives the adapter of a run whose kind builds.
func (e *Export) builderOf(run export.Run) (adapters.Builder, error) {
	adapter, err := e.Adapters.For(run.Kind, run.Variant)
	if err != nil {
		return nil, err
	}
	builder, builds := adapter.(adapters.Builder)
	if !builds {
		return nil, fmt.Errorf("adapter %s builds nothing, but the run was to assemble", adapters.Label(adapter))
	}
	return builder, nil
}

func (e *Export) buildInput(ctx context.Context, run export.Run, builder adapters.Builder, shards []storage.Shard, dir string, beat *heartbeat) (adapters.Input, error) {
	named, err := e.original(ctx, run)
	if err != nil {
		return adapters.Input{}, err
	}
	in := adapters.Input{Options: run.Options, Stamp: named.RequestedAt.UTC(), Scratch: dir,
		Progress: func(done int) { beat.tick(int64(done)) }}
	if decides, ok := builder.(adapters.Decider); ok && decides.Decides() {
		if in.Policy, err = e.Policies.PolicyOf(ctx, run); err != nil {
			return in, fmt.Errorf("policy snapshot of the run: %w", err)
		}
	}
	for _, s := range shards {
		if s.Result == nil {
			return in, fmt.Errorf("shard %s is not packed", s.Name)
		}
		in.Shards = append(in.Shards, e.shardOf(run, s))
	}
	return in, e.mirrorsIn(ctx, run, builder, &in)
}

// record stores what was built: the files, what came of each source, and the end
// of the adapter's work.
func (a *assembly) record(ctx context.Context, built adapters.Built) (PhaseResult, error) {
	if err := a.Execution.SaveFiles(ctx, a.claim, a.files); err != nil {
		return PhaseResult{}, fmt.Errorf("save built files: %w", err)
	}
	if err := a.Execution.SaveSources(ctx, a.claim, built.Sources); err != nil {
		return PhaseResult{}, fmt.Errorf("save what came of each source: %w", err)
	}
	result := PhaseResult{}
	for _, f := range a.files {
		result.Records += f.Records
		result.Bytes += f.Size
	}
	event := export.Event{Type: export.EventAdapterComplete, Message: fmt.Sprintf("built %d files of the packed shards", len(a.files)), At: a.Clock(),
		Metrics: map[string]int64{"files": int64(len(a.files)), "records": result.Records, "bytes": result.Bytes}}
	if err := a.Execution.AddEvent(ctx, a.claim, "", event); err != nil {
		return PhaseResult{}, fmt.Errorf("record that the adapter is done: %w", err)
	}
	return result, nil
}
