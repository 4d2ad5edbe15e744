package frontendtest

import (
	"context"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// Guard gives a run a report, and lets it wait when g parked it.
func (r *Runs) Guard(ref export.Ref, g storage.Guarded) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.guarded[ref] = g
	if run := r.runs[ref]; g.Parked {
		run.State, run.Wait = export.StateWaiting, &export.Wait{Since: g.At, Until: g.Until, Why: g.Report.Why()}
		r.runs[ref] = run
	}
}

// GuardReport implements storage.Runs.
func (r *Runs) GuardReport(_ context.Context, ref export.Ref) (storage.Guarded, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g, ok := r.guarded[ref]
	if !ok {
		return g, storage.ErrNotFound
	}
	return g, nil
}

// Decide implements storage.Runs.
func (r *Runs) Decide(_ context.Context, ref export.Ref, d export.Decision) (export.Run, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	run, ok := r.runs[ref]
	if !ok {
		return run, storage.ErrNotFound
	}
	if why := run.Refuses(d); why != "" {
		return run, &export.Error{Code: export.CodeStateConflict, Err: storage.ErrConflict, Message: why}
	}
	if run.Wait.Decision == nil {
		wait := *run.Wait
		wait.Decision, run.Wait = &d, &wait
		r.runs[ref] = run
	}
	return run, nil
}
