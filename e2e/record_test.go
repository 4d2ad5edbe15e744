//go:build record

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/temporalproto"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
)

// canary is in all that a tenant says here; no history may hold it
// (workflows/replay_test.go looks).
const canary = "canary7f3a"

// TestRecordHistories records one history per outcome of a run, with the built
// programs, into workflows/testdata/histories/$RELEASE. The outcomes are those
// of outcomes.txt beside it.
func TestRecordHistories(t *testing.T) {
	release := os.Getenv("RELEASE")
	require.NotEmpty(t, release, "say which release is recorded: RELEASE=v0.1.0")
	histories := filepath.Join(repository, "workflows/testdata/histories")
	raw, err := os.ReadFile(filepath.Join(histories, "outcomes.txt"))
	require.NoError(t, err)

	r := &recorder{dir: filepath.Join(histories, release), storm: &storm{house: openHouse(t)}}
	require.NoError(t, os.MkdirAll(r.dir, 0o755))
	r.storm.temporal = r.storm.house.temporal(t)
	r.storm.small, r.storm.wide = replicas(t, 60, canary), replicas(t, 24, strings.Repeat(canary+" ", 80_000))
	r.gates = gate{db: r.storm.house.superuser(t)}
	buildGates(t, r.gates.db)
	for outcome, make := range r.outcomes() {
		make(t, outcome)
	}
	for line := range strings.Lines(string(raw)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			require.Contains(t, r.recorded, line, "outcomes.txt lists an outcome that nothing here makes")
		}
	}
}

// recorder makes runs that end in every way.
type recorder struct {
	storm    *storm
	gates    gate // that refuse
	dir      string
	recorded []string
}

type making func(t *testing.T, outcome string)

// outcomes says how each outcome comes about.
func (r *recorder) outcomes() map[string]making {
	all := map[string]making{
		"succeeded":              r.plain(false, "succeeded", client.RunRequest{}),
		"succeeded-many-ranges":  r.plain(true, "succeeded", client.RunRequest{}),
		"succeeded-empty":        r.plain(false, "succeeded", client.RunRequest{Selectors: nobodyHas, Options: client.RunOptions{AllowEmpty: true}}),
		"failed-empty-selection": r.plain(false, "failed", client.RunRequest{Selectors: nobodyHas}),
		"succeeded-nothing-to-pack": func(t *testing.T, outcome string) {
			l := r.lane(t, false)
			for range 2 { // the second takes over what the first has packed
				r.end(t, l, r.create(t, l, client.RunRequest{}), outcome, "succeeded")
			}
		},
		"succeeded-after-retries":                     r.retries,
		"succeeded-past-the-cancel":                   r.cancelled("begin emitTimeline", fromAPI, false, "succeeded"),
		"failed-in-adapt-of-many-ranges":              r.refused("begin adapt", true),
		"aborted-by-request-in-adapt-of-many-ranges":  r.cancelled("begin adapt", fromAPI, true, "aborted"),
		"aborted-in-temporal-in-adapt-of-many-ranges": r.cancelled("begin adapt", fromTemporal, true, "aborted"),
		"aborted-by-both":                             r.cancelled("begin manifest", fromAPI|fromTemporal, false, "aborted"),
		"aborted-in-the-queue":                        r.queued,
		"aborted-without-a-worker":                    r.withoutWorker,
		"terminated":                                  r.terminated, // and aborted-after-termination
	}
	for _, phase := range export.Phases[:len(export.Phases)-1] {
		if phase == export.PhaseGuard || phase == export.PhaseCompare { // of kinds that are guarded: record_guard_test.go; of rebuilds
			continue
		}
		all["failed-in-"+string(phase)] = r.refused("begin "+string(phase), false)
		if phase == export.PhaseDistribute { // what is not tried again is past the cancel
			all["aborted-by-request-in-distribute"] = r.waiting("begin distribute", fromAPI)
			all["aborted-in-temporal-in-distribute"] = r.waiting("begin distribute", fromTemporal)
			continue
		}
		all["aborted-by-request-in-"+string(phase)] = r.cancelled("begin "+string(phase), fromAPI, false, "aborted")
		all["aborted-in-temporal-in-"+string(phase)] = r.cancelled("begin "+string(phase), fromTemporal, false, "aborted")
	}
	return all
}

var nobodyHas = client.Selectors{Ecosystems: []string{canary}}

func (r *recorder) lane(t *testing.T, wide bool) *lane {
	if wide {
		return r.storm.lane(t, r.storm.wide)
	}
	return r.storm.lane(t, r.storm.small)
}

func (r *recorder) create(t *testing.T, l *lane, request client.RunRequest) client.Run {
	t.Helper()
	request.ProfileID, request.Labels = "json:raw", client.Labels{"owner": canary}
	run, err := l.client.CreateRun(t.Context(), request, "")
	require.NoError(t, err)
	return run
}

// end waits for a run's end and records it.
func (r *recorder) end(t *testing.T, l *lane, run client.Run, outcome, want string) {
	t.Helper()
	_, err := l.closed(t.Context(), run.RunID)
	require.NoError(t, err, outcome)
	found, err := l.client.GetRun(t.Context(), run.RunID)
	require.NoError(t, err)
	require.EqualValues(t, want, found.Status, "%s: %+v", outcome, found.Error)
	r.record(t, l, run, outcome)
}

// plain makes a run that nothing happens to.
func (r *recorder) plain(wide bool, want string, request client.RunRequest) making {
	return func(t *testing.T, outcome string) {
		l := r.lane(t, wide)
		r.end(t, l, r.create(t, l, request), outcome, want)
	}
}

// refused makes a run whose phase fails for good.
func (r *recorder) refused(point string, wide bool) making {
	return func(t *testing.T, outcome string) {
		l := r.lane(t, wide)
		require.NoError(t, r.gates.refuse(t.Context(), l.tenant, point, "23514", 1000))
		r.end(t, l, r.create(t, l, client.RunRequest{}), outcome, "failed")
	}
}

// retries makes a run of which three phases are tried three times. Refusals are
// counted together, those that let a write pass too.
func (r *recorder) retries(t *testing.T, outcome string) {
	l := r.lane(t, false)
	for i, point := range []string{"begin plan", "begin adapt", "begin sign"} {
		require.NoError(t, r.gates.refuse(t.Context(), l.tenant, point, "40001", 3*i+2))
	}
	r.end(t, l, r.create(t, l, client.RunRequest{}), outcome, "succeeded")
}

// cancelled makes a run that is cancelled where a gate holds it.
func (r *recorder) cancelled(point string, w way, wide bool, want string) making {
	return func(t *testing.T, outcome string) {
		l := r.lane(t, wide)
		run := r.held(t, l, point)
		answers := r.cancel(t, l, run, w)
		if w&fromAPI != 0 {
			require.NoError(t, l.gate.await(t.Context(), behindIt, 1))
		} else {
			answers()
		}
		require.NoError(t, l.gate.open(t.Context(), l.tenant))
		_, err := acceptedOf(answers())
		require.NoError(t, err)
		r.end(t, l, run, outcome, want)
	}
}

// held makes a run and waits until it is at the gate.
func (r *recorder) held(t *testing.T, l *lane, point string) client.Run {
	t.Helper()
	require.NoError(t, l.gate.close(t.Context(), l.tenant, point))
	run := r.create(t, l, client.RunRequest{})
	require.NoError(t, l.gate.await(t.Context(), atTheGate, 1), "%s", point)
	return run
}

func (r *recorder) cancel(t *testing.T, l *lane, run client.Run, w way) func() []answer {
	l.why = canary
	return l.cancel(t.Context(), run.RunID, w, 2)
}

// waiting makes a run that is cancelled between two tries of a phase.
func (r *recorder) waiting(point string, w way) making {
	return func(t *testing.T, outcome string) {
		l := r.lane(t, false)
		require.NoError(t, r.gates.refuse(t.Context(), l.tenant, point, "40001", 1000))
		run := r.create(t, l, client.RunRequest{})
		for tried := 0; tried < 3; time.Sleep(10 * time.Millisecond) {
			require.NoError(t, r.gates.db.QueryRow(t.Context(), "select last_value from e2e_refused").Scan(&tried))
		}
		r.cancel(t, l, run, w)()
		r.end(t, l, run, outcome, "aborted")
	}
}

// queued makes a run that is cancelled while it waits for a slot.
func (r *recorder) queued(t *testing.T, outcome string) {
	l := r.lane(t, false)
	r.held(t, l, "event run.started")
	for range 3 {
		r.create(t, l, client.RunRequest{})
	}
	last := r.create(t, l, client.RunRequest{})
	r.cancel(t, l, last, fromAPI)()
	r.end(t, l, last, outcome, "aborted")
	require.NoError(t, l.gate.open(t.Context(), l.tenant))
}

// withoutWorker makes a run that is cancelled after its worker was killed.
func (r *recorder) withoutWorker(t *testing.T, outcome string) {
	l := r.lane(t, false)
	run := r.held(t, l, "event run.planned")
	pid := r.storm.house.child("worker")
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	answers := r.cancel(t, l, run, fromAPI)
	require.NoError(t, l.gate.open(t.Context(), l.tenant))
	answers()
	r.storm.house.waitChild(t, "worker", pid)
	r.end(t, l, run, outcome, "aborted")
}

// terminated makes a run whose workflow is terminated, and records that and the
// workflow that ends the run.
func (r *recorder) terminated(t *testing.T, outcome string) {
	l := r.lane(t, false)
	run := r.held(t, l, "begin manifest")
	require.NoError(t, r.storm.temporal.TerminateWorkflow(t.Context(), r.workflow(l, run), "", "stop it"))
	r.record(t, l, run, outcome)
	require.NoError(t, l.gate.open(t.Context(), l.tenant))
	r.end(t, l, run, "aborted-after-termination", "aborted")
}

func (r *recorder) workflow(l *lane, run client.Run) string {
	return export.RunWorkflowID(export.Ref{Tenant: l.tenant, RunID: run.RunID})
}

// record writes the history of the latest workflow of a run.
func (r *recorder) record(t *testing.T, l *lane, run client.Run, outcome string) {
	t.Helper()
	var history historypb.History
	events := r.storm.temporal.GetWorkflowHistory(context.Background(), r.workflow(l, run), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(t, err)
		history.Events = append(history.Events, event)
	}
	raw, err := temporalproto.CustomJSONMarshalOptions{Indent: " "}.Marshal(&history)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(r.dir, "export-run-"+outcome+".json"), raw, 0o644))
	if !slices.Contains(r.recorded, outcome) {
		r.recorded = append(r.recorded, outcome)
	}
	t.Logf("%s: %d events", outcome, len(history.Events))
}

// refuse lets the first writes at point fail with an SQLSTATE.
func (g gate) refuse(ctx context.Context, tenant, point, state string, times int) error {
	if _, err := g.db.Exec(ctx, "select setval('e2e_refused', 1, false)"); err != nil {
		return err
	}
	_, err := g.db.Exec(ctx, "insert into e2e_gates (tenant, point, refuse, times) values ($1, $2, $3, $4)", tenant, point, state, times)
	return err
}
