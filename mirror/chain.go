package mirror

import (
	"cmp"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
)

// step is what a delta says of where it begins and ends.
type step struct {
	name     string // the file, for messages
	manifest bundle.Digest
	base     Identity
	target   Identity
}

// leads reports whether the delta can be applied to a mirror.
func (s step) leads(from Identity) bool {
	return s.base.ManifestDigest == from.ManifestDigest && s.base.Generation == from.Generation && s.base.ExportID == from.ExportID
}

// still reports that the delta ends where it begins: it was made of one mirror twice.
func (s step) still() bool { return s.base == s.target }

// checkChain refuses deltas that do not lead from the mirror of state, one after
// the other, and says why.
func checkChain(state State, steps []step) *Error {
	at, seen := state.Mirror, map[bundle.Digest]string{}
	for i, s := range steps {
		if first, twice := seen[s.manifest]; twice {
			return refuse(ReasonReplay, "%s is the same delta as %s; give it once", s.name, first)
		}
		seen[s.manifest] = s.name
		if !s.leads(at) || s.target.Generation < s.base.Generation {
			return misfit(state, steps, i, at)
		}
		at = s.target
	}
	return nil
}

// misfit says why delta i does not lead on from the mirror at.
func misfit(state State, steps []step, i int, at Identity) *Error {
	s, where := steps[i], "the directory has"
	if i > 0 {
		where = steps[i-1].name + " leads to"
	}
	sorted := slices.Clone(steps)
	slices.SortStableFunc(sorted, func(a, b step) int { return cmp.Compare(a.base.Generation, b.base.Generation) })
	switch {
	case s.target.Generation < s.base.Generation:
		return refuse(ReasonRollback, "%s leads from generation %d back to %d, which no delta may", s.name, s.base.Generation, s.target.Generation)
	case state.has(s.manifest):
		return refuse(ReasonReplay, "%s was applied before: %s generation %d. Leave it out", s.name, where, at.Generation)
	case s.target == at:
		return refuse(ReasonReplay, "%s leads to generation %d, and %s that already. Leave it out", s.name, s.target.Generation, where)
	case chains(state.Mirror, sorted):
		return refuse(ReasonOrder, "%s does not follow: give the deltas in the order in which they lead on: %s", s.name, namesOf(sorted))
	case s.target.Generation < at.Generation:
		return refuse(ReasonRollback, "%s leads to generation %d, and %s generation %d: a mirror never goes back. Leave it out",
			s.name, s.target.Generation, where, at.Generation)
	case s.base.Generation > at.Generation:
		return refuse(ReasonGap, "%s begins at generation %d, and %s generation %d: a delta from %[4]d is missing between. Get it, or have one made from %[4]d (export run mirror-delta --base %[5]s)",
			s.name, s.base.Generation, where, at.Generation, at.ExportID)
	}
	return refuse(ReasonBase, "%s changes mirror %s (generation %d, manifest %s), and %s mirror %s (generation %d, manifest %s): it is made for another base",
		s.name, s.base.ExportID, s.base.Generation, s.base.ManifestDigest, where, at.ExportID, at.Generation, at.ManifestDigest)
}

// chains reports whether steps lead on from a mirror.
func chains(at Identity, steps []step) bool {
	for _, s := range steps {
		if !s.leads(at) || s.target.Generation < s.base.Generation {
			return false
		}
		at = s.target
	}
	return true
}

// applied is how many of a command's deltas led to the mirror of a state already: as
// far as the signed deltas themselves lead there, one after the other, and the state
// has all of them that change anything. Its word alone counts for nothing.
func applied(state State, steps []step) (n int) {
	for i, s := range steps {
		if i > 0 && !s.leads(steps[i-1].target) || !s.still() && !state.has(s.manifest) {
			break
		}
		if s.target == state.Mirror {
			n = i + 1
		}
	}
	return n
}

func namesOf(steps []step) string {
	names := make([]string, len(steps))
	for i, s := range steps {
		names[i] = s.name
	}
	return strings.Join(names, " ")
}
