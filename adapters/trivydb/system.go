package trivydb

import (
	"slices"
	"strings"
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
	for _, id := range p.ids {
		p.add(systemLine, bucket, one.name, id, p.doc.Modified, p.identity(), string(encode(value)))
		p.records++
	}
	if !slices.Contains(p.sources, sys.source) {
		p.sources = append(p.sources, sys.source)
	}
	p.addSource(bucket, publisher{sys.source, p.publisher.url})
}

func (p *packing) systemRecord(sys system, one affectedPackage) (value record, ok bool) {
	var all []interval
	for _, a := range one.parts {
		for _, r := range a.Ranges {
			of, err := intervals(r)
			if err != nil {
				p.leave("%s:%s %s: %v", one.ecosystem, one.release, one.name, err)
				continue
			}
			all = append(all, of...)
		}
		if len(a.Arches) > 0 {
			p.leave("%s:%s %s: told of all architectures, not of %s alone", one.ecosystem, one.release, one.name, strings.Join(a.Arches, ", "))
		}
		value.Status = max(value.Status, statuses[a.Status])
		value.Severity = max(value.Severity, levelOf(a.Severities))
	}
	if len(all) == 0 {
		return value, false
	}
	last := all[len(all)-1] // the highest: the others end below it
	value.VendorIDs = p.others
	if !last.closed && !last.limit {
		value.FixedVersion = last.to
	}
	if value.FixedVersion != "" {
		value.Status = 0
	} else if !sys.unfixed {
		p.leave("%s:%s %s: no fixed version, and Trivy reports none without", one.ecosystem, one.release, one.name)
		return value, false
	} else if last.closed || last.limit {
		p.leave("%s:%s %s: versions after %q are told as affected too", one.ecosystem, one.release, one.name, last.to)
	}
	if first := all[0].from; first != "" && sys.introduced {
		value.AffectedVersion = first
	} else if first != "" {
		p.leave("%s:%s %s: versions before %q are told as affected too", one.ecosystem, one.release, one.name, first)
	}
	if len(all) > 1 {
		p.leave("%s:%s %s: versions between the ranges are told as affected too", one.ecosystem, one.release, one.name)
	}
	return value, true
}
