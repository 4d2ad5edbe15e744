package faults

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/stella-ops/exportcenter/internal/fault"
)

// coverage is what was reached, and what was done there.
type coverage struct {
	mu    sync.Mutex
	hits  map[string]map[fault.Point]int // by scenario
	cases map[fault.Point]map[fault.Mode]int
	gone  []testCase // whose fault never happened
}

func newCoverage() *coverage {
	return &coverage{hits: map[string]map[fault.Point]int{}, cases: map[fault.Point]map[fault.Mode]int{}}
}

func (c *coverage) reached(of scenario, hits map[fault.Point]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hits[of.name] = hits
}

func (c *coverage) covered(played testCase) {
	c.mu.Lock()
	defer c.mu.Unlock()
	modes := c.cases[played.fault.Point]
	if modes == nil {
		modes = map[fault.Mode]int{}
		c.cases[played.fault.Point] = modes
	}
	modes[played.fault.Mode]++
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
		fmt.Fprintf(&out, "%-34s", p)
		for _, of := range scenarios() {
			fmt.Fprintf(&out, "%11d", c.hits[of.name][p])
		}
		for _, mode := range fault.Modes {
			word := "-"
			if slices.Contains(p.Modes(), mode) {
				word = fmt.Sprint(c.cases[p][mode])
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

// gaps names points that are in no scenario without a reason, or were not
// covered in every mode.
func (c *coverage) gaps() (gaps []string) {
	for _, p := range fault.Points() {
		reached := false
		for _, hits := range c.hits {
			reached = reached || hits[p] > 0
		}
		switch {
		case unreached[p] != "" && reached:
			gaps = append(gaps, fmt.Sprintf("%s is said to be reached by no scenario, but is", p))
			continue
		case unreached[p] != "":
			continue
		case !reached:
			gaps = append(gaps, fmt.Sprintf("%s is reached by no scenario, and unreached does not say why", p))
			continue
		}
		for _, mode := range p.Modes() {
			if c.cases[p][mode] == 0 {
				gaps = append(gaps, fmt.Sprintf("%s was not covered in mode %q", p, mode))
			}
		}
	}
	return gaps
}
