package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/export"
)

// guard holds a result against the last one, and one that shrank until somebody
// decides. Runs that began under a version without it are not guarded: their plan
// does not say so.
func (r *exportRun) guard(guarded bool) error {
	if !guarded {
		return nil
	}
	r.phase = export.PhaseGuard
	ctx := r.forPhase(r.ctx, export.PhaseGuard)
	var found activities.GuardResult
	err := workflow.ExecuteActivity(ctx, exporting.Guard, activities.PhaseInput{Ref: r.ref}).Get(ctx, &found)
	if err != nil || !found.Parked {
		return err
	}
	r.waits = true
	defer func() { r.waits = false }()
	return r.await(found.Until)
}

// await holds the run until it is approved and has a slot. The run's row says what was
// decided, and when its turn is; a signal, the end of its time and a cancel are reasons
// to look there.
func (r *exportRun) await(until time.Time) error {
	// Whoever signalled before the run waited has not read the report: that is a
	// reason to look, and no decision.
	news := workflow.GetSignalChannel(r.ctx, DecisionSignal)
	var early export.Decision
	look := false
	for news.ReceiveAsync(&early) {
		look = true
	}
	patience, forget := workflow.WithCancel(r.ctx)
	defer forget()
	expired := workflow.NewTimer(patience, until.Sub(workflow.Now(r.ctx)))
	for {
		in := activities.SettleInput{Ref: r.ref}
		if !look {
			heard := workflow.NewSelector(r.ctx)
			heard.AddReceive(r.ctx.Done(), func(workflow.ReceiveChannel, bool) {})
			heard.AddReceive(news, func(c workflow.ReceiveChannel, _ bool) {
				var said export.Decision
				if c.ReceiveAsync(&said) { // what cannot be read is a reason to look
					in.Decision = &said
				}
			})
			if expired != nil {
				heard.AddFuture(expired, func(workflow.Future) { in.Expired, expired = true, nil })
			}
			heard.Select(r.ctx)
		}
		look = false
		if r.ctx.Err() != nil {
			return temporal.NewCanceledError()
		}
		ctx := r.insist(r.ctx, export.PhaseGuard)
		var settled activities.SettleResult
		if err := workflow.ExecuteActivity(ctx, exporting.Settle, in).Get(ctx, &settled); err != nil || settled.Resumed {
			return err
		}
		if settled.Approved { // it waits for a slot, however long that takes
			forget()
			expired = nil
		}
	}
}
