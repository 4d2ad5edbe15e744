package e2e

import (
	"github.com/stella-ops/exportcenter/export"
)

// Where a cancel comes from.
type way int

const (
	fromAPI way = 1 << iota
	fromTemporal
	terminated // in Temporal, which leaves the run no time to end itself
)

func (w way) String() string {
	return map[way]string{fromAPI: "API", fromTemporal: "Temporal", fromAPI | fromTemporal: "both", terminated: "terminate"}[w]
}

// strike is a moment of a run at which it is cancelled.
type strike struct {
	phase export.Phase
	point string // of a gate; "" = at a moment of chance
	way   way
}

// final reports whether the run may succeed in spite of the cancel: from the
// claim of distribute on, it is past the point of no return.
func (s strike) final() bool {
	return s.phase == export.PhaseDistribute || s.phase == export.PhaseEmitTimeline || s.point == ""
}

// moments are the points of a run at which it is stopped and cancelled: where
// each phase is claimed, in its middle, and at its last write.
var moments = []strike{
	{phase: export.PhasePlan, point: "begin plan"},
	{phase: export.PhasePlan, point: "event run.started"},
	{phase: export.PhaseResolve, point: "begin resolve"},
	{phase: export.PhaseResolve, point: "event run.planned"},
	{phase: export.PhaseResolve, point: "event adapter.start"},
	{phase: export.PhaseAdapt, point: "begin adapt"},
	{phase: export.PhaseAdapt, point: "event adapter.complete"},
	{phase: export.PhaseManifest, point: "begin manifest"},
	{phase: export.PhaseManifest, point: "file manifests/export.json"},
	{phase: export.PhaseManifest, point: "event manifest.written"},
	{phase: export.PhaseSign, point: "begin sign"},
	{phase: export.PhaseSign, point: "event signing.started"},
	{phase: export.PhaseSign, point: "signature seal"},
	{phase: export.PhaseSign, point: "event signing.completed"},
	{phase: export.PhaseDistribute, point: "begin distribute"},
	{phase: export.PhaseDistribute, point: "event distribution.completed"},
	{phase: export.PhaseEmitTimeline, point: "begin emitTimeline"},
	{phase: export.PhaseEmitTimeline, point: "event run.succeeded"},
}

// strikes is the list of all cases with a gate; terminations, which take the
// longest, come first.
func strikes() []strike {
	var all []strike
	for _, m := range moments {
		if m.point == "begin "+string(m.phase) {
			m.way = terminated
			all = append(all, m)
		}
	}
	for _, w := range []way{fromAPI, fromTemporal, fromAPI | fromTemporal} {
		for _, m := range moments {
			m.way = w
			all = append(all, m)
		}
	}
	return all
}
