// Command exportcenter-temporal is a whole Temporal cluster in one process,
// with its web page: what `exportcenter up` starts on one machine and
// docker-compose.yml in one container. It keeps everything in PostgreSQL.
//
// It is a module of its own because the server brings four hundred modules
// that nobody who imports Export Center should carry. The rest of the project
// knows it only by its address (docs/architecture.md).
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// stopWithin bounds a clean stop. Workflow state is in PostgreSQL at every
// moment, so nothing is lost when the bound is hit.
const stopWithin = 5 * time.Second

func main() {
	logger := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	path := flag.String("config", "", "configuration `FILE` (JSON); passwords never travel on the command line")
	flag.Parse()
	if *path == "" || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: exportcenter-temporal --config FILE")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, *path, logger); err != nil {
		logger.Error("temporal ended", "error", err.Error())
		os.Exit(1)
	}
}

// run brings the cluster up step by step, each finished before the next
// begins, says "ready" when clients may come, and stops when ctx ends.
func run(ctx context.Context, path string, logger *slog.Logger) error {
	cfg, err := loadConfig(path)
	if err != nil {
		return err
	}
	if err := cfg.clearReady(); err != nil {
		return err
	}
	if err := ensureDatabases(ctx, cfg.Postgres); err != nil {
		return err
	}
	cluster, err := startCluster(cfg)
	if err != nil {
		return err
	}
	if err := ensureNamespace(ctx, cfg); err != nil {
		return err
	}
	ui := startUI(cfg)
	if err := cfg.writeReady(); err != nil {
		return err
	}
	logger.Info("ready", "frontend", cfg.frontend(), "ui", cfg.uiURL(), "namespace", cfg.Namespace)

	<-ctx.Done()
	stopped := make(chan error, 1)
	go func() {
		ui.Stop()
		stopped <- cluster.Stop()
	}()
	select {
	case err := <-stopped:
		return err
	case <-time.After(stopWithin):
		logger.Warn("stop took too long, leaving", "seconds", stopWithin.Seconds())
		return nil
	}
}
