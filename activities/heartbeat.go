package activities

import (
	"context"
	"time"

	"go.temporal.io/sdk/activity"
)

// heartbeatEvery is how often a long phase tells Temporal where it is.
const heartbeatEvery = time.Second

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
