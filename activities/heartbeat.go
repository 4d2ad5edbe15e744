package activities

import (
	"context"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"
)

// heartbeatEvery is how often a long phase tells Temporal where it is.
const heartbeatEvery = time.Second

// waitAtMost bounds how long a step may show no progress of its own.
const waitAtMost = 10 * time.Minute

// heartbeat reports progress at most once per interval. It beats only when
// work moves on: a phase that hangs falls silent and is retried elsewhere.
type heartbeat struct {
	ctx    context.Context
	last   time.Time
	ticked atomic.Int64 // counts ticks: work that moves on
}

func newHeartbeat(ctx context.Context) *heartbeat { return &heartbeat{ctx: ctx} }

// tick reports that done items are finished.
func (h *heartbeat) tick(done int64) {
	h.ticked.Add(1)
	//nolint:forbidigo // throttles telemetry only; no byte depends on it
	if now := time.Now(); now.Sub(h.last) >= heartbeatEvery {
		h.last = now
		record(h.ctx, done)
	}
}

// record tells Temporal of progress, where Temporal runs the phase.
func record(ctx context.Context, details ...any) {
	if activity.IsActivity(ctx) {
		activity.RecordHeartbeat(ctx, details...)
	}
}

// wait beats until done is called, for a step that cannot tell how far it is:
// the database sorts a million documents for longer than a silence may last
// before it gives the first. After waitAtMost it falls silent.
func (h *heartbeat) wait() (done func()) {
	ctx, stop := context.WithTimeout(h.ctx, waitAtMost)
	var beating sync.WaitGroup
	beating.Go(func() {
		ticker := time.NewTicker(heartbeatEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				record(h.ctx)
			}
		}
	})
	return sync.OnceFunc(func() {
		stop()
		beating.Wait()
	})
}

// building beats until done is called, for work whose progress shows in the files
// below dir, or in ticks: what sorts and writes for an hour need not say so itself.
// When neither moves for waitAtMost it falls silent.
func (h *heartbeat) building(dir string) (done func()) {
	return whileMoving(h.ctx, func() int64 { return sizeBelow(dir) + h.ticked.Load() },
		func() { record(h.ctx) }, heartbeatEvery, waitAtMost)
}

// whileMoving calls beat as long as what moved gives was another within patience.
func whileMoving(ctx context.Context, moved func() int64, beat func(), every, patience time.Duration) (done func()) {
	ctx, stop := context.WithCancel(ctx)
	var beating sync.WaitGroup
	beating.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		seen, quiet := moved(), time.Duration(0)
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if now := moved(); now != seen {
				seen, quiet = now, 0
			} else {
				quiet += every
			}
			if quiet < patience {
				beat()
			}
		}
	})
	return sync.OnceFunc(func() {
		stop()
		beating.Wait()
	})
}

// sizeBelow adds up the sizes of the files below dir; what goes away meanwhile does
// not count.
func sizeBelow(dir string) (size int64) {
	filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error { //nolint:errcheck // it is never one
		if err != nil || entry.IsDir() {
			return nil
		}
		if info, err := entry.Info(); err == nil {
			size += info.Size() + 1
		}
		return nil
	})
	return size
}
