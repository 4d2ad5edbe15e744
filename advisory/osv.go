package advisory

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/internal/cvss"
	"github.com/stella-ops/exportcenter/internal/jsonobject"
	"github.com/stella-ops/exportcenter/internal/purl"
)

// osv reads a document of OSV schema 1.x (ossf.github.io/osv-schema).
func (r *reader) osv(doc jsonobject.Object) error {
	a := &r.found
	var err error
	if a.ID, err = doc.RequireText("id"); err != nil {
		return err
	}
	if a.Aliases, err = doc.Texts("aliases"); err != nil {
		return err
	}
	if a.Upstream, err = doc.Texts("upstream"); err != nil {
		return err
	}
	if a.Withdrawn = r.time(doc, "withdrawn"); a.Withdrawn == "" && doc.Has("withdrawn") && string(doc.Field("withdrawn")) != "null" {
		return fmt.Errorf("withdrawn is not an RFC 3339 time") // whether it stands must be known
	}
	a.Published, a.Modified = r.time(doc, "published"), r.time(doc, "modified")
	a.Title, a.Description = r.text(doc, "summary"), r.text(doc, "details")
	a.References = r.references(doc)
	a.Severities = r.osvSeverities(doc)
	if specific, there := r.object(doc, "database_specific"); there {
		r.osvCWEs(specific)
	}
	count := 0
	return doc.Each("affected", func(entry jsonobject.Object) error {
		if count++; count > maxAffected {
			return fmt.Errorf("affected has too many entries, at most %d are taken", maxAffected)
		}
		return r.osvAffected(entry)
	})
}

// osvCWEs takes the weaknesses as GitHub writes them.
func (r *reader) osvCWEs(specific jsonobject.Object) {
	for _, id := range r.texts(specific, "cwe_ids") {
		if isCWE(id) {
			r.found.CWEs = append(r.found.CWEs, id)
		} else {
			r.Leave("%s %.40q is not a CWE id", specific.Name("cwe_ids"), id)
		}
	}
}

// osvSeverities takes the scores of the schema, then the word that GitHub keeps
// in database_specific and OSS-Fuzz in ecosystem_specific.
func (r *reader) osvSeverities(o jsonobject.Object) (list []Severity) {
	r.each(o, "severity", func(s jsonobject.Object) {
		score := r.text(s, "score")
		if severity, ok := vector(score, ""); ok {
			list = r.add(list, severity)
		} else if word := cvss.Word(score); word != "" { // Ubuntu scores in words
			list = r.add(list, Severity{Word: word})
		} else {
			r.Leave("%s %.80q is neither a CVSS vector nor a severity", s.Name("score"), score)
		}
	})
	for _, field := range [...]string{"database_specific", "ecosystem_specific"} {
		specific, there := r.object(o, field)
		if !there || !jsonobject.IsText(specific.Field("severity")) {
			continue
		}
		if word := cvss.Word(r.text(specific, "severity")); word != "" {
			list = r.add(list, Severity{Word: word})
		} else {
			r.Leave("%s is no known word", specific.Name("severity"))
		}
	}
	return list
}

func (r *reader) osvAffected(entry jsonobject.Object) error {
	a, err := osvPackage(entry)
	if err != nil {
		return err
	}
	if a.Versions, err = entry.Texts("versions"); err != nil {
		return err
	}
	if err := r.count(1 + len(a.Versions)); err != nil {
		return err
	}
	commits := 0
	err = entry.Each("ranges", func(o jsonobject.Object) error {
		kind, err := o.RequireText("type")
		if err != nil {
			return err
		}
		if kind == "GIT" {
			commits++
			return r.count(1)
		}
		if kind != "SEMVER" && kind != "ECOSYSTEM" {
			return fmt.Errorf("%s %.40q is not one of SEMVER, ECOSYSTEM, GIT", o.Name("type"), kind)
		}
		read, err := r.osvRange(o, kind)
		a.Ranges = append(a.Ranges, read)
		return err
	})
	if err != nil {
		return err
	}
	r.boundLastKnown(entry, a.Ranges)
	switch nothing := len(a.Ranges) == 0 && len(a.Versions) == 0; {
	case nothing && commits > 0:
		r.Leave("%s: ranges of type GIT only", entry.Name(""))
	case a.Name == "":
		r.Leave("%s: no package", entry.Name(""))
	case nothing:
		r.Leave("%s: neither ranges nor versions", entry.Name(""))
	default:
		if commits > 0 {
			r.Leave("%s: %d ranges of type GIT", entry.Name(""), commits)
		}
		a.Severities = r.osvSeverities(entry)
		r.found.Affected = append(r.found.Affected, a)
	}
	return nil
}

// osvPackage reads what an entry is about; it may be missing for ranges of
// commits.
func osvPackage(entry jsonobject.Object) (a Affected, err error) {
	o, there, err := entry.Object("package")
	if err != nil || !there {
		return a, err
	}
	if a.Ecosystem, err = o.RequireText("ecosystem"); err != nil {
		return a, err
	}
	if a.Name, err = o.RequireText("name"); err != nil {
		return a, err
	}
	if a.Purl, _, err = o.Text("purl"); err == nil && a.Purl == "" {
		a.Purl = purl.Derive(a.Ecosystem, a.Name)
	}
	return a, err
}

// osvRange reads the events in their order. Of an event that has several
// members, as schema 1.0 had them, each becomes an event.
func (r *reader) osvRange(o jsonobject.Object, kind string) (Range, error) {
	read := Range{Type: kind}
	err := o.Each("events", func(e jsonobject.Object) error {
		known := 0
		for _, field := range [...]string{"introduced", "fixed", "last_affected", "limit"} {
			value, there, err := e.Text(field)
			if err != nil {
				return err
			}
			if there && value != "" {
				known++
				read.Events = append(read.Events, event(field, value))
			}
		}
		if known == 0 {
			return fmt.Errorf("%s has none of introduced, fixed, last_affected, limit", e.Name(""))
		}
		return r.count(known)
	})
	return read, err
}

func event(field, value string) Event {
	switch field {
	case "introduced":
		return Event{Introduced: value}
	case "fixed":
		return Event{Fixed: value}
	case "last_affected":
		return Event{LastAffected: value}
	}
	return Event{Limit: value}
}

// boundLastKnown ends ranges that have no end where GitHub's advisory database
// says what the last known affected version is: "<= 1.2.3" or "< 1.2.3"
// (github/advisory-database issue 470). Nobody said that what follows is fixed.
func (r *reader) boundLastKnown(entry jsonobject.Object, ranges []Range) {
	specific, there, err := entry.Object("database_specific")
	if err != nil || !there || !specific.Has("last_known_affected_version_range") {
		return
	}
	text := r.text(specific, "last_known_affected_version_range")
	end, ok := lastKnown(text)
	if !ok {
		r.Leave("%s %.80q is not of the form \"<= version\"", specific.Name("last_known_affected_version_range"), text)
		return
	}
	for i := range ranges {
		open := !slices.ContainsFunc(ranges[i].Events, func(e Event) bool { return e.Introduced == "" })
		if open {
			ranges[i].Events = append(ranges[i].Events, end)
		}
	}
}

func lastKnown(text string) (Event, bool) {
	text = strings.TrimSpace(text)
	end := func(version string) string { return strings.TrimSpace(version) }
	if version, ok := strings.CutPrefix(text, "<="); ok && plain(end(version)) {
		return Event{LastAffected: end(version)}, true
	}
	if version, ok := strings.CutPrefix(text, "<"); ok && plain(end(version)) {
		return Event{Limit: end(version)}, true
	}
	return Event{}, false
}

// plain reports whether text is one version, without further comparisons.
func plain(version string) bool { return version != "" && !strings.ContainsAny(version, "<>=, ") }
