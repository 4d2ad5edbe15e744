package frontendtest

import (
	"context"
	"time"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

var _ storage.Journal = (*Runs)(nil)

// Say adds an event to the journal of a run and tells whoever hears.
func (r *Runs) Say(ref export.Ref, kind export.EventType, message string) {
	r.mu.Lock()
	r.say(ref, kind, message)
	hearers := r.hearing()
	r.mu.Unlock()
	tell(hearers, ref)
}

// End ends a run with the event of its end.
func (r *Runs) End(ref export.Ref, state export.State) {
	r.mu.Lock()
	run := r.runs[ref]
	run.State, run.CompletedAt = state, Start.Add(time.Minute)
	r.runs[ref] = run
	r.say(ref, export.EventType("run."+state), "the end")
	hearers := r.hearing()
	r.mu.Unlock()
	tell(hearers, ref)
}

func (r *Runs) say(ref export.Ref, kind export.EventType, message string) {
	seq := int64(len(r.journals[ref]) + 1)
	r.journals[ref] = append(r.journals[ref], export.Event{RunID: ref.RunID, Seq: seq, Type: kind, Message: message,
		At: Start, Metrics: map[string]int64{"n": seq}})
}

func (r *Runs) hearing() (all []func(storage.Notice)) {
	for _, heard := range r.hearers {
		all = append(all, heard)
	}
	return all
}

func tell(hearers []func(storage.Notice), ref export.Ref) {
	for _, heard := range hearers {
		heard(storage.Notice{Topics: []storage.Topic{storage.TopicOf(ref)}})
	}
}

// Events implements storage.Runs.
func (r *Runs) Events(_ context.Context, ref export.Ref, after int64, limit int) ([]export.Event, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.runs[ref]; !ok {
		return nil, storage.ErrNotFound
	}
	journal := r.journals[ref]
	from := min(after, int64(len(journal)))
	to := min(from+int64(limit), int64(len(journal)))
	return append([]export.Event(nil), journal[from:to]...), nil
}

// Heads implements storage.Journal.
func (r *Runs) Heads(_ context.Context, tenant string, runs []string) (map[string]storage.Head, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	heads := map[string]storage.Head{}
	for _, id := range runs {
		if run, ok := r.runs[export.Ref{Tenant: tenant, RunID: id}]; ok {
			heads[id] = storage.Head{Seq: int64(len(r.journals[run.Ref()])), Ended: run.State.Terminal()}
		}
	}
	return heads, nil
}

// Hear implements storage.Journal.
func (r *Runs) Hear(ctx context.Context, heard func(storage.Notice)) error {
	r.mu.Lock()
	r.hearings++
	n := r.hearings
	r.hearers[n] = heard
	r.mu.Unlock()
	<-ctx.Done()
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.hearers, n)
	return ctx.Err()
}
