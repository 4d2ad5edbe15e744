package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"

	"github.com/spf13/cobra"

	"github.com/stella-ops/exportcenter/activities"
	"github.com/stella-ops/exportcenter/internal/clock"
	"github.com/stella-ops/exportcenter/internal/config"
	"github.com/stella-ops/exportcenter/internal/scratch"
	"github.com/stella-ops/exportcenter/storage/postgres"
	"github.com/stella-ops/exportcenter/worker"
)

func workerCommand() *cobra.Command {
	return service("worker", "Run exports: workflows and activities", runWorker)
}

// softMemory is where the garbage collector begins to work harder instead of
// letting a worker grow: packing allocates little that lives, and much that
// does not. GOMEMLIMIT, when set, says otherwise.
const softMemory = 208 << 20

// runWorker works until ctx ends, then lets running activities finish.
func runWorker(ctx context.Context, cfg config.Config, log *slog.Logger) error {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
	stores, err := openParts(ctx, cfg)
	if err != nil {
		return err
	}
	defer stores.close()
	signer, err := loadSigner(cfg.Signing)
	if err != nil {
		return err
	}
	kinds, err := profileKinds()
	if err != nil {
		return err
	}
	crossTenant, err := crossTenantOf(cfg.CrossTenant)
	if err != nil {
		return err
	}
	if err := approveNothing(crossTenant, "signing.key", signer.KeyID()); err != nil {
		return err
	}
	temporal := temporalConfig(cfg)
	client, err := worker.Dial(ctx, temporal, quiet(log))
	if err != nil {
		return err
	}
	defer client.Close()
	policies, err := policySnapshots(stores.db)
	if err != nil {
		return err
	}
	rough, err := scratch.Open(scratchDir(cfg.Scratch))
	if err != nil {
		return err
	}
	defer rough.Close() //nolint:errcheck // what is left goes at the next start
	exporting := &activities.Export{
		Ledger:    postgres.NewLedger(stores.db),
		Execution: postgres.NewExecution(stores.db).Within(runLimits(cfg)),
		Objects:   stores.objects,
		Signer:    signer,
		Adapters:  kinds,
		Approvals: activities.Approvals{Trust: crossTenant, Neighbours: postgres.NewNeighbours(stores.db), Profiles: postgres.NewProfiles(stores.db)},
		Scratch:   rough,
		Policies:  activities.Snapshots{Store: policies},
		TUF:       mirrorMetadata(cfg.TUF),
		Clock:     clock.System,
		Log:       log,
		Version:   version,
	}
	dispatcher := &worker.Dispatcher{
		Client: client, TaskQueue: temporal.TaskQueue,
		Waiting: postgres.NewDispatch(stores.db).Within(runLimits(cfg)), Clock: clock.System, Log: log,
	}
	notary := &worker.Notary{Chains: postgres.NewNotary(stores.db), Signer: signer, Clock: clock.System, Log: log}
	notarised, stopNotary := inBackground(ctx, notary.Run)
	defer notarised()
	defer stopNotary()
	log.Info("working", "queue", temporal.TaskQueue, "profiles", kinds.Labels(), "key", signer.KeyID())
	return worker.Run(ctx, client, temporal, exporting, dispatcher, func() error { return announce(cfg.WorkerReady) })
}

// inBackground lets run work until stop is called or ctx ends; wait waits for its end.
func inBackground(ctx context.Context, run func(context.Context)) (wait, stop func()) {
	ctx, stop = context.WithCancel(ctx)
	var group sync.WaitGroup
	group.Go(func() { run(ctx) })
	return group.Wait, stop
}

// scratchDir is where temporary files go.
func scratchDir(c config.Scratch) string {
	if c.Dir != "" {
		return c.Dir
	}
	return filepath.Join(os.TempDir(), "exportcenter-scratch")
}

// announce creates the file that says the worker polls.
func announce(path string) error {
	if path == "" {
		return nil
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return fmt.Errorf("announce the worker: %w", err)
	}
	return nil
}
