//go:build torture

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// tally is the last line of `make torture`: what went wrong, each counted
// after everything has come to rest. docs/torture.md defines the words.
type tally struct {
	Faults      int    `json:"faults"`       // faults that hit at least one run in flight
	Lost        int    `json:"lost"`         // acknowledged runs, timeline events, or who cancelled and why, that are not there
	Duplicated  int    `json:"duplicated"`   // runs nobody asked for; journals and timelines that tell a step twice or skip a number
	Corrupted   int    `json:"corrupted"`    // runs that do not have their twin's payload or do not verify; blobs that are not what their name says
	Stuck       int    `json:"stuck"`        // runs without an end a minute after everything was back; a house that did not come back
	Leaked      int    `json:"leaked"`       // staged files, blobs without row or pin, rows without blob; secrets and evidence in logs and histories
	InvalidRuns int    `json:"invalid_runs"` // faults that hit no run in flight: nothing was tested, another was made
	Seed        uint64 `json:"seed"`
}

func (c tally) losses() int { return c.Lost + c.Duplicated + c.Corrupted + c.Stuck + c.Leaked }

func (c *tally) add(other tally) {
	c.Faults += other.Faults
	c.Lost += other.Lost
	c.Duplicated += other.Duplicated
	c.Corrupted += other.Corrupted
	c.Stuck += other.Stuck
	c.Leaked += other.Leaked
	c.InvalidRuns += other.InvalidRuns
}

// atRest stands for a kind of fault where none is under way.
const atRest = "(at rest)"

// kindRow is what a kind of fault did.
type kindRow struct {
	faults, invalid, hits, aborted, losses int
	resumed                                []time.Duration // per fault that kept a run from its end until after everything was back
}

// ofKind is the row of the fault under way.
func (w *torture) ofKind() *kindRow {
	if w.rows[w.kind] == nil {
		w.rows[w.kind] = &kindRow{}
	}
	return w.rows[w.kind]
}

// counted notes a fault: how many runs it hit, and when the last had ended.
func (w *torture) counted(hits int, resumed time.Duration) {
	row := w.ofKind()
	if hits == 0 {
		w.count.InvalidRuns++
		row.invalid++
		return
	}
	w.count.Faults++
	row.faults++
	row.hits += hits
	if resumed > 0 { // else no run needed what was away: nothing has resumed
		row.resumed = append(row.resumed, resumed)
	}
}

// found counts a loss and names it.
func (w *torture) found(counter *int, format string, args ...any) {
	w.t.Helper()
	*counter++
	w.ofKind().losses++
	if w.planted {
		w.t.Logf(format, args...)
	} else {
		w.t.Errorf(w.kind+": "+format, args...)
	}
}

// lossLedger adds up what happened in all houses.
type lossLedger struct {
	starting sync.Mutex // one house starts at a time

	mu    sync.Mutex
	count tally
	rows  map[string]*kindRow
	late  int
}

func newLossLedger(seed uint64) *lossLedger {
	return &lossLedger{count: tally{Seed: seed}, rows: map[string]*kindRow{}}
}

// add takes over what a house has found, whatever happened to it.
func (l *lossLedger) add(w *torture) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !w.complete {
		w.count.Stuck++ // the test gave up: the house did not come back
		w.ofKind().losses++
	}
	l.count.add(w.count)
	l.late += w.late
	for kind, of := range w.rows {
		if l.rows[kind] == nil {
			l.rows[kind] = &kindRow{}
		}
		l.rows[kind].add(of)
	}
}

func (r *kindRow) add(other *kindRow) {
	r.faults += other.faults
	r.invalid += other.invalid
	r.hits += other.hits
	r.aborted += other.aborted
	r.losses += other.losses
	r.resumed = append(r.resumed, other.resumed...)
}

// all adds up the kinds. How long runs took beside a zombie is no resumption:
// nothing had come back when they ended.
func (l *lossLedger) all() *kindRow {
	all := &kindRow{}
	for kind, row := range l.rows {
		one := *row
		if slices.ContainsFunc(deck, func(f fault) bool { return f.beside && f.name == kind }) {
			one.resumed = nil
		}
		all.add(&one)
	}
	return all
}

// finish prints the table, writes the last line, and judges.
func (l *lossLedger) finish(t *testing.T, want int) {
	all := l.all()
	t.Logf("\n%s\nlate results of zombies that were refused: %d", l.table(all), l.late)
	raw, err := json.Marshal(l.count)
	require.NoError(t, err)
	if path := os.Getenv("TORTURE_RESULT"); path != "" {
		require.NoError(t, os.WriteFile(path, append(raw, '\n'), 0o644))
	} else {
		t.Logf("%s", raw)
	}
	if l.count.losses() > 0 {
		t.Errorf("%d losses", l.count.losses())
	}
	if l.count.Faults < want {
		t.Errorf("%d of %d faults were made", l.count.Faults, want)
	}
	if p95 := percentile(all.resumed, 95); len(all.resumed) >= enoughToJudge && p95 > resumeWithin {
		t.Errorf("runs had ended %s (p95) after everything was back; the limit is %s", p95, resumeWithin)
	}
}

// table has a row for each kind of fault, and one for all.
func (l *lossLedger) table(all *kindRow) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%-26s %6s %7s %5s %8s %8s %9s %9s %9s %6s\n", "fault", "faults", "invalid", "hits", "aborted", "resumed", "p50 s", "p95 s", "max s", "losses")
	line := func(name string, r *kindRow) {
		fmt.Fprintf(&out, "%-26s %6d %7d %5d %8d %8d %9.2f %9.2f %9.2f %6d\n", name, r.faults, r.invalid, r.hits, r.aborted, len(r.resumed),
			percentile(r.resumed, 50).Seconds(), percentile(r.resumed, 95).Seconds(), percentile(r.resumed, 100).Seconds(), r.losses)
	}
	for _, f := range deck {
		if row := l.rows[f.name]; row != nil {
			line(f.name, row)
		}
	}
	if row := l.rows[atRest]; row != nil {
		line(atRest, row)
	}
	line("all", all)
	return out.String()
}

// percentile is the smallest value that p percent do not exceed (nearest rank).
func percentile(values []time.Duration, p int) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(p*len(sorted)+99)/100-1]
}
