package export

import (
	"maps"
	"slices"
)

// Within says what r keeps that outer leaves out; nil when there is no such thing.
// A profile's redaction bounds that of its runs: a request may ask for less.
func (r *Redaction) Within(outer *Redaction) error {
	if outer == nil {
		return nil
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Allow)) {
		for i, path := range r.Allow[kind] {
			if !slices.ContainsFunc(outer.Allow[kind], func(kept string) bool { return contains(kept, path) }) {
				return redactionError("allow."+kind, "[%d] %.80q is not within what the profile's redaction %s keeps of kind %s; name less", i, path, outer.PolicyID, kind)
			}
		}
	}
	for _, list := range r.Linkset {
		if !outer.Keeps(list) {
			return redactionError("linkset", "%q is not kept by the profile's redaction %s", list, outer.PolicyID)
		}
	}
	return nil
}

// contains reports whether all that inner keeps is kept by outer: a path keeps all
// that is within its value.
func contains(outer, inner string) bool {
	if outer == KeepAll || outer == inner {
		return true
	}
	around, err := ParseFieldPath(outer)
	if err != nil || inner == KeepAll {
		return false
	}
	within, err := ParseFieldPath(inner)
	if err != nil || len(within) < len(around) {
		return false
	}
	last := len(around) - 1
	for i, step := range around {
		same := step == within[i]
		deeper := i == last && step.Name == within[i].Name && step.Lists < within[i].Lists
		if !same && !deeper {
			return false
		}
	}
	return true
}
