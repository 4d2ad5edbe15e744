package trivydb

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/advisory"
)

// packSystem packs a package of an operating system. Trivy's records have one
// fixed version, and a first affected one for some; what a document says beyond
// that is left out, and said.
func (p *packing) packSystem(sys system, one affectedPackage) {
	bucket, ok := sys.bucket(one.release)
	if !ok {
		p.leave("%s %s: Trivy knows no release %q of it", one.ecosystem, one.name, one.release)
		return
	}
	if !isKey(one.name) {
		p.leave("%s %.80q: the name cannot be a key", one.ecosystem, one.name)
		return
	}
	value, ok := p.systemRecord(sys, one)
	if !ok {
		p.lacksVersions(one)
		return
	}
	text := string(encode(value))
	for _, id := range p.ids {
		if !p.add(systemLine, bucket, one.name, id, p.published, p.identity(), text) {
			break
		}
		p.records++
	}
	if !slices.Contains(p.sources, sys.source) {
		p.sources = append(p.sources, sys.source)
	}
	p.addSource(bucket, publisher{sys.source, p.publisher.url})
}

func (p *packing) systemRecord(sys system, one affectedPackage) (value record, ok bool) {
	leave := func(format string, args ...any) {
		p.leave("%s:%s %s: %s", one.ecosystem, one.release, one.name, fmt.Sprintf(format, args...))
	}
	var all []interval
	for _, a := range one.parts {
		if fix := moduleFix(a); fix != "" {
			leave("%.80q is the fix of a module's stream, which the document does not name", fix)
			continue
		}
		for _, r := range a.Ranges {
			of, err := intervals(r)
			if err != nil {
				leave("%v", err)
			}
			all = append(all, of...)
		}
		if len(a.Arches) > 0 {
			leave("told of all architectures, not of %s alone", strings.Join(a.Arches, ", "))
		}
		value.Status = max(value.Status, statuses[a.Status])
		value.Severity = max(value.Severity, levelOf(a.Severities))
	}
	if len(all) == 0 {
		return value, false
	}
	whole, sure := hull(all)
	value.VendorIDs = p.others
	if !whole.closed && !whole.limit {
		value.FixedVersion = whole.to
	}
	switch {
	case value.FixedVersion != "":
		value.Status = 0
	case !sys.unfixed && !sure:
		leave("which of its ranges ends last is not told by numbers, and Trivy reports none without a fixed version")
		return value, false
	case !sys.unfixed:
		leave("no fixed version, and Trivy reports none without")
		return value, false
	case !sure:
		leave("which of its ranges ends last is not told by numbers: told as not fixed")
	case whole.to != "":
		leave("versions after %q are told as affected too", whole.to)
	}
	if whole.from != "" && sys.introduced {
		value.AffectedVersion = whole.from
	} else if whole.from != "" {
		leave("versions before %q are told as affected too", whole.from)
	}
	if slices.ContainsFunc(all, func(of interval) bool { return of != all[0] }) {
		leave("versions between the ranges are told as affected too")
	}
	return value, true
}

// moduleFix is a fixed version that belongs to a stream of a module
// (AlmaLinux's "1:18.18.2-1.module_el9.2.0+..."), "" for none. Trivy asks for
// "nodejs:18::nodejs" where a package is of a module, and a document of OSV does
// not say of which: under the plain name the fix would meet other packages.
func moduleFix(a advisory.Affected) string {
	for _, r := range a.Ranges {
		for _, e := range r.Events {
			if strings.Contains(e.Fixed, ".module_el") || strings.Contains(e.Fixed, ".module+el") {
				return e.Fixed
			}
		}
	}
	return ""
}
