package comparison

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/advisory"
)

// affected is what a document says of one package, in however many entries.
type affected struct {
	ranges, versions, fixed []string
}

// advise notes what an advisory says.
func (d *document) advise(a advisory.Advisory) {
	d.withdrawn = a.Withdrawn
	d.severity, d.packages = map[Subject][]advisory.Severity{}, map[Subject]*affected{}
	d.rate(Subject{}, a.Severities)
	for _, v := range a.Vulnerabilities {
		d.rate(Subject{Vulnerability: v.ID}, v.Severities)
	}
	for _, entry := range a.Affected {
		of := Subject{Vulnerability: entry.Vulnerability, Ecosystem: entry.Ecosystem, Name: entry.Name, Module: entry.Module}
		d.rate(of, entry.Severities)
		p := d.packages[of]
		if p == nil {
			p = &affected{}
			d.packages[of] = p
		}
		p.versions = append(p.versions, entry.Versions...)
		for _, r := range entry.Ranges {
			p.ranges = append(p.ranges, rangeText(r))
			for _, e := range r.Events {
				if e.Fixed != "" {
					p.fixed = append(p.fixed, e.Fixed)
				}
			}
		}
	}
}

func (d *document) rate(of Subject, said []advisory.Severity) {
	if len(said) > 0 {
		d.severity[of] = append(d.severity[of], said...)
	}
}

// rangeText is a range as text (PackageChange).
func rangeText(r advisory.Range) string {
	events := make([]string, len(r.Events))
	for i, e := range r.Events {
		switch {
		case e.Introduced != "":
			events[i] = "introduced " + e.Introduced
		case e.Fixed != "":
			events[i] = "fixed " + e.Fixed
		case e.LastAffected != "":
			events[i] = "last affected " + e.LastAffected
		default:
			events[i] = "limit " + e.Limit
		}
	}
	return r.Type + ": " + strings.Join(events, ", ")
}

// gravity orders the words; what is no word of the scale is least.
var gravity = map[string]int{"none": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}

// saidOf sums up what is said of one thing.
func saidOf(all []advisory.Severity) (s Severity) {
	for _, one := range all {
		if gravity[one.Word] > gravity[s.Word] {
			s.Word = one.Word
		}
		s.Said = append(s.Said, cmp.Or(one.Vector, one.Word))
	}
	s.Said = sorted(s.Said)
	return s
}

// severities compares how bad each thing is said to be.
func severities(from, to document, left *budget, what map[string]bool) (changes []SeverityChange) {
	for _, of := range subjects(from.severity, to.severity) {
		change := SeverityChange{Of: of, From: saidOf(from.severity[of]), To: saidOf(to.severity[of])}
		if slices.Equal(change.From.Said, change.To.Said) && change.From.Word == change.To.Word {
			continue
		}
		what[SeverityAspect] = true
		if left.take() {
			changes = append(changes, change)
		}
	}
	return changes
}

// packages compares which versions of which packages are affected, and what fixes them.
func packages(from, to document, left *budget, what map[string]bool) (changes []PackageChange) {
	for _, of := range subjects(from.packages, to.packages) {
		change := PackageChange{Of: of, Change: Changed}
		before, after := from.packages[of], to.packages[of]
		switch {
		case before == nil:
			change.Change, before = Added, &affected{}
		case after == nil:
			change.Change, after = Removed, &affected{}
		}
		versionsAdded, versionsRemoved := differ(before.versions, after.versions)
		rangesAdded, rangesRemoved := differ(before.ranges, after.ranges)
		fixedAdded, fixedRemoved := differ(before.fixed, after.fixed)
		ranges := len(versionsAdded)+len(versionsRemoved)+len(rangesAdded)+len(rangesRemoved) > 0 || change.Change != Changed
		fixed := len(fixedAdded)+len(fixedRemoved) > 0
		what[RangeAspect], what[FixedAspect] = what[RangeAspect] || ranges, what[FixedAspect] || fixed
		if !ranges && !fixed || !left.take() {
			continue
		}
		change.VersionsAdded, change.VersionsRemoved = len(versionsAdded), len(versionsRemoved)
		change.RangesAdded, change.RangesRemoved = left.few(rangesAdded), left.few(rangesRemoved)
		change.FixedAdded, change.FixedRemoved = left.few(fixedAdded), left.few(fixedRemoved)
		changes = append(changes, change)
	}
	return changes
}

// subjects are those of either side, in order.
func subjects[V any](from, to map[Subject]V) []Subject {
	all := slices.Collect(maps.Keys(from))
	for of := range to {
		if _, both := from[of]; !both {
			all = append(all, of)
		}
	}
	slices.SortFunc(all, func(a, b Subject) int {
		return cmp.Or(strings.Compare(a.Vulnerability, b.Vulnerability), strings.Compare(a.Ecosystem, b.Ecosystem),
			strings.Compare(a.Name, b.Name), strings.Compare(a.Module, b.Module))
	})
	return all
}
