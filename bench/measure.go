package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/internal/clock"
)

const (
	profile = "json:raw"
	// repeats of what is reported as a median.
	repeats = 3
	// smallRuns is how often the smallest run is made.
	smallRuns = 20
	// pollEvery is how often the end of a run is asked for. The wall time of a
	// run does not depend on it: it ends at the moment in the run's own row.
	pollEvery = 25 * time.Millisecond
	// runPatience bounds the wait for one run.
	runPatience = 2 * time.Hour
)

// bench is one measurement of everything.
type bench struct {
	house   *house
	tools   tools
	docs    documents
	dir     string
	now     clock.Clock
	archive string // the downloaded bundle
	rows    []row
	notes   []string
}

// measure takes the rows in the order in which a user meets them. Runs and
// their floor alternate, so that both see the same machine.
func (b *bench) measure(ctx context.Context) error {
	if len(b.tools.missing) > 0 {
		b.note("missing: %v; what needs them has no floor (psql comes with Debian's postgresql-client)", b.tools.missing)
	}
	if err := b.house.makeFloor(ctx); err != nil {
		return fmt.Errorf("make the floor: %w", err)
	}
	token := b.house.env["STELLA_TOKEN"]
	if err := b.importAll(ctx, token); err != nil {
		return err
	}
	first, err := b.export(ctx, token, client.Selectors{})
	if err != nil {
		return err
	}
	if err := b.fetch(ctx, token, first.id); err != nil {
		return err
	}
	if err := b.repeatExport(ctx, token, first); err != nil {
		return err
	}
	return b.smallest(ctx, token)
}

func (b *bench) importAll(ctx context.Context, token string) error {
	m, err := b.measured(ctx, "api", func() (used, error) {
		_, u, err := b.importFile(ctx, token, b.docs.path, b.docs.count)
		return u, err
	})
	if err != nil {
		return err
	}
	floor, err := b.floor(b.tools.have("psql"), func() (time.Duration, error) { return b.importFloor(ctx) })
	if err != nil {
		return fmt.Errorf("floor of import: %w", err)
	}
	b.add("import", m, floor)
	return nil
}

// importFile imports and checks that every document was accepted.
func (b *bench) importFile(ctx context.Context, token, path string, want int, flags ...string) ([]byte, used, error) {
	out, u, err := b.house.stella(ctx, token, append([]string{"ledger", "import", "--format", "json", path}, flags...)...)
	if err != nil {
		return out, u, err
	}
	var counts struct{ Accepted int }
	if err := json.Unmarshal(out, &counts); err != nil {
		return out, u, fmt.Errorf("stella ledger import answered %.200s: %w", out, err)
	}
	if counts.Accepted != want {
		return out, u, fmt.Errorf("%d documents were accepted, not %d: %.400s", counts.Accepted, want, out)
	}
	return out, u, nil
}

// exported is one run with what it took.
type exported struct {
	id    string
	start time.Duration // from the request to the first activity
	measure
}

// export makes a run and waits for it. Its time goes from before the request
// to completedAt of the run's row, both on this machine's clock.
func (b *bench) export(ctx context.Context, token string, selected client.Selectors) (exported, error) {
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
	m.wall = run.CompletedAt.Sub(m.begin.UTC())
	return exported{id: run.RunID, start: run.StartedAt.Sub(m.begin.UTC()), measure: m}, nil
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

// fetch downloads and verifies the archive of a run.
func (b *bench) fetch(ctx context.Context, token, id string) error {
	b.archive = filepath.Join(b.dir, "bundle.tar")
	download, err := b.measured(ctx, "api", func() (used, error) {
		_, u, err := b.house.stella(ctx, token, "export", "download", id, "--output", b.archive)
		return u, err
	})
	if err != nil {
		return err
	}
	b.add("download", download, nil)
	verify, err := b.measured(ctx, "", func() (used, error) {
		_, u, err := b.house.stella(ctx, token, "verify", b.archive, "--trust", b.house.env["STELLA_TRUST"])
		return u, err
	})
	if err != nil {
		return err
	}
	b.add("verify", verify, nil)
	info, err := os.Stat(b.archive)
	if err == nil {
		b.note("the archive has %.1f MB", float64(info.Size())/1e6)
	}
	return err
}

// repeatExport makes the remaining runs, each beside its floor, and puts the
// medians first.
func (b *bench) repeatExport(ctx context.Context, token string, first exported) error {
	floorable := b.tools.have("psql", "zstd", "sha256sum")
	if floorable {
		if err := b.loadFloor(ctx); err != nil {
			return err
		}
	}
	runs, floors := []exported{first}, []time.Duration{}
	for i := range repeats {
		if floorable {
			took, err := b.exportFloor(ctx)
			if err != nil {
				return fmt.Errorf("floor of export: %w", err)
			}
			floors = append(floors, took)
		}
		if i == 0 {
			continue // the first run was made before its lines were known
		}
		again, err := b.export(ctx, token, client.Selectors{})
		if err != nil {
			return err
		}
		runs = append(runs, again)
	}
	slices.SortFunc(runs, func(x, y exported) int { return int(x.wall - y.wall) })
	middle, floor := runs[len(runs)/2], median(floors)
	b.add("export json:raw", middle.measure, floor)
	b.add("export json:raw, first", first.measure, floor)
	b.noteSpread(runs, floors)
	return b.notePhases(ctx, middle)
}

// smallest measures runs that select one document: among all documents, and
// in a ledger that has no other.
func (b *bench) smallest(ctx context.Context, token string) error {
	other, err := b.house.token(ctx, "smallest")
	if err != nil {
		return err
	}
	one, err := writeDocuments(filepath.Dir(b.docs.path), options{documents: 1, sample: b.docs.sample})
	if err != nil {
		return err
	}
	for _, ledger := range []struct{ row, token string }{
		{"smallest run", token}, {"smallest run, empty ledger", other},
	} {
		if _, _, err := b.importFile(ctx, ledger.token, one.path, 1, "--source", "smallest"); err != nil {
			return err
		}
		var runs []exported
		for range smallRuns {
			run, err := b.export(ctx, ledger.token, client.Selectors{Sources: []string{"smallest"}})
			if err != nil {
				return err
			}
			runs = append(runs, run)
		}
		slices.SortFunc(runs, func(x, y exported) int { return int(x.wall - y.wall) })
		b.add(ledger.row, runs[len(runs)/2].measure, nil)
	}
	return nil
}

// measure is what something took.
type measure struct {
	begin time.Time
	wall  time.Duration
	cpu   map[string]time.Duration // by part of the house; "client" is stella
	rss   int64
}

// measured runs work and reads what it took: processor time of all processes
// of the house and of the client, and the peak memory of the part that does
// the work ("" = the client itself).
func (b *bench) measured(ctx context.Context, worker string, work func() (used, error)) (measure, error) {
	m := measure{}
	pid, err := 0, error(nil)
	if worker != "" {
		if pid, err = childOf(b.house.up.Process.Pid, worker); err != nil {
			return m, err
		}
		if err := resetPeak(pid); err != nil {
			return m, fmt.Errorf("measure the memory of the %s: %w", worker, err)
		}
	}
	before, err := cpuByPart(b.house.up.Process.Pid)
	if err != nil {
		return m, err
	}
	m.begin = b.now()
	client, err := work()
	m.wall = b.now().Sub(m.begin)
	if err != nil {
		return m, errors.Join(err, ctx.Err())
	}
	if m.cpu, err = cpuByPart(b.house.up.Process.Pid); err != nil {
		return m, err
	}
	for part := range m.cpu {
		m.cpu[part] -= before[part]
	}
	if client.cpu > 0 {
		m.cpu["client"] = client.cpu
	}
	m.rss = client.rss
	if pid != 0 {
		m.rss, err = peak(pid)
	}
	return m, err
}

// floor repeats a floor and gives its median, nil when it cannot be had.
func (b *bench) floor(possible bool, once func() (time.Duration, error)) (*time.Duration, error) {
	if !possible {
		return nil, nil
	}
	var all []time.Duration
	for range repeats {
		took, err := once()
		if err != nil {
			return nil, err
		}
		all = append(all, took)
	}
	return median(all), nil
}

func median(all []time.Duration) *time.Duration {
	if len(all) == 0 {
		return nil
	}
	sorted := slices.Clone(all)
	slices.Sort(sorted)
	return &sorted[len(sorted)/2]
}
