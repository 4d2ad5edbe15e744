package faults

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/fault"
)

// lanes is how many cases run beside each other: mostly they wait.
const lanes = 5

// tries is how often a case is played until its fault happens: how much of the
// packing is done before a cancel arrives depends on the moment.
const tries = 4

// TestFaultPoints plays every fault point in every mode and holds each run
// against its undisturbed twin. FAULTS=all plays all cases, else a share of those
// at later hits; SEED=n chooses it, and them. SCENARIO=name plays one scenario.
func TestFaultPoints(t *testing.T) {
	w := openWorld(t)
	r := &round{world: w, ledger: newCoverage()}
	seed := seedOf(t)
	t.Logf("SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 4))

	r.calibrate(t)
	var all []testCase
	only := os.Getenv("SCENARIO")
	for _, of := range scenarios() {
		if only == "" || only == of.name {
			all = append(all, casesOf(of, r.undisturbed(t, of), random)...)
		}
	}
	chosen := all
	if os.Getenv("FAULTS") != "all" {
		chosen = share(all, random)
	}
	began := time.Now()
	r.play(t, chosen)
	t.Logf("%d cases of %d in %s, %d lanes; left out: %d (FAULTS=all plays them)",
		len(chosen), len(all), time.Since(began).Round(time.Second), lanes, len(all)-len(chosen))
	t.Log("\n" + r.ledger.table())
	if only != "" {
		return // of the others nothing can be said
	}
	for _, gap := range r.ledger.gaps() {
		t.Error(gap)
	}
}

func seedOf(t *testing.T) uint64 {
	text := os.Getenv("SEED")
	if text == "" {
		return uint64(time.Now().UnixNano() % 1_000_000)
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	require.NoError(t, err, "SEED")
	return seed
}

// casesOf gives a scenario's cases: each of its points, each mode, at the first
// hit, and at a later one where there is one.
func casesOf(of scenario, hits map[fault.Point]int, random *rand.Rand) (cases []testCase) {
	for _, p := range slices.Concat(of.points, of.chance) {
		first := 1
		switch {
		case of.again: // half of the hits are of the run before
			first = hits[p]/2 + 1
		case of.delta: // the last is the delta's, and not of the mirrors before
			first = hits[p]
		}
		for _, mode := range p.Modes() {
			cases = append(cases, testCase{scenario: of, fault: fault.Fault{Point: p, Hit: first, Mode: mode}})
			if hits[p] > first {
				later := first + 1 + random.IntN(hits[p]-first)
				cases = append(cases, testCase{scenario: of, fault: fault.Fault{Point: p, Hit: later, Mode: mode}})
			}
		}
	}
	return cases
}

// share keeps each scenario's points in each mode once, at the first hit, and of
// those at later hits some by chance.
func share(all []testCase, random *rand.Rand) []testCase {
	by := map[kind][]testCase{}
	var order []kind
	for _, c := range all {
		k := c.kind()
		if by[k] == nil {
			order = append(order, k)
		}
		by[k] = append(by[k], c)
	}
	var chosen []testCase
	for _, k := range order {
		alike := by[k]
		chosen = append(chosen, alike[0])
		if rest := alike[1:]; len(rest) > 0 && random.IntN(8) == 0 {
			chosen = append(chosen, rest[random.IntN(len(rest))])
		}
	}
	return chosen
}

// round plays cases and keeps the ledger of what was covered.
type round struct {
	world  *world
	ledger *coverage
	number atomic.Int64
}

// undisturbed plays a scenario without a fault and gives what it reaches.
func (r *round) undisturbed(t *testing.T, of scenario) map[fault.Point]int {
	t.Helper()
	c := testCase{scenario: of, number: int(r.number.Add(1))}
	violations, hits, took := c.run(t, r.world)
	require.Empty(t, violations, "undisturbed, %s", of.name)
	require.Empty(t, of.lost(hits), "points of %s that an undisturbed run of it does not reach", of.name)
	t.Logf("undisturbed, %s: %.1f s", of.name, took.Seconds())
	r.ledger.reached(of, hits)
	return hits
}

// calibrate measures how long a run takes on this machine, now, with as many
// beside it as there will be.
func (r *round) calibrate(t *testing.T) {
	success := scenarios()[0]
	longest := make([]time.Duration, lanes)
	var group sync.WaitGroup
	for lane := range lanes {
		c := testCase{scenario: success, number: int(r.number.Add(1))}
		group.Go(func() {
			t.Run(fmt.Sprint("calibrate/", lane), func(t *testing.T) {
				violations, _, took := c.run(t, r.world)
				require.Empty(t, violations)
				longest[lane] = took
			})
		})
	}
	group.Wait()
	r.world.attempt = min(max(attemptAtLeast, slices.Max(longest)/2), attemptAtMost)
	t.Logf("an attempt may take %.1f s", r.world.attempt.Seconds())
}

func (r *round) play(t *testing.T, cases []testCase) {
	next := make(chan testCase)
	var group sync.WaitGroup
	for range lanes {
		group.Go(func() {
			for c := range next {
				t.Run(c.name(), func(t *testing.T) { r.one(t, c) })
			}
		})
	}
	for _, c := range cases {
		next <- c
	}
	close(next)
	group.Wait()
}

// one plays a case until its fault happens, and fails when something is wrong.
func (r *round) one(t *testing.T, c testCase) {
	for range tries {
		c.number = int(r.number.Add(1))
		violations, struck, took := c.outcome(t, r.world)
		if len(violations) > 0 {
			t.Errorf("%s (%.1f s):\n- %s", c.fault, took.Seconds(), strings.Join(violations, "\n- "))
			return
		}
		if struck {
			r.ledger.covered(c)
			return
		}
	}
	if !c.dependsOnTheMoment() {
		t.Errorf("the fault did not happen in %d tries", tries)
		return
	}
	r.ledger.missed(c)
}

// dependsOnTheMoment reports whether a run reaches the point that often, or not, as
// things fall out: a cancel comes when more or less is packed, and the dispatcher
// tells Temporal again what it does not know to have arrived.
func (c testCase) dependsOnTheMoment() bool {
	if slices.Contains(c.scenario.chance, c.fault.Point) {
		return true
	}
	if c.fault.Hit == 1 {
		return false
	}
	delivery := strings.HasPrefix(string(c.fault.Point), "temporal.") || strings.HasPrefix(string(c.fault.Point), "dispatch.")
	return c.scenario.duringAdapt || delivery
}

func (c testCase) outcome(t *testing.T, w *world) (violations []string, struck bool, took time.Duration) {
	violations, hits, took := c.run(t, w)
	return violations, hits[c.fault.Point] >= c.fault.Hit, took
}
