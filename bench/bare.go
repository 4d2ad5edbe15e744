package main

import (
	"context"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	temporal "go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/temporal"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/clock"
)

// bareQueue is the task queue of the floor of the smallest run.
const bareQueue = "bench-bare"

// bare is the floor of the smallest run: a workflow that does nothing, as
// often as a run does something, on the server that the runs use.
type bare struct {
	client temporal.Client
	worker sdkworker.Worker
	now    clock.Clock
}

// startBare starts a worker with the options of the house's own (worker.Run).
func startBare(c temporal.Client, now clock.Clock) (*bare, error) {
	w := sdkworker.New(c, bareQueue, sdkworker.Options{
		MaxConcurrentActivityExecutionSize: 8,
		MaxHeartbeatThrottleInterval:       time.Second,
		DefaultHeartbeatThrottleInterval:   time.Second,
	})
	w.RegisterWorkflow(bareWorkflow)
	w.RegisterActivity(bareActivity)
	if err := w.Start(); err != nil {
		return nil, fmt.Errorf("start a worker on %s: %w", bareQueue, err)
	}
	return &bare{client: c, worker: w, now: now}, nil
}

func (b *bare) stop() { b.worker.Stop() }

// bareInput is what a bare workflow gets.
type bareInput struct{ Activities int }

// bareWorkflow calls an activity that does nothing, one after another.
func bareWorkflow(ctx workflow.Context, in bareInput) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Second,
		RetryPolicy:         &sdk.RetryPolicy{InitialInterval: 200 * time.Millisecond, MaximumAttempts: 1},
	})
	for range in.Activities {
		if err := workflow.ExecuteActivity(ctx, bareActivity, in).Get(ctx, nil); err != nil {
			return err
		}
	}
	return nil
}

func bareActivity(context.Context, bareInput) error { return nil }

// run starts a workflow as the dispatcher starts one of a run, and waits for
// its result.
func (b *bare) run(ctx context.Context, activities int) (time.Duration, error) {
	options := temporal.StartWorkflowOptions{
		ID: "bench-bare/" + clock.NewID(), TaskQueue: bareQueue,
		WorkflowIDReusePolicy:                    enumspb.WORKFLOW_ID_REUSE_POLICY_REJECT_DUPLICATE,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		TypedSearchAttributes: sdk.NewSearchAttributes(
			sdk.NewSearchAttributeKeyKeyword(export.AttributeTenant).ValueSet("bench"),
			sdk.NewSearchAttributeKeyKeyword(export.AttributeProfile).ValueSet(profile)),
	}
	begin := b.now()
	started, err := b.client.ExecuteWorkflow(ctx, options, bareWorkflow, bareInput{activities})
	if err != nil {
		return 0, fmt.Errorf("start a bare workflow: %w", err)
	}
	if err := started.Get(ctx, nil); err != nil {
		return 0, fmt.Errorf("bare workflow: %w", err)
	}
	return b.now().Sub(begin), nil
}
