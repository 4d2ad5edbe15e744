package trivydb

import (
	"cmp"
	"slices"
	"sort"
)

// cover is the intervals whose bounds are plain, in order and joined where they
// meet, so that many versions are held against many ranges in little time.
type cover []interval

func coverOf(all []interval) (c cover) {
	for _, of := range all {
		if (of.from == "" || plain(of.from)) && (of.to == "" || plain(of.to)) {
			c = append(c, of)
		}
	}
	slices.SortFunc(c, func(a, b interval) int { return compareBegins(a.from, b.from) })
	joined := c[:0]
	for _, of := range c {
		if last := len(joined) - 1; last >= 0 && reaches(joined[last], of.from) {
			if endsLater(of, joined[last]) {
				joined[last].to, joined[last].closed = of.to, of.closed
			}
			continue
		}
		joined = append(joined, of)
	}
	return joined
}

// surelyHolds reports whether one of the ranges holds version as far as plain
// numbers say so. All ecosystems order versions of digits and dots alike, so
// this needs no library of theirs; whatever has a letter is left undecided.
func (c cover) surelyHolds(version string) bool {
	if !plain(version) {
		return false
	}
	behind := sort.Search(len(c), func(i int) bool { return compareBegins(c[i].from, version) > 0 })
	return behind > 0 && c[behind-1].endsBehindOrAt(version)
}

// compareBegins puts "", which is before every version, first.
func compareBegins(a, b string) int {
	if a == "" || b == "" {
		return cmp.Compare(min(len(a), 1), min(len(b), 1))
	}
	return comparePlain(a, b)
}

// endsBehindOrAt reports whether version is not behind the end of an interval
// that begins before it.
func (of interval) endsBehindOrAt(version string) bool {
	if of.to == "" {
		return true
	}
	order := comparePlain(version, of.to)
	return order < 0 || order == 0 && of.closed
}

// reaches reports whether nothing is between an interval's end and a begin that
// is not before its own. An interval that ends before it begins reaches nothing.
func reaches(of interval, from string) bool {
	return of.to == "" || from == "" || comparePlain(from, of.to) <= 0
}

func endsLater(a, b interval) bool {
	if a.to == "" || b.to == "" {
		return a.to == "" && b.to != ""
	}
	order := comparePlain(a.to, b.to)
	return order > 0 || order == 0 && a.closed && !b.closed
}
