package activities

import (
	"context"
	"sync"
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
	ctx  context.Context
	last time.Time
}

func newHeartbeat(ctx context.Context) *heartbeat { return &heartbeat{ctx: ctx} }

// tick reports that done items are finished.
func (h *heartbeat) tick(done int64) {
	//nolint:forbidigo // throttles telemetry only; no byte depends on it
	if now := time.Now(); now.Sub(h.last) >= heartbeatEvery {
		h.last = now
		activity.RecordHeartbeat(h.ctx, done)
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
				activity.RecordHeartbeat(h.ctx)
			}
		}
	})
	return sync.OnceFunc(func() {
		stop()
		beating.Wait()
	})
}
