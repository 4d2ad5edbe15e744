package trivydb

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/advisory"
)

// interval is the versions between two: from "" is from the first, to "" to the
// last there ever will be.
type interval struct {
	from, to string
	closed   bool // to is of the interval
	limit    bool // to is not a version with a fix
}

// intervals pairs the events of a range: one that introduces opens an interval,
// the first behind it that ends closes it. OSV wants events evaluated in the
// order of their versions; real documents have their pairs in any order, and
// where one branch is fixed in the version that introduces the next, only the
// pairs say what is meant (PYSEC-2022-42972). So events that come in pairs are
// taken as they stand; others are sorted where plain numbers tell how.
//
// Where neither helps, which end is whose is a guess: then no end is believed,
// and an error beside the intervals says so.
func intervals(r advisory.Range) (list []interval, doubt error) {
	if !slices.ContainsFunc(r.Events, func(e advisory.Event) bool { return e.Introduced != "" }) {
		return nil, fmt.Errorf("a range that no event begins")
	}
	events := slices.DeleteFunc(slices.Clone(r.Events), func(e advisory.Event) bool { return e.Limit == "*" }) // which is none
	if paired(events) {
		return pairs(events), nil
	}
	if sorted, ok := sortedEvents(events); ok {
		return pairs(sorted), nil
	}
	return unbounded(events), fmt.Errorf("which of the events of a range belong together is told neither by pairs nor by numbers: it may be told as more than it is")
}

// pairs closes intervals where events end. An end that has nothing to end says
// nothing.
func pairs(events []advisory.Event) (list []interval) {
	var open []interval
	for _, event := range events {
		if event.Introduced != "" {
			open = append(open, interval{from: notZero(event.Introduced)})
			continue
		}
		for _, of := range open {
			if of = of.until(event); of.from != of.to || of.closed { // RustSec has "introduced 1.2.0, fixed 1.2.0"
				list = append(list, of)
			}
		}
		open = open[:0]
	}
	return append(list, open...)
}

func (of interval) until(end advisory.Event) interval {
	of.to, of.closed, of.limit = versionOf(end), end.LastAffected != "", end.Limit != ""
	return of
}

// unbounded begins an interval with every event that does and ends none, but
// for the one that begins before every version: alone, it reaches no further
// than the ends do.
func unbounded(events []advisory.Event) (list []interval) {
	var ends []advisory.Event
	for _, event := range events {
		if event.Introduced != "" {
			list = append(list, interval{from: notZero(event.Introduced)})
		} else {
			ends = append(ends, event)
		}
	}
	if len(list) > 1 || list[0].from != "" || len(ends) == 0 {
		return list
	}
	whole := list[0]
	list = list[:0]
	for _, end := range ends {
		list = append(list, whole.until(end))
	}
	return list
}

// paired reports whether every second event ends what the one before begins.
func paired(events []advisory.Event) bool {
	for i, e := range events {
		if (e.Introduced != "") != (i%2 == 0) {
			return false
		}
	}
	return true
}

// sortedEvents sorts events whose versions are all plain; ok is false when one
// is not. At one version an end goes before a begin, so that nothing is lost.
func sortedEvents(events []advisory.Event) (_ []advisory.Event, ok bool) {
	if slices.ContainsFunc(events, func(e advisory.Event) bool { return !plain(versionOf(e)) }) {
		return nil, false
	}
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b advisory.Event) int {
		begins := func(e advisory.Event) int { return min(len(e.Introduced), 1) }
		return cmp.Or(comparePlain(versionOf(a), versionOf(b)), cmp.Compare(begins(a), begins(b)))
	})
	return events, true
}

func versionOf(e advisory.Event) string {
	return cmp.Or(e.Introduced, e.Fixed, e.LastAffected, e.Limit)
}

// notZero gives "" for "0", which OSV puts before every version.
func notZero(version string) string {
	if version == "0" {
		return ""
	}
	return version
}

// expressions says an interval in Trivy's words: alternatives, of which each is
// a list of conditions. The empty one is every version (trivy IsVulnerable).
func (g *grammar) expressions(of interval) ([]string, error) {
	var conditions []string
	if of.from != "" {
		from, ok := g.read(of.from)
		if !ok {
			return nil, fmt.Errorf("%.80q is no %s to begin a range with", of.from, g.name)
		}
		conditions, of.from = append(conditions, ">="+from), from
	}
	if of.to == "" {
		return []string{strings.Join(conditions, ", ")}, nil
	}
	to, ok := g.read(of.to)
	if !ok {
		return nil, fmt.Errorf("%.80q is no %s to end a range with", of.to, g.name)
	}
	if of.closed {
		return []string{strings.Join(append(conditions, "<="+to), ", ")}, nil
	}
	if of.limit && g == nodeSemver { // which has no "!="; Trivy tells a fix by a "<" behind a comma
		return []string{">=" + cmp.Or(of.from, "0.0.0-0") + " <" + to}, nil
	}
	below := strings.Join(append(conditions[:len(conditions):len(conditions)], "<"+to), ", ")
	inOtherWords := strings.Join(append(conditions, "<="+to, "!="+to), ", ")
	switch {
	case of.limit:
		return []string{inOtherWords}, nil // from "<" Trivy would tell a fixed version
	case g.preReleases != nil && g.preReleases(to):
		// Twice: Trivy tells the fixed version by the first, and the second has
		// the pre-releases of it too.
		return []string{below, inOtherWords}, nil
	}
	return []string{below}, nil
}

// plain reports whether version is numbers of at most 18 digits between dots.
func plain(version string) bool {
	digits := 0
	for i := range len(version) {
		switch c := version[i]; {
		case c >= '0' && c <= '9' && digits < 18:
			digits++
		case c == '.' && digits > 0:
			digits = 0
		default:
			return false
		}
	}
	return digits > 0
}

// comparePlain compares plain versions number by number; missing ones are 0.
func comparePlain(a, b string) int {
	for a != "" || b != "" {
		var x, y uint64
		x, a = firstNumber(a)
		y, b = firstNumber(b)
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
	}
	return 0
}

func firstNumber(version string) (number uint64, rest string) {
	for i := range len(version) {
		if version[i] == '.' {
			return number, version[i+1:]
		}
		number = number*10 + uint64(version[i]-'0')
	}
	return number, ""
}
