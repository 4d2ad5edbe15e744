package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"

	"github.com/stella-ops/exportcenter/client"
	"github.com/stella-ops/exportcenter/export"
)

// cancelled is what the database has of a run that was cancelled.
type cancelled struct {
	status, payload string
	by, reason      string
	asked           bool     // a cancel is recorded
	ends, requests  []string // types of its end events, messages of its cancel events
	told            int      // times the platform was told that it failed
	kept            int      // pins and entries that are left
}

func (l *lane) look(ctx context.Context, runID string) (c cancelled, err error) {
	err = l.storm.rows.QueryRow(ctx, `
		select r.status, r.payload_digest, coalesce(r.cancel_by, ''), coalesce(r.cancel_reason, ''),
			coalesce(r.cancel_requested_at > '2020-01-01', false),
			array(select e.event_type from export_events e where e.tenant = r.tenant and e.run_id = r.id
				and e.event_type in ('run.succeeded', 'run.failed', 'run.aborted')),
			array(select e.message from export_events e where e.tenant = r.tenant and e.run_id = r.id and e.event_type = 'run.cancel_requested'),
			(select count(*) from export_outbox o where o.tenant = r.tenant and o.run_id = r.id and o.event_type = 'export.failed'),
			(select count(*) from blob_pins p where p.tenant = r.tenant and p.run_id = r.id)
				+ (select count(*) from export_files f where f.tenant = r.tenant and f.run_id = r.id)
		from export_runs r where r.tenant = $1 and r.id = $2`, l.tenant, runID).Scan(
		&c.status, &c.payload, &c.by, &c.reason, &c.asked, &c.ends, &c.requests, &c.told, &c.kept)
	return c, err
}

// judge waits for the run's end and for that of its workflow, and holds both to
// what was promised to those who cancelled it: one end, aborted with who and
// why and nothing left, or succeeded when it was too late.
func (l *lane) judge(ctx context.Context, runID string, c strike, answers []answer) (client.RunStatus, error) {
	workflow, err := l.closed(ctx, runID)
	if err != nil {
		return "", err
	}
	found, err := l.look(ctx, runID)
	if err != nil {
		return "", fmt.Errorf("read the run's rows: %w", err)
	}
	accepted, err := acceptedOf(answers)
	if err != nil {
		return "", err
	}
	want := map[string]enumspb.WorkflowExecutionStatus{
		"aborted":   enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED,
		"succeeded": enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED,
	}[found.status]
	switch {
	case want == enumspb.WORKFLOW_EXECUTION_STATUS_UNSPECIFIED:
		err = fmt.Errorf("the run is %s", found.status)
	case workflow != want:
		err = fmt.Errorf("the run is %s and its workflow %s", found.status, workflow)
	case !slices.Equal(found.ends, []string{"run." + found.status}):
		err = fmt.Errorf("the run is %s and its journal has the ends %q", found.status, found.ends)
	case found.status == "aborted":
		err = found.aborted(c, accepted)
	case found.payload != l.twin:
		err = fmt.Errorf("it succeeded with payload %s, its twin has %s", found.payload, l.twin)
	default:
		err = found.succeeded(c, accepted)
	}
	return client.RunStatus(found.status), err
}

// aborted holds an aborted run to who cancelled it.
func (c cancelled) aborted(s strike, accepted []answer) error {
	if !c.asked || len(c.requests) != 1 || c.requests[0] != "cancel requested by "+c.by+": "+c.reason {
		return fmt.Errorf("cancelled by %q because of %q (recorded %v), and the journal says %q", c.by, c.reason, c.asked, c.requests)
	}
	if c.told != 1 || c.kept != 0 {
		return fmt.Errorf("the platform was told %d times, and %d pins and entries are left", c.told, c.kept)
	}
	if len(accepted) > 0 {
		return c.fits(accepted)
	}
	want := "cancelled in Temporal"
	if s.way == terminated {
		want = "its workflow was terminated in Temporal by kim@e2e: stop it"
	}
	if s.way == fromAPI || c.by != "temporal" || c.reason != want {
		return fmt.Errorf("cancelled by %q because of %q; no request to the API was accepted", c.by, c.reason)
	}
	return nil
}

// succeeded holds a run that succeeded to its having been too late.
func (c cancelled) succeeded(s strike, accepted []answer) error {
	switch {
	case !s.final():
		return errors.New("it succeeded although it was cancelled in time")
	case len(accepted) > 0:
		return c.fits(accepted)
	case c.asked || len(c.requests) > 0:
		return fmt.Errorf("it succeeded and its journal has a cancel that nobody was promised: %q", c.requests)
	}
	return nil
}

// fits compares the row with what those were told whose cancel was accepted:
// the first one's name and reason, all of them.
func (c cancelled) fits(accepted []answer) error {
	first := slices.ContainsFunc(accepted, func(a answer) bool { return a.reason == c.reason })
	if !first || c.by == "" || c.by == "temporal" {
		return fmt.Errorf("the row says that %q cancelled because of %q; accepted were %d others", c.by, c.reason, len(accepted))
	}
	for _, a := range accepted {
		if a.run.Cancellation.By != c.by || a.run.Cancellation.Reason != c.reason {
			return fmt.Errorf("the row says %q because of %q; somebody was told %+v", c.by, c.reason, a.run.Cancellation)
		}
	}
	return nil
}

// acceptedOf are the requests that the API took. The others must have been told
// that the run had ended.
func acceptedOf(answers []answer) (accepted []answer, err error) {
	for _, a := range answers {
		var problem *client.Problem
		switch {
		case a.err == nil && a.reason != "":
			accepted = append(accepted, a)
		case a.err == nil: // asked in Temporal
		case errors.As(a.err, &problem) && problem.Status == 409:
		default:
			return nil, fmt.Errorf("a cancel was answered: %w", a.err)
		}
	}
	return accepted, nil
}

// closed waits until the run has ended and its workflow, the latest of its
// name, is closed.
func (l *lane) closed(ctx context.Context, runID string) (enumspb.WorkflowExecutionStatus, error) {
	id := export.RunWorkflowID(export.Ref{Tenant: l.tenant, RunID: runID})
	state := "unknown"
	for deadline := time.Now().Add(cancelledWithin); time.Now().Before(deadline); time.Sleep(25 * time.Millisecond) {
		run, err := l.client.GetRun(ctx, runID)
		if err != nil || !run.Ended() {
			state = fmt.Sprintf("%s (%v)", run.Status, err)
			continue
		}
		workflow, err := l.storm.temporal.DescribeWorkflowExecution(ctx, id, "")
		status := workflow.GetWorkflowExecutionInfo().GetStatus()
		if state = fmt.Sprintf("%s, its workflow %s (%v)", run.Status, status, err); err == nil &&
			status != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING && status != enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED {
			return status, nil
		}
	}
	return 0, fmt.Errorf("stuck for %s: %s", cancelledWithin, state)
}

// table lists what was hit and how the runs ended.
func (s *storm) table() string {
	columns := []string{"API", "Temporal", "both", "terminate", "aborted", "succeeded"}
	var out strings.Builder
	fmt.Fprintf(&out, "%d cancelled runs\n%-46s", s.total, "moment")
	for _, c := range columns {
		fmt.Fprintf(&out, "%10s", c)
	}
	for _, moment := range slices.Sorted(maps.Keys(s.hits)) {
		fmt.Fprintf(&out, "\n%-46s", moment)
		for _, c := range columns {
			fmt.Fprintf(&out, "%10d", s.hits[moment][c])
		}
	}
	fmt.Fprintf(&out, "\nruns of terminated workflows ended after %s", s.aged)
	return out.String()
}
