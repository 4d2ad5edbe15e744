package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/internal/clock"
)

// exported is one run with what it took.
type exported struct {
	id    string
	start time.Duration // from the request to the first activity
	bytes int64         // canonical bytes of what was selected
	measure
}

// exportAll makes a run over everything and checks that it took everything.
func (b *bench) exportAll(ctx context.Context) (exported, error) {
	return b.export(ctx, b.house.env["STELLA_TOKEN"], client.Selectors{}, b.docs.count)
}

// export makes a run of want documents and waits for it. Its time goes from
// before the request to completedAt of the run's row, both on this machine's clock.
func (b *bench) export(ctx context.Context, token string, selected client.Selectors, want int) (exported, error) {
	c, err := client.New(b.house.env["STELLA_SERVER"], token)
	if err != nil {
		return exported{}, err
	}
	var run client.Run
	m, err := b.measured(ctx, "worker", func() (used, error) {
		run, err = c.CreateRun(ctx, client.RunRequest{ProfileID: profile, Selectors: selected}, clock.NewID())
		if err != nil {
			return used{}, err
		}
		run, err = await(ctx, c, run.RunID)
		return used{}, err
	})
	if err != nil {
		return exported{}, err
	}
	if run.Status != client.RunStatusSucceeded {
		return exported{}, fmt.Errorf("run %s ended %s: %+v", run.RunID, run.Status, run.Error)
	}
	if run.Progress.Records != int64(want) {
		return exported{}, fmt.Errorf("run %s has %d documents, not %d", run.RunID, run.Progress.Records, want)
	}
	m.wall = run.CompletedAt.Sub(m.begin.UTC())
	return exported{id: run.RunID, start: run.StartedAt.Sub(m.begin.UTC()), bytes: run.Progress.Bytes, measure: m}, nil
}

func await(ctx context.Context, c *client.Client, id string) (client.Run, error) {
	ctx, cancel := context.WithTimeout(ctx, runPatience)
	defer cancel()
	for {
		run, err := c.GetRun(ctx, id)
		if err != nil || run.Ended() {
			return run, err
		}
		select {
		case <-ctx.Done():
			return run, fmt.Errorf("run %s did not end: %w", id, ctx.Err())
		case <-time.After(pollEvery):
		}
	}
}

// firstRun is the run that finds an empty blob store and a ledger that has
// just been filled.
func (b *bench) firstRun(ctx context.Context) error {
	var err error
	b.first, err = b.exportAll(ctx)
	return err
}

// fetch downloads and verifies the archive of the first run.
func (b *bench) fetch(ctx context.Context) error {
	b.archive = filepath.Join(b.dir, "bundle.tar")
	download, verify, err := b.download(ctx, b.first.id, b.archive)
	if err != nil {
		return err
	}
	b.add(measuredRow("download", download))
	b.add(measuredRow("verify", verify))
	info, err := os.Stat(b.archive)
	if err == nil {
		b.note("the archive has %.1f MB", float64(info.Size())/1e6)
	}
	return err
}

// download brings the bundle of a run to path and verifies it, both with stella.
func (b *bench) download(ctx context.Context, id, path string) (download, verify measure, err error) {
	token := b.house.env["STELLA_TOKEN"]
	download, err = b.measured(ctx, "api", func() (used, error) {
		_, u, err := b.house.stella(ctx, token, "export", "download", id, "--output", path)
		return u, err
	})
	if err != nil {
		return download, verify, err
	}
	verify, err = b.measured(ctx, "", func() (used, error) {
		_, u, err := b.house.stella(ctx, token, "verify", path, "--trust", b.house.env["STELLA_TRUST"])
		return u, err
	})
	return download, verify, err
}
