package faults

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/audit"
	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/fault"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/storage"
	"github.com/stella-ops/exportcenter/storage/postgres"
)

// frontLanes is how many cases run beside each other, and besides all those that
// mostly wait.
const frontLanes = 3

// frontPoints are the points of the story: what it reaches besides is nobody's.
func frontPoints() []fault.Point { return append(fault.FrontPoints(), fault.CreateRun) }

// TestFrontFaultPoints plays a story of the API and the notary under every fault of
// every point, each time that it reaches it, and holds each against its undisturbed twin.
func TestFrontFaultPoints(t *testing.T) {
	f := openFront(t)
	hits := f.undisturbed(t)
	cases := frontCases(hits)
	began := time.Now()
	played := f.playAll(t, cases)
	t.Logf("%d cases in %.1f s", len(cases), time.Since(began).Seconds())
	for _, p := range frontPoints() {
		line := fmt.Sprintf("%-28s%5d", p, hits[p])
		for _, mode := range p.Modes() {
			n := played[fault.Fault{Point: p, Mode: mode}]
			line += fmt.Sprintf("%14s %d", mode, n)
			if n != hits[p] {
				t.Errorf("%s was played %d times of %d in mode %q", p, n, hits[p], mode)
			}
		}
		t.Log(line)
	}
	f.judgeInstallation(t)
}

// undisturbed plays the story without a fault, twice: the second must have the rows
// of the first, or nothing could be held against it. It gives what the story reaches.
func (f *front) undisturbed(t *testing.T) (hits map[fault.Point]int) {
	t.Helper()
	for n := range 2 {
		t.Run(fmt.Sprint("undisturbed/", n), func(t *testing.T) {
			c := newFrontCase(t, f, n, fault.Fault{})
			c.prepare(t)
			c.run(t.Context(), func(int) {
				if n == 0 {
					f.twin = append(f.twin, c.state(t.Context()))
				}
			})
			require.Empty(t, c.wrong, strings.Join(c.wrong, "\n"))
			hits = c.faulty.injector.Hits()
		})
		require.False(t, t.Failed())
	}
	for i := 1; i < len(f.twin); i++ {
		if story()[i].operation != "" {
			require.NotEqual(t, f.twin[i-1], f.twin[i], "step %d changes something", i)
		}
	}
	for _, p := range frontPoints() {
		require.NotZero(t, hits[p], "the story does not reach %s", p)
	}
	return hits
}

// frontCases: each point at each hit in each mode. Those that wait come first: the
// others are played while they do.
func frontCases(hits map[fault.Point]int) (cases []fault.Fault) {
	for _, p := range frontPoints() {
		for _, mode := range p.Modes() {
			for hit := 1; hit <= hits[p]; hit++ {
				cases = append(cases, fault.Fault{Point: p, Hit: hit, Mode: mode})
			}
		}
	}
	slices.SortStableFunc(cases, func(a, b fault.Fault) int { return waits(b) - waits(a) })
	return cases
}

func waits(f fault.Fault) int {
	if f.Mode == fault.Hang || f.Mode == fault.Late {
		return 1
	}
	return 0
}

// playAll counts what was played, by point and mode.
func (f *front) playAll(t *testing.T, cases []fault.Fault) map[fault.Fault]int {
	var mu sync.Mutex
	played := map[fault.Fault]int{}
	one := func(number int, ft fault.Fault) {
		t.Run(fmt.Sprintf("%s/%s/%d", ft.Point, ft.Mode, ft.Hit), func(t *testing.T) {
			c := newFrontCase(t, f, number, ft)
			c.prepare(t)
			began := time.Now()
			c.run(t.Context(), func(int) {})
			struck := c.faulty.injector.Struck()
			if !struck {
				c.violation("the fault did not happen")
			}
			// The memory of used proofs bounds itself.
			if c.faulty.injector.Endless() && ft.Point != fault.UseProof {
				c.violation("whoever waits at %s has set itself no bound", ft.Point)
			}
			if len(c.wrong) > 0 {
				t.Errorf("%s (%.1f s):\n- %s\nthe log:\n%s", ft, time.Since(began).Seconds(), strings.Join(c.wrong, "\n- "), c.faulty.world.Log.String())
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if struck {
				played[fault.Fault{Point: ft.Point, Mode: ft.Mode}]++
			}
		})
	}
	var group sync.WaitGroup
	lanes := make(chan struct{}, frontLanes)
	for n, ft := range cases {
		if waits(ft) == 1 {
			group.Go(func() { one(n+2, ft) })
			continue
		}
		lanes <- struct{}{}
		group.Go(func() {
			defer func() { <-lanes }()
			one(n+2, ft)
		})
	}
	group.Wait()
	return played
}

// prepare makes the tenant that others decide about, and the document that goes.
func (c *frontCase) prepare(t *testing.T) {
	t.Helper()
	require.NoError(t, postgres.NewTenants(c.front.db.DB).CreateTenant(t.Context(),
		export.Tenant{Name: c.far(), State: export.TenantActive, CreatedAt: now(), CreatedBy: "a test"}))
	raw := []byte(`{"id":"GONE-1"}`)
	_, err := postgres.NewLedger(c.front.db.DB).Import(t.Context(), c.own(), []ledger.Observation{{Kind: ledger.KindAdvisory, Format: "osv", Source: "osv",
		Stream: "npm", UpstreamID: "GONE-1", Modified: "2026-01-01T00:00:00.000000000Z", Raw: raw, Canonical: raw, Digest: bundle.DigestOf(raw)}})
	require.NoError(t, err)
	if c.front.before == "" {
		c.front.before = c.state(t.Context())
	}
}

// run plays the story, sends its proofs again, and judges.
func (c *frontCase) run(ctx context.Context, behind func(step int)) {
	c.play(ctx, behind)
	if len(c.wrong) > 0 {
		return
	}
	c.replay(ctx)
	if !signs(ctx, c, false) { // also what was sent again
		c.violation("the end of the chain is not signed")
	}
	c.judge(ctx)
}

// judgeInstallation: in the chain that all cases share, nobody's entry is lost.
func (f *front) judgeInstallation(t *testing.T) {
	t.Helper()
	notary := f.next.notary
	notary.Chains = chainOf{notary.Chains, audit.Installation}
	require.NoError(t, notary.SignAll(t.Context()))
	record := postgres.NewAudit(f.db.DB)
	checkpoint, err := record.Checkpoint(t.Context(), audit.Installation)
	require.NoError(t, err)
	chain := audit.NewChain(audit.Installation)
	for chain.At().Seq < checkpoint.Seq {
		rows, _, err := record.Entries(t.Context(), audit.Installation, storage.AuditFilter{After: chain.At().Seq, Limit: 500})
		require.NoError(t, err)
		for _, row := range rows {
			if row.Seq <= checkpoint.Seq {
				_, err := chain.Follow(row.Line)
				require.NoError(t, err)
			}
		}
	}
	opened, _, err := audit.OpenCheckpoint(checkpoint.Envelope, f.keys)
	require.NoError(t, err)
	require.Equal(t, chain.At(), audit.Link{Seq: opened.Seq, Hash: opened.Hash})
}
