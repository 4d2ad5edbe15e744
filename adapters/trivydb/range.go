package trivydb

import (
	"fmt"
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

// intervals pairs the events of a range, which stand in the order of their
// versions (OSV schema, "Requirements"): the first one that introduces opens an
// interval, the first that ends closes it.
func intervals(r advisory.Range) (list []interval, err error) {
	open := false
	for i, event := range r.Events {
		end := interval{}
		switch {
		case event.Introduced != "":
			if !open {
				list, open = append(list, interval{from: notZero(event.Introduced)}), true
			}
			continue
		case event.Fixed != "":
			end = interval{to: event.Fixed}
		case event.LastAffected != "":
			end = interval{to: event.LastAffected, closed: true}
		case event.Limit == "*":
			continue
		default:
			end = interval{to: event.Limit, limit: true}
		}
		if !open && len(list) == 0 {
			return nil, fmt.Errorf("events[%d] ends a range that no event before it introduces", i)
		}
		if open {
			end.from = list[len(list)-1].from
			list[len(list)-1], open = end, false
		}
	}
	return list, nil
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
		conditions = append(conditions, ">="+from)
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
	below := strings.Join(append(conditions[:len(conditions):len(conditions)], "<"+to), ", ")
	inOtherWords := strings.Join(append(conditions, "<="+to, "!="+to), ", ")
	switch {
	case of.limit && g != nodeSemver: // which has no "!="
		return []string{inOtherWords}, nil // from "<" Trivy would tell a fixed version
	case g.preReleases != nil && g.preReleases(to):
		// Twice: Trivy tells the fixed version by the first, and the second has
		// the pre-releases of it too.
		return []string{below, inOtherWords}, nil
	}
	return []string{below}, nil
}

// surelyHolds reports whether of holds version as far as plain numbers say so.
// All ecosystems order versions of digits and dots alike, so this needs no
// library of theirs; whatever has a letter is left undecided.
func (of interval) surelyHolds(version string) bool {
	if !plain(version) || of.from != "" && !plain(of.from) || of.to != "" && !plain(of.to) {
		return false
	}
	if of.from != "" && comparePlain(version, of.from) < 0 {
		return false
	}
	if of.to == "" {
		return true
	}
	order := comparePlain(version, of.to)
	return order < 0 || order == 0 && of.closed
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
