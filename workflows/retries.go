package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/stella-ops/exportcenter/export"
)

// patience is how long a phase may take and how it is tried again.
type patience struct {
	// startToClose bounds one attempt.
	startToClose time.Duration
	// heartbeat is the longest silence of an attempt; 0 for short phases that
	// do not beat. A killed worker is noticed after this time.
	heartbeat time.Duration
	// attempts bounds the tries. With the backoff below, 30 are about 4 minutes
	// of a database or store being away; then the run fails and says so.
	attempts int32
}

// patienceOf is the one table of retries, a row per phase.
var patienceOf = map[export.Phase]patience{
	export.PhasePlan:         {startToClose: 10 * time.Second, attempts: 30},
	export.PhaseResolve:      {startToClose: time.Hour, heartbeat: 10 * time.Second, attempts: 30},
	export.PhaseAdapt:        {startToClose: 12 * time.Hour, heartbeat: 10 * time.Second, attempts: 60},
	export.PhaseManifest:     {startToClose: 5 * time.Minute, heartbeat: 10 * time.Second, attempts: 30},
	export.PhaseSign:         {startToClose: time.Hour, heartbeat: 10 * time.Second, attempts: 30},
	export.PhaseDistribute:   {startToClose: time.Hour, heartbeat: 10 * time.Second, attempts: 30},
	export.PhaseEmitTimeline: {startToClose: 10 * time.Second, attempts: 0}, // a run must end: never give up
}

// forPhase gives ctx the activity options of a phase.
func forPhase(ctx workflow.Context, phase export.Phase) workflow.Context {
	p := patienceOf[phase]
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: p.startToClose,
		HeartbeatTimeout:    p.heartbeat,
		WaitForCancellation: true, // clean up only after the work has stopped
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    200 * time.Millisecond,
			BackoffCoefficient: 2,
			MaximumInterval:    10 * time.Second,
			MaximumAttempts:    p.attempts,
		},
	})
}
