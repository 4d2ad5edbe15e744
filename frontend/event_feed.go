package frontend

import (
	"context"
	"fmt"
	"sync"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

const (
	// eventPage is how many events are read, and held by a stream, at once.
	eventPage = 100
	// recentEvents is how many events of a run its readers share.
	recentEvents = 64
)

// eventFeed is the journal of a run as its readers on this process see it. A reader
// keeps no queue, only the number of the last event it sent: what is behind that
// comes from what was read last, which all of them share, or from the table. So a
// slow reader costs no more memory than a quick one.
type eventFeed struct {
	hub     *eventHub
	ref     export.Ref
	readers int // hub.mu guards it, and head and changed

	head    storage.Head
	changed chan struct{} // closed when head has changed

	mu     sync.Mutex // one reads for all
	recent []export.Event
}

// state gives how far the journal is known to be, and a channel that is closed
// when that changes.
func (f *eventFeed) state() (storage.Head, <-chan struct{}) {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	return f.head, f.changed
}

// advance takes in how far the journal is; hub.mu is held.
func (f *eventFeed) advance(head storage.Head) {
	if head.Seq < f.head.Seq || head == f.head {
		return // an answer that was overtaken
	}
	f.head = head
	close(f.changed)
	f.changed = make(chan struct{})
}

// ask finds out how far the journal is.
func (f *eventFeed) ask(ctx context.Context) (storage.Head, error) {
	release, err := f.hub.turn(ctx)
	if err != nil {
		return storage.Head{}, err
	}
	defer release()
	heads, err := f.hub.journal.Heads(ctx, f.ref.Tenant, []string{f.ref.RunID})
	if err != nil {
		return storage.Head{}, fmt.Errorf("how far is the journal of run %s: %w", f.ref.RunID, err)
	}
	head, there := heads[f.ref.RunID]
	if !there {
		return head, errRunNotFound()
	}
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	f.advance(head)
	return f.head, nil
}

// since gives events after one, in order and without a gap, at most a page.
func (f *eventFeed) since(ctx context.Context, after int64) ([]export.Event, error) {
	ctx, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	f.mu.Lock()
	defer f.mu.Unlock()
	if shared := f.shared(after); len(shared) > 0 {
		return shared, nil
	}
	release, err := f.hub.turn(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	events, err := f.hub.journal.Events(ctx, f.ref, after, eventPage)
	if err != nil {
		return nil, fmt.Errorf("read the journal of run %s: %w", f.ref.RunID, err)
	}
	f.share(events)
	return events, nil
}

// shared gives what is behind after, if what was read last begins there or before.
func (f *eventFeed) shared(after int64) []export.Event {
	if len(f.recent) == 0 || f.recent[0].Seq > after+1 || f.recent[len(f.recent)-1].Seq <= after {
		return nil
	}
	return f.recent[after+1-f.recent[0].Seq:]
}

// share keeps the newest events that were read.
func (f *eventFeed) share(events []export.Event) {
	n := len(events)
	if n == 0 || len(f.recent) > 0 && events[n-1].Seq <= f.recent[len(f.recent)-1].Seq {
		return
	}
	f.recent = events[max(0, n-recentEvents):]
}

// turn waits until one may read from the database.
func (h *eventHub) turn(ctx context.Context) (release func(), err error) {
	select {
	case h.reads <- struct{}{}:
		return func() { <-h.reads }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
