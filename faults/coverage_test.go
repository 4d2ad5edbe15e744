package faults

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/stella-ops/exportcenter/internal/fault"
)

// kind is what is done to a scenario, at whichever hit.
type kind struct {
	scenario string
	point    fault.Point
	mode     fault.Mode
}

func (c testCase) kind() kind { return kind{c.scenario.name, c.fault.Point, c.fault.Mode} }

// coverage is what was reached, and what was done there.
type coverage struct {
	mu    sync.Mutex
	hits  map[string]map[fault.Point]int // by scenario
	cases map[kind]int
	gone  []testCase // whose fault never happened
}

func newCoverage() *coverage {
	return &coverage{hits: map[string]map[fault.Point]int{}, cases: map[kind]int{}}
}

func (c *coverage) reached(of scenario, hits map[fault.Point]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hits[of.name] = hits
}

func (c *coverage) covered(played testCase) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cases[played.kind()]++
}

func (c *coverage) missed(played testCase) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = append(c.gone, played)
}

// table has a row per point: how often each scenario reaches it, and in how many
// cases of each mode it was.
func (c *coverage) table() string {
	var out strings.Builder
	fmt.Fprintf(&out, "%-34s", "point")
	for _, of := range scenarios() {
		fmt.Fprintf(&out, "%11s", of.name)
	}
	for _, mode := range fault.Modes {
		fmt.Fprintf(&out, "%14s", mode)
	}
	out.WriteByte('\n')
	for _, p := range fault.Points() {
		if slices.Contains(fault.FrontPoints(), p) {
			continue // they have a table of their own
		}
		fmt.Fprintf(&out, "%-34s", p)
		for _, of := range scenarios() {
			fmt.Fprintf(&out, "%11d", c.hits[of.name][p])
		}
		for _, mode := range fault.Modes {
			word := "-"
			if slices.Contains(p.Modes(), mode) {
				word = fmt.Sprint(c.of(p, mode))
			}
			fmt.Fprintf(&out, "%14s", word)
		}
		if reason := unreached[p]; reason != "" {
			out.WriteString("  " + reason)
		}
		out.WriteByte('\n')
	}
	for _, m := range c.gone {
		fmt.Fprintf(&out, "not reached that often in %d tries: %s\n", tries, m.name())
	}
	return out.String()
}

// of counts the cases of all scenarios.
func (c *coverage) of(p fault.Point, mode fault.Mode) (cases int) {
	for _, s := range scenarios() {
		cases += c.cases[kind{s.name, p, mode}]
	}
	return cases
}

// gaps names points that are in no scenario without a reason, and points of a
// scenario that were not covered in it in every mode.
func (c *coverage) gaps() (gaps []string) {
	stated := map[fault.Point]bool{}
	for _, of := range scenarios() {
		for _, p := range of.points {
			stated[p] = true
			for _, mode := range p.Modes() {
				if c.cases[kind{of.name, p, mode}] == 0 {
					gaps = append(gaps, fmt.Sprintf("%s was not covered in mode %q of %s", p, mode, of.name))
				}
			}
		}
	}
	for _, p := range fault.Points() {
		if unreached[p] == "" && !stated[p] && !slices.Contains(fault.FrontPoints(), p) { // TestFrontFaultPoints has those
			gaps = append(gaps, fmt.Sprintf("%s is a point of no scenario, and unreached does not say why", p))
		}
		for _, of := range scenarios() {
			if unreached[p] != "" && c.hits[of.name][p] > 0 {
				gaps = append(gaps, fmt.Sprintf("%s is said to be reached by no scenario, but %s does", p, of.name))
			}
		}
	}
	return gaps
}
