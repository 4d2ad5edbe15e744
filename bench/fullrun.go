package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// runsAndFloors makes the remaining full runs. Runs and floors take turns, so
// that both see the same machine, and both find caches that the other has used
// last. Before each run the tenant forgets what was packed: a run that finds the
// work of an earlier one done is not a full run.
func (b *bench) runsAndFloors(ctx context.Context) error {
	floorable := b.tools.have("psql", "zstd", "sha256sum")
	if err := b.loadFloor(ctx); err != nil {
		return err
	}
	runs, floors := []exported{b.first}, []time.Duration{}
	for i := range fullRuns {
		if i > 0 { // the first run was made before its lines were known
			run, err := b.fullRun(ctx)
			if err != nil {
				return err
			}
			runs = append(runs, run)
		}
		if !floorable {
			continue
		}
		took, err := b.exportFloor(ctx)
		if err != nil {
			return fmt.Errorf("floor: %w", err)
		}
		floors = append(floors, took)
	}
	typical, floor := middle(runs), median(floors)
	b.full = typical.measure
	b.add(measuredRow("export json:raw", b.full).beside(floor))
	b.add(measuredRow("export json:raw, first", b.first.measure).beside(floor))
	b.noteSpread(runs, floors)
	b.noteSuspicion(runs)
	if err := b.notePhases(ctx, typical); err != nil {
		return err
	}
	b.add(valueRow("worker memory, full runs", mebibytes(runs), "MiB"))
	history, err := b.historyOf(ctx, tenant, b.first.id)
	if err != nil {
		return err
	}
	b.add(valueRow("history events", float64(history.events), "events"))
	b.note("the full run's workflow has %d activities", history.activities)
	return nil
}

func (b *bench) fullRun(ctx context.Context) (exported, error) {
	conn, err := b.house.connect(ctx, "exportcenter")
	if err != nil {
		return exported{}, err
	}
	if err := errors.Join(forget(ctx, conn, tenant), conn.Close(ctx)); err != nil {
		return exported{}, err
	}
	return b.exportAll(ctx)
}

// noteSuspicion says when a run that should have packed everything took so
// little that it cannot have.
func (b *bench) noteSuspicion(runs []exported) {
	for _, run := range runs {
		if worker := run.cpu["worker"]; worker < b.first.cpu["worker"]/2 {
			b.note("DOUBTFUL: a full run took %.2f s of the worker's processor time, the first one %.2f s; "+
				"if it found work done before, %v is not all that must be forgotten",
				worker.Seconds(), b.first.cpu["worker"].Seconds(), memories)
		}
	}
}

// mebibytes is the most memory that the worker had in any of the runs.
func mebibytes(runs []exported) float64 {
	var most int64
	for _, run := range runs {
		most = max(most, run.rss)
	}
	return round(float64(most)/(1<<20), 1)
}
