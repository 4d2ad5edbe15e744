package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	temporal "go.temporal.io/sdk/client"

	"github.com/stella-ops/exportcenter/internal/clock"
)

const (
	profile = "json:raw"
	// tenant is the one of the token that `up` writes.
	tenant = "demo"
	// repeats of what is reported as a median.
	repeats = 3
	// fullRuns is how many full runs and floors take turns.
	fullRuns = 5
	// pollEvery is how often the end of a run is asked for. The wall time of a
	// run does not depend on it: it ends at the moment in the run's own row.
	pollEvery = 25 * time.Millisecond
	// runPatience bounds the wait for one run.
	runPatience = 2 * time.Hour
)

// bench is one measurement of everything.
type bench struct {
	house    *house
	temporal temporal.Client
	tools    tools
	docs     documents
	dir      string
	seed     uint64
	now      clock.Clock
	first    exported // the first run after the import
	full     measure  // the median of the full runs
	archive  string   // the downloaded bundle of the first run
	rows     []row
	notes    []string

	lineBytes int64    // of its payload lines
	order     []string // ids of the documents, as a mirror has them
}

// measure takes the rows in the order in which a user meets them.
func (b *bench) measure(ctx context.Context) error {
	if len(b.tools.missing) > 0 {
		b.note("missing: %v; what needs them has no floor (psql comes with Debian's postgresql-client)", b.tools.missing)
	}
	if err := b.house.makeFloor(ctx); err != nil {
		return fmt.Errorf("make the floor: %w", err)
	}
	for _, part := range []struct {
		name string
		take func(context.Context) error
	}{
		{"import", b.importAll},
		{"first run", b.firstRun},
		{"download", b.fetch},
		{"first byte", b.firstByte},
		{"downloads at once", b.downloads},
		{"downloads of a large bundle", b.large},
		{"reads", b.reads},
		{"full runs", b.runsAndFloors},
		{"re-export", b.reexport},
		{"smallest run", b.smallest},
		{"databases", b.databases},
	} {
		if err := part.take(ctx); err != nil {
			return fmt.Errorf("measure %s: %w", part.name, err)
		}
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

// processor is the time of all parts together.
func (m measure) processor() time.Duration {
	var sum time.Duration
	for _, d := range m.cpu {
		sum += d
	}
	return sum
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

// median of an odd number of times, the upper one of an even number; nil of none.
func median(all []time.Duration) *time.Duration {
	if len(all) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(all))
	return &sorted[len(sorted)/2]
}

// middle is the run with the median wall time.
func middle(runs []exported) exported {
	sorted := slices.SortedFunc(slices.Values(runs), func(x, y exported) int { return int(x.wall - y.wall) })
	return sorted[len(sorted)/2]
}
