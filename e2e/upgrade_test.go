package e2e

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/client"
)

// TestWorkersOfTwoReleases replaces the worker while runs are in flight: by the
// previous release's, both side by side, ours alone, and back again; asked to
// end, and killed. The database is ours all the time. Every run must succeed
// with the payload of an undisturbed twin. Halfway the previous release's api
// serves beside ours; at last all of the house is replaced (docs/upgrade.md).
func TestWorkersOfTwoReleases(t *testing.T) {
	if os.Getenv("FAULTS") != "all" {
		t.Skip("not run: the workers of two releases (make upgrade)")
	}
	u := openUpgrade(t)
	u.migrateOfPrevious(t)
	for _, s := range []step{
		{"ours is asked to end, the previous release goes on", previous, u.replace(previous, syscall.SIGTERM)},
		{"ours starts beside the previous release", both, u.start(ours)},
		{"the previous release is asked to end, two of ours go on", ours, u.replace(ours, syscall.SIGTERM)},
		{"one of ours is asked to end", ours, u.end},
	} {
		u.take(t, s)
	}
	u.previousAPI(t)
	for _, s := range []step{
		{"ours is killed, the previous release goes on", previous, u.replace(previous, syscall.SIGKILL)},
		{"the previous release is killed, ours goes on", ours, u.replace(ours, syscall.SIGKILL)},
		{"the previous release starts beside ours", both, u.start(previous)},
		{"ours is asked to end, two of the previous release go on", previous, u.replace(previous, syscall.SIGTERM)},
		{"one of the previous release is asked to end", previous, u.end},
	} {
		u.take(t, s)
	}
	u.replaceAll(t, previous)
	u.replaceAll(t, ours)
	razeGates(t, u.house.superuser(t))
	// What the previous release does not report or attest is named as such (docs/upgrade.md).
	for _, d := range u.house.divergences(t) {
		require.Contains(t, []string{"report-missing", "attestation-missing"}, d.Kind, "%s", d)
	}
	t.Logf("the previous release ended %d runs and ours %d; %d were begun by the one and ended by the other",
		u.ended[previous], u.ended[ours], u.handed)
	require.Positive(t, u.ended[previous])
	require.Positive(t, u.ended[ours])
	require.Positive(t, u.handed)
}

// heldAt is where the runs of a step are while the workers change: in the middle
// of resolve, adapt (one range, and several), manifest, sign and distribute.
var heldAt = []struct {
	point string
	wide  bool
}{
	{"event run.planned", false},
	{"begin adapt", false},
	{"event adapter.chunk", true},
	{"file manifests/export.json", false},
	{"signature seal", false},
	{"begin distribute", false},
}

// step is a change of the workers.
type step struct {
	name string
	then release // whose workers are left
	// change begins it; settled waits until they are.
	change func(t *testing.T) (settled func())
}

// stepWithin bounds a step; a phase whose worker was killed is tried again after
// the heartbeat's 10 s.
const stepWithin = 2 * time.Minute

// take changes workers while runs are held in the middle of their phases. These
// must succeed, and so must as many that come after, which those end that are
// left.
func (u *upgrade) take(t *testing.T, s step) {
	t.Helper()
	began := time.Now()
	ctx, stop := context.WithTimeout(t.Context(), stepWithin)
	defer stop()
	lanes := u.lanes(t)
	held := u.hold(ctx, t, lanes)
	settled := s.change(t)
	for _, l := range lanes {
		require.NoError(t, l.gate.open(ctx, l.tenant))
	}
	settled()
	u.succeed(ctx, t, lanes, held, s.name+", held at")
	later := make([]client.Run, len(lanes))
	for i, l := range lanes {
		var err error
		later[i], err = l.create(ctx)
		require.NoError(t, err, s.name)
	}
	u.succeed(ctx, t, lanes, later, s.name+", after the one at")
	for _, l := range lanes {
		require.NoError(t, l.gate.db.Close(ctx))
	}
	of, after := u.endedBy(t, held), u.endedBy(t, later)
	t.Logf("%s: of %d held runs the previous release ended %d and ours %d, of %d later ones %d and %d; %s", s.name,
		len(held), of[previous], of[ours], len(later), after[previous], after[ours], time.Since(began).Round(time.Millisecond))
	if s.then != both {
		require.Equal(t, map[release]int{s.then: len(later)}, after, "%s: who ended the runs that came after", s.name)
	}
	if u.before != both && s.then != both && s.then != u.before {
		u.handed += of[s.then]
	}
	u.before = s.then
	for _, r := range []release{previous, ours} {
		u.ended[r] += of[r] + after[r]
	}
}

// lanes makes a tenant for each run that is held: nothing of it is packed yet.
func (u *upgrade) lanes(t *testing.T) []*lane {
	t.Helper()
	lanes := make([]*lane, len(heldAt))
	for i, at := range heldAt {
		evidence := u.storm.small
		if at.wide {
			evidence = u.storm.wide
		}
		lanes[i] = u.storm.lane(t, evidence)
	}
	return lanes
}

// hold starts a run per lane and waits until each is at its gate.
func (u *upgrade) hold(ctx context.Context, t *testing.T, lanes []*lane) []client.Run {
	t.Helper()
	runs := make([]client.Run, len(lanes))
	for i, l := range lanes {
		require.NoError(t, l.gate.close(ctx, l.tenant, heldAt[i].point))
		var err error
		runs[i], err = l.create(ctx)
		require.NoError(t, err)
	}
	for i, l := range lanes {
		require.NoError(t, l.gate.await(ctx, atTheGate, 1), "%q\n%s", heldAt[i].point, u.house.tail())
	}
	return runs
}

// succeed waits until the runs have succeeded with the payload of their twins.
func (u *upgrade) succeed(ctx context.Context, t *testing.T, lanes []*lane, runs []client.Run, what string) {
	t.Helper()
	for i, l := range lanes {
		run, err := l.client.WaitRun(ctx, runs[i].RunID, nil)
		require.NoError(t, err, "%s %q\n%s", what, heldAt[i].point, u.house.tail())
		require.Equal(t, client.RunStatusSucceeded, run.Status, "%s %q: %+v\n%s", what, heldAt[i].point, run.Error, u.house.tail())
		require.Equal(t, l.twin, run.PayloadDigest, "%s %q: other bytes than its twin", what, heldAt[i].point)
	}
}
