package faults

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/protobuf/proto"

	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/internal/fault"
	"github.com/stella-ops/exportcenter/internal/oracle"
)

// testCase is a scenario under a fault.
type testCase struct {
	number   int
	scenario scenario
	fault    fault.Fault
}

func (c testCase) name() string {
	return fmt.Sprintf("%s/%s/%s/%d", c.scenario.name, c.fault.Point, c.fault.Mode, c.fault.Hit)
}

// run plays the case and judges it. It gives what is wrong.
func (c testCase) run(t *testing.T, w *world) (violations []string, hits map[fault.Point]int, took time.Duration) {
	began := time.Now()
	s := newScene(t, w, c.scenario, c.number)
	injector, err := s.play(t.Context(), c.fault)
	took = time.Since(began)
	hits = injector.Hits()
	if injector.Unowned() {
		t.Logf("%s: nobody else had the work when it came", c.fault)
	}
	if err != nil {
		violations = append(violations, err.Error())
	}
	if c.leavesStaged() {
		s.sweep(t)
	}
	if len(violations) == 0 {
		violations = append(violations, s.judge(t)...)
	}
	if len(violations) > 0 {
		t.Logf("the log:\n%s", s.said.String())
	}
	return violations, hits, took
}

// judge holds the run against its twin, and looks where secrets could be.
func (s *scene) judge(t *testing.T) []string {
	want := oracle.Expect{State: s.scenario.ends, Journal: abortedJournal}
	switch {
	case s.scenario.rebuild:
		want.Journal, want.Rebuild = rebuiltJournal, true
	case s.scenario.ends == export.StateFailed:
		want.Journal, want.Waited = undecidedJournal, []export.Transition{export.TransitionWaiting}
	case s.scenario.ends == export.StateSucceeded:
		want = s.world.twin(t, s.scenario, s.ref)
	}
	found, err := oracle.World{DB: s.world.db.DB, Admin: s.world.db.Admin, Blobs: s.blobs, Trust: s.world.trust, Keys: keys()}.
		Judge(t.Context(), s.ref, want)
	if err != nil {
		found = append(found, err.Error())
	}
	history, err := s.histories(t.Context())
	if err != nil {
		found = append(found, err.Error())
	}
	for name, text := range map[string][]byte{"Temporal's history": history, "the log": []byte(s.said.String())} {
		for _, secret := range append([][]byte{[]byte(canary), []byte("EXC-FAULT-"), []byte("pkg:")}, s.world.forbidden...) {
			if bytes.Contains(text, secret) {
				found = append(found, fmt.Sprintf("%s holds %q", name, secret))
			}
		}
	}
	return found
}

// histories gives all histories of the run's workflow id, with payloads as they are.
func (s *scene) histories(ctx context.Context) ([]byte, error) {
	id := export.RunWorkflowID(s.ref)
	listed, err := s.world.client.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: s.world.temporal.Namespace, Query: fmt.Sprintf("WorkflowId = %q", id)})
	if err != nil {
		return nil, fmt.Errorf("list the run's workflows: %w", err)
	}
	ids := []string{""} // the latest: the list may not have it yet
	for _, e := range listed.GetExecutions() {
		ids = append(ids, e.GetExecution().GetRunId())
	}
	var all []byte
	for _, runID := range ids {
		events := s.world.client.GetWorkflowHistory(ctx, id, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for events.HasNext() {
			event, err := events.Next()
			if err != nil {
				return nil, fmt.Errorf("read the run's history: %w", err)
			}
			raw, err := proto.Marshal(event)
			if err != nil {
				return nil, fmt.Errorf("read the run's history: %w", err)
			}
			all = append(all, raw...)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("workflow %s has no history", id)
	}
	return all, nil
}
