package frontend

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/storage"
)

// StreamLimits bound the event streams of a process; 0 = the default.
type StreamLimits struct {
	PerTenant int           // open at once, default 500
	Total     int           // of all tenants, default 10,000
	Heartbeat time.Duration // between comments, default 15 s
	Look      time.Duration // between two looks without a notice, default 1 s
	// WritePatience is how long a write may take before the reader is given up,
	// default 15 s. Whoever is slow goes on with Last-Event-ID.
	WritePatience time.Duration
}

func (l StreamLimits) orDefault() StreamLimits {
	if l.PerTenant == 0 {
		l.PerTenant = 500
	}
	if l.Total == 0 {
		l.Total = 10_000
	}
	if l.Heartbeat == 0 {
		l.Heartbeat = 15 * time.Second
	}
	if l.Look == 0 {
		l.Look = time.Second
	}
	if l.WritePatience == 0 {
		l.WritePatience = 15 * time.Second
	}
	return l
}

// eventHub tells the event streams of this process how far journals are. One
// goroutine hears the notices of all writers and asks, for the runs that somebody
// reads, how far they are; it also asks without a notice, so that a lost one costs a
// second and never an event. An idle stream costs nothing but its connection.
type eventHub struct {
	journal storage.Journal
	limits  StreamLimits
	log     *slog.Logger
	// reads bounds the journals that are read at once: after a restart all
	// readers come together, and the database's connections are for others too.
	reads chan struct{}
	// draining is closed when the server is about to stop.
	draining chan struct{}
	drained  sync.Once

	mu      sync.Mutex
	feeds   map[export.Ref]*eventFeed
	byTopic map[storage.Topic]map[export.Ref]*eventFeed
	dirty   map[export.Ref]bool // to be looked at
	wake    chan struct{}       // holds one
	tenants map[string]int      // open streams
	open    int
}

// readsAtOnce is how many streams read from the database at once.
const readsAtOnce = 8

func newEventHub(journal storage.Journal, limits StreamLimits, log *slog.Logger) *eventHub {
	return &eventHub{journal: journal, limits: limits.orDefault(), log: log,
		reads: make(chan struct{}, readsAtOnce), draining: make(chan struct{}), wake: make(chan struct{}, 1),
		feeds: map[export.Ref]*eventFeed{}, byTopic: map[storage.Topic]map[export.Ref]*eventFeed{},
		dirty: map[export.Ref]bool{}, tenants: map[string]int{}}
}

// drain ends all streams, now and from now on.
func (h *eventHub) drain() { h.drained.Do(func() { close(h.draining) }) }

// errTooManyStreams says that a tenant, or the server, has as many as it may.
func errTooManyStreams(limit int) error {
	return &export.Error{Code: export.CodeQuota, Class: export.ClassQuota, Err: &storage.QueueFull{Limit: limit},
		Message: "too many event streams are open; close some, or ask again later"}
}

// join gives the feed of a run to one more reader, who calls leave in the end.
func (h *eventHub) join(ref export.Ref) (f *eventFeed, leave func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tenants[ref.Tenant] >= h.limits.PerTenant {
		return nil, nil, errTooManyStreams(h.limits.PerTenant)
	}
	if h.open >= h.limits.Total {
		return nil, nil, errTooManyStreams(h.limits.Total)
	}
	h.open++
	h.tenants[ref.Tenant]++
	f = h.feeds[ref]
	if f == nil {
		f = &eventFeed{hub: h, ref: ref, changed: make(chan struct{})}
		topic := storage.TopicOf(ref)
		if h.byTopic[topic] == nil {
			h.byTopic[topic] = map[export.Ref]*eventFeed{}
		}
		h.feeds[ref], h.byTopic[topic][ref] = f, f
	}
	f.readers++
	return f, sync.OnceFunc(func() { h.leave(f) }), nil
}

func (h *eventHub) leave(f *eventFeed) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open--
	if h.tenants[f.ref.Tenant]--; h.tenants[f.ref.Tenant] == 0 {
		delete(h.tenants, f.ref.Tenant)
	}
	if f.readers--; f.readers > 0 {
		return
	}
	topic := storage.TopicOf(f.ref)
	delete(h.feeds, f.ref)
	delete(h.dirty, f.ref)
	if delete(h.byTopic[topic], f.ref); len(h.byTopic[topic]) == 0 {
		delete(h.byTopic, topic)
	}
}

// heard marks the feeds that a notice is about.
func (h *eventHub) heard(n storage.Notice) {
	h.mu.Lock()
	for _, topic := range n.Topics {
		for ref := range h.byTopic[topic] {
			h.dirty[ref] = true
		}
	}
	if n.All {
		h.markAll()
	}
	some := len(h.dirty) > 0
	h.mu.Unlock()
	if some {
		select {
		case h.wake <- struct{}{}:
		default:
		}
	}
}

// markAll marks every feed that has not ended; h.mu is held.
func (h *eventHub) markAll() {
	for ref, f := range h.feeds {
		if !f.head.Ended {
			h.dirty[ref] = true
		}
	}
}

// start begins to watch journals until ctx ends or stop is called.
func (h *eventHub) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var both sync.WaitGroup
	both.Go(func() { h.listen(ctx) })
	both.Go(func() { h.watch(ctx) })
	return func() {
		cancel()
		both.Wait()
	}
}

// listen hears notices, and begins again when that breaks.
func (h *eventHub) listen(ctx context.Context) {
	for ctx.Err() == nil {
		if err := h.journal.Hear(ctx, h.heard); err != nil && ctx.Err() == nil {
			h.log.LogAttrs(ctx, slog.LevelWarn, "no notices of events are heard; journals are looked at in turn", slog.Any("error", err))
		}
		pause(ctx, h.limits.Look)
	}
}

// watch looks at journals after a notice, and at all of them once in a while.
func (h *eventHub) watch(ctx context.Context) {
	tick := time.NewTimer(h.limits.Look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.wake:
		case <-tick.C:
			h.mu.Lock()
			h.markAll()
			// Each tenant is a question of its own: at most 200 of them a second.
			tick.Reset(max(h.limits.Look, time.Duration(len(h.tenants))*5*time.Millisecond))
			h.mu.Unlock()
		}
		h.look(ctx)
	}
}

// lookAtOnce is how many runs one question is about.
const lookAtOnce = 1000

// look asks how far the marked journals are.
func (h *eventHub) look(ctx context.Context) {
	h.mu.Lock()
	questions := map[string][]string{}
	for ref := range h.dirty {
		questions[ref.Tenant] = append(questions[ref.Tenant], ref.RunID)
	}
	clear(h.dirty)
	h.mu.Unlock()
	for tenant, runs := range questions {
		for len(runs) > 0 {
			n := min(lookAtOnce, len(runs))
			h.ask(ctx, tenant, runs[:n])
			runs = runs[n:]
		}
	}
}

// ask brings feeds up to date. When it fails the next look makes up for it.
func (h *eventHub) ask(ctx context.Context, tenant string, runs []string) {
	ctx, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	heads, err := h.journal.Heads(ctx, tenant, runs)
	if err != nil {
		if !errors.Is(err, context.Canceled) {
			h.log.LogAttrs(ctx, slog.LevelWarn, "journals cannot be looked at", slog.String("tenant", tenant), slog.Any("error", err))
		}
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for id, head := range heads {
		if f := h.feeds[export.Ref{Tenant: tenant, RunID: id}]; f != nil {
			f.advance(head)
		}
	}
}

// pause waits for d, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
