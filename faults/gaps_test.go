package faults

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stella-ops/exportcenter/internal/fault"
)

// complete is a coverage without a gap.
func complete() *coverage {
	c := newCoverage()
	for _, of := range scenarios() {
		for _, p := range of.points {
			for _, mode := range p.Modes() {
				c.covered(testCase{scenario: of, fault: fault.Fault{Point: p, Hit: 1, Mode: mode}})
			}
		}
	}
	return c
}

// TestGapsAreNamed: what one scenario covers does not stand for another.
func TestGapsAreNamed(t *testing.T) {
	require.Empty(t, complete().gaps(), "every point has a scenario or a reason")

	c := complete()
	delete(c.cases, kind{"cancel", fault.Publish, fault.Late})
	require.Equal(t, []string{`staged.Publish was not covered in mode "late" of cancel`}, c.gaps())

	c = complete()
	c.reached(scenarios()[1], map[fault.Point]int{fault.Begin: 1})
	require.Equal(t, []string{"execution.Begin is said to be reached by no scenario, but cancel does"}, c.gaps())

	success := scenarios()[0]
	hits := map[fault.Point]int{}
	for _, p := range success.points {
		hits[p] = 1
	}
	require.Empty(t, success.lost(hits))
	delete(hits, fault.Pin)
	require.Equal(t, []fault.Point{fault.Pin}, success.lost(hits))
}
