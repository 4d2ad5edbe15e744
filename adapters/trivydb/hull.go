package trivydb

import (
	"cmp"
	"slices"
)

// hull is one interval that holds all of them, whatever order they stand in: a
// record of an operating system has one begin and one end. An open end goes over
// every other. Bounds are compared as plain numbers; where that does not tell
// which is least or greatest, there is none on that side, and sure is false when
// that is the end.
func hull(all []interval) (whole interval, sure bool) {
	whole = all[0]
	for _, of := range all[1:] {
		whole.from = lowerOf(whole.from, of.from)
	}
	if at := slices.IndexFunc(all, func(of interval) bool { return of.to == "" }); at >= 0 {
		whole.to, whole.closed, whole.limit = "", false, false
		return whole, true
	}
	for _, of := range all[1:] {
		switch {
		case of.to == whole.to && of.closed == whole.closed && of.limit == whole.limit:
		case !plain(of.to) || !plain(whole.to):
			whole.to, whole.closed, whole.limit = "", false, false
			return whole, false
		case endsBehind(of, whole):
			whole.to, whole.closed, whole.limit = of.to, of.closed, of.limit
		}
	}
	return whole, true
}

// lowerOf is the lower of two begins, "" where that cannot be told.
func lowerOf(a, b string) string {
	switch {
	case a == b:
		return a
	case !plain(a) || !plain(b):
		return ""
	case compareLength(a, b) <= 0:
		return a
	}
	return b
}

// endsBehind reports whether a ends behind b. Of two at one version that which
// holds the version does, then that whose end is a fix.
func endsBehind(a, b interval) bool {
	if order := compareLength(a.to, b.to); order != 0 {
		return order > 0
	}
	if a.closed != b.closed {
		return a.closed
	}
	return b.limit && !a.limit
}

// compareLength compares plain versions as packages of operating systems do:
// 1.0 is behind 1.
func compareLength(a, b string) int {
	return cmp.Or(comparePlain(a, b), cmp.Compare(len(a), len(b)))
}
