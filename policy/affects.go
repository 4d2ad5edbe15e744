package policy

import (
	"slices"

	"github.com/google/osv-scalibr/semantic"

	"github.com/stella-ops/exportcenter/advisory"
)

// verdict is what comparing a version with an affected package gave.
type verdict string

const (
	unaffected   verdict = ""
	byVersion    verdict = "version"      // the list names it
	byRange      verdict = "range"        // a range holds it
	undetermined verdict = "undetermined" // it could not be compared
	imported     verdict = "imported"     // another engine says so
)

// affects evaluates one affected package for a version (OSV schema,
// "Evaluation"): affected when the list names the version, or one of the ranges
// holds it. fixed are the versions that end the ranges which hold it. A version
// or an event that cannot be compared makes the verdict undetermined, with why,
// unless something else says affected: nothing is dropped because it could not
// be read. known keeps what was read of the list for the next version.
func affects(ecosystem, version string, a *advisory.Affected, known *listed) (v verdict, fixed []string, why string) {
	if slices.Contains(a.Versions, version) {
		v = byVersion
	}
	for _, r := range a.Ranges {
		held, ends, err := inRange(ecosystem, version, r)
		switch {
		case err != nil:
			if why == "" {
				why = err.Error()
			}
		case held:
			if v == unaffected {
				v = byRange
			}
			fixed = append(fixed, ends...)
		}
	}
	if v == unaffected && known.has(ecosystem, version, a.Versions) {
		v = byVersion // 1.0 is 1.0.0 where the ecosystem says so
	}
	if v == unaffected && len(a.Ranges) == 0 && len(a.Versions) == 0 {
		return undetermined, nil, "the advisory names no versions"
	}
	if in := orderOf(ecosystem, ""); v == unaffected && why == "" && len(a.Versions) > 0 && hasOrder(in) {
		if _, err := parseVersion(in, version); err != nil {
			why = err.Error() // what is no version is in no list of versions
		}
	}
	if v == unaffected && why != "" {
		return undetermined, nil, why
	}
	slices.Sort(fixed)
	return v, slices.Compact(fixed), ""
}

// listed is a list of versions, read when it is first needed. Its zero value is
// not read yet.
type listed struct {
	versions []semantic.Version
	read     bool
}

// has reports whether one of the texts is another spelling of a version, in the
// ecosystem's order. The texts are the same in each call.
func (l *listed) has(ecosystem, version string, texts []string) bool {
	in := orderOf(ecosystem, "")
	v, err := parseVersion(in, version)
	if err != nil {
		return false
	}
	if !l.read {
		l.read = true
		for _, text := range texts {
			if other, err := parseVersion(in, text); err == nil {
				l.versions = append(l.versions, other)
			}
		}
	}
	return slices.ContainsFunc(l.versions, func(other semantic.Version) bool {
		n, err := compare(v, other)
		return err == nil && n == 0
	})
}

// event is one event of a range with its version.
type event struct {
	advisory.Event
	at semantic.Version // nil is before every version
}

// inRange evaluates one range. Events that come in pairs, a begin and its end,
// are taken as they stand: real documents have their pairs in any order, and
// where one branch is fixed in the version that introduces the next only the
// pairs say what is meant (PYSEC-2022-42972). Others are taken in order of their
// versions.
func inRange(ecosystem, version string, r advisory.Range) (held bool, fixed []string, err error) {
	in := orderOf(ecosystem, r.Type)
	events, limits, err := readEvents(in, r.Events)
	if err != nil {
		return false, nil, err
	}
	if everything(r.Events) && version != "" {
		return true, nil, nil // no need to read the version
	}
	v, err := parseVersion(in, version)
	if err != nil {
		return false, nil, err
	}
	if before, err := beforeLimits(v, limits); err != nil || !before {
		return false, nil, err
	}
	pairs, err := paired(events)
	if err != nil {
		return false, nil, err
	}
	sorted, err := inOrder(events)
	if err != nil {
		return false, nil, err
	}
	if pairs {
		for pair := range slices.Chunk(events, 2) {
			if held, err = reached(v, pair); held || err != nil {
				break
			}
		}
	} else {
		held, err = reached(v, sorted)
	}
	if err != nil || !held {
		return false, nil, err
	}
	return true, firstFix(v, sorted), nil
}

// everything reports whether a range is all versions: introduced "0", no end.
func everything(events []advisory.Event) bool {
	return len(events) == 1 && events[0].Introduced == "0"
}

func readEvents(in order, from []advisory.Event) (events []event, limits []semantic.Version, err error) {
	for _, e := range from {
		text := e.Introduced + e.Fixed + e.LastAffected + e.Limit
		if e.Introduced == "0" || e.Limit == "*" {
			if e.Introduced != "" {
				events = append(events, event{e, nil})
			} else {
				limits = append(limits, nil)
			}
			continue
		}
		at, err := parseVersion(in, text)
		if err != nil {
			return nil, nil, err
		}
		if e.Limit != "" {
			limits = append(limits, at)
		} else {
			events = append(events, event{e, at})
		}
	}
	return events, limits, nil
}

// beforeLimits reports whether v is before one of the limits; nil is infinite.
func beforeLimits(v semantic.Version, limits []semantic.Version) (bool, error) {
	for _, limit := range limits {
		if limit == nil {
			return true, nil
		}
		n, err := compare(v, limit)
		if err != nil || n < 0 {
			return err == nil, err
		}
	}
	return len(limits) == 0, nil
}

// firstFix is the first fixed version after v, of events in order.
func firstFix(v semantic.Version, events []event) []string {
	for _, e := range events {
		if e.Fixed == "" || e.at == nil {
			continue
		}
		if n, err := compare(v, e.at); err == nil && n < 0 {
			return []string{e.Fixed}
		}
	}
	return nil
}
