// Package worker puts workflows and activities on a task queue, and brings
// runs to Temporal: at once when the API asks, and again from the database
// when that did not work.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	sdkworker "go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/workflows"
)

// Config of the connection to Temporal and of the worker.
type Config struct {
	Address   string // host:port of the Temporal frontend
	Namespace string
	TaskQueue string
	// Activities is how many activities run at once; 0 = 8.
	Activities int
	// Workflows are the workflows; the zero value is what production has.
	Workflows workflows.Runs
	// StopTimeout is how long activities may go on after a stop was asked for; 0 = 10 s.
	StopTimeout time.Duration
}

// defaultStopTimeout is how long activities may go on after a stop was asked for.
const defaultStopTimeout = 10 * time.Second

func (c Config) stopTimeout() time.Duration {
	if c.StopTimeout == 0 {
		return defaultStopTimeout
	}
	return c.StopTimeout
}

// Dial connects to Temporal, trying again until it answers or ctx ends: a
// worker may start before its server does.
func Dial(ctx context.Context, cfg Config, log *slog.Logger) (client.Client, error) {
	options := client.Options{HostPort: cfg.Address, Namespace: cfg.Namespace, Logger: sdklog.NewStructuredLogger(log)}
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		c, err := client.DialContext(ctx, options)
		if err == nil {
			return c, nil
		}
		log.Warn("temporal does not answer yet", "address", cfg.Address, "error", err.Error())
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("connect to temporal at %s: %w", cfg.Address, err)
		case <-time.After(wait):
		}
	}
}

// Lazy connects to Temporal on first use, for the API, which must answer also
// while Temporal is away.
func Lazy(cfg Config, log *slog.Logger) (client.Client, error) {
	c, err := client.NewLazyClient(client.Options{
		HostPort: cfg.Address, Namespace: cfg.Namespace, Logger: sdklog.NewStructuredLogger(log),
	})
	if err != nil {
		return nil, fmt.Errorf("configure temporal client: %w", err)
	}
	return c, nil
}

// Run works until ctx ends, then drains: running activities get Config.StopTimeout.
// ready is called once the worker polls.
func Run(ctx context.Context, c client.Client, cfg Config, exporting *activities.Export, dispatcher *Dispatcher, ready func() error) error {
	activitySlots := cfg.Activities
	if activitySlots == 0 {
		activitySlots = 8
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	w := sdkworker.New(c, cfg.TaskQueue, sdkworker.Options{
		// It stops by itself when Temporal refuses it for good (the namespace is
		// gone): then this process must end too, not stand by.
		OnFatalError:                       func(err error) { stop(&fatalError{err}) },
		MaxConcurrentActivityExecutionSize: activitySlots,
		MaxHeartbeatThrottleInterval:       time.Second,
		DefaultHeartbeatThrottleInterval:   time.Second,
		WorkerStopTimeout:                  cfg.stopTimeout(),
	})
	w.RegisterWorkflowWithOptions(cfg.Workflows.ExportRun, workflow.RegisterOptions{Name: workflows.ExportRunName})
	w.RegisterActivity(exporting)
	packer := newPacker(c, cfg, exporting, stop)
	for _, each := range []sdkworker.Worker{w, packer} {
		if err := each.Start(); err != nil {
			return fmt.Errorf("start worker: %w", err)
		}
		defer each.Stop()
	}
	if err := ready(); err != nil {
		return err
	}
	dispatcher.Loop(ctx)
	var fatal *fatalError
	if errors.As(context.Cause(ctx), &fatal) {
		return fmt.Errorf("worker stopped: %w", fatal.error)
	}
	return nil
}

type fatalError struct{ error }

// newPacker makes the worker that packs ranges: as many at once as there are
// processors, and one more, because each waits for the database and the disk
// between two groups of shards. Each holds an encoder and the documents of a group.
func newPacker(c client.Client, cfg Config, exporting *activities.Export, stop context.CancelCauseFunc) sdkworker.Worker {
	packer := sdkworker.New(c, workflows.PackQueue(cfg.TaskQueue), sdkworker.Options{
		OnFatalError:                       func(err error) { stop(&fatalError{err}) },
		MaxConcurrentActivityExecutionSize: min(runtime.GOMAXPROCS(0)+1, 8),
		MaxConcurrentActivityTaskPollers:   2,
		DisableWorkflowWorker:              true,
		MaxHeartbeatThrottleInterval:       time.Second,
		DefaultHeartbeatThrottleInterval:   time.Second,
		WorkerStopTimeout:                  cfg.stopTimeout(),
	})
	packer.RegisterActivity(exporting)
	return packer
}

// Check proves that Temporal answers; for readiness.
func Check(ctx context.Context, c client.Client) error {
	if _, err := c.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return fmt.Errorf("temporal: %w", err)
	}
	return nil
}
