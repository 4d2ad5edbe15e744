package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/stella-ops/exportcenter/export"
)

// Patience is how long a phase may take and how it is tried again.
type Patience struct {
	// StartToClose bounds one attempt.
	StartToClose time.Duration
	// Heartbeat is the longest silence of an attempt; 0 for short phases that
	// do not beat. A killed worker is noticed after this time.
	Heartbeat time.Duration
	// Attempts bounds the tries. With the backoff below, 30 are about 4 minutes
	// of a database or store being away; then the run fails and says so.
	Attempts int32
}

// patienceOf is the one table of retries, a row per phase.
var patienceOf = map[export.Phase]Patience{
	export.PhasePlan:         {StartToClose: 10 * time.Second, Attempts: 30},
	export.PhaseResolve:      {StartToClose: time.Hour, Heartbeat: 10 * time.Second, Attempts: 30},
	export.PhaseAdapt:        {StartToClose: 12 * time.Hour, Heartbeat: 10 * time.Second, Attempts: 60},
	export.PhaseGuard:        {StartToClose: 12 * time.Hour, Heartbeat: 10 * time.Second, Attempts: 30},
	export.PhaseManifest:     {StartToClose: 5 * time.Minute, Heartbeat: 10 * time.Second, Attempts: 30},
	export.PhaseCompare:      {StartToClose: 12 * time.Hour, Heartbeat: 10 * time.Second, Attempts: 30},
	export.PhaseSign:         {StartToClose: time.Hour, Heartbeat: 10 * time.Second, Attempts: 30},
	export.PhaseDistribute:   {StartToClose: time.Hour, Heartbeat: 10 * time.Second, Attempts: 30},
	export.PhaseEmitTimeline: {StartToClose: 10 * time.Second, Attempts: 0}, // a run must end: never give up
}

// Runs are the workflows of runs. The zero value has the table above; tests
// that let attempts time out bring a shorter one.
type Runs struct {
	PatienceOf map[export.Phase]Patience // a row per phase, or nil
}

// insist is forPhase for what must come about, however long it takes: a run that
// waits must not fail because the database was away when its time was over.
func (r Runs) insist(ctx workflow.Context, phase export.Phase) workflow.Context {
	ctx = r.forPhase(ctx, phase)
	policy := *workflow.GetActivityOptions(ctx).RetryPolicy
	policy.MaximumAttempts = 0
	return workflow.WithRetryPolicy(ctx, policy)
}

// patience is a row of the table.
func (r Runs) patience(phase export.Phase) Patience {
	if r.PatienceOf == nil {
		return patienceOf[phase]
	}
	return r.PatienceOf[phase]
}

// forEncrypt is forPhase for Encrypt, a part of phase sign that takes as long as adapt:
// it writes all of the payload once more, and a header for each recipient of each file.
func (r Runs) forEncrypt(ctx workflow.Context) workflow.Context {
	return workflow.WithStartToCloseTimeout(r.forPhase(ctx, export.PhaseSign), r.patience(export.PhaseAdapt).StartToClose)
}

// forPhase gives ctx the activity options of a phase.
func (r Runs) forPhase(ctx workflow.Context, phase export.Phase) workflow.Context {
	p := r.patience(phase)
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: p.StartToClose,
		HeartbeatTimeout:    p.Heartbeat,
		WaitForCancellation: true, // clean up only after the work has stopped
		RetryPolicy: &temporal.RetryPolicy{
			InitialInterval:    200 * time.Millisecond,
			BackoffCoefficient: 2,
			MaximumInterval:    10 * time.Second,
			MaximumAttempts:    p.Attempts,
		},
	})
}
