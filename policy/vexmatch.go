package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/internal/purl"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/vex"
)

// applies reports whether a statement is about a candidate of the same
// vulnerability. It is, when a product of it is
//
//   - the component, and the statement names no subcomponents or one that is the
//     component too, or
//   - the subject of the SBOM, or the SBOM itself, and the statement names no
//     subcomponents (so it speaks of all that is in the subject), or one that is
//     the component.
func applies(s *vex.Statement, c *subjectItem) bool {
	for _, product := range s.Products {
		if !isComponent(product, c) && !isSubject(product, c) {
			continue
		}
		if len(s.Subcomponents) == 0 || slices.ContainsFunc(s.Subcomponents, func(sub string) bool { return isComponent(sub, c) }) {
			return true
		}
	}
	return false
}

// isComponent reports whether an identifier is the component: its package URL,
// one that covers it, or the SBOM's own reference to it: "urn:cdx:<serial
// number>/<version>#<bom-ref>" (CycloneDX, "BOM-Link") or that bom-ref alone in
// the same document.
func isComponent(id string, c *subjectItem) bool {
	if covers(id, c.Purl) {
		return true
	}
	serial, ref, ok := bomLink(id)
	return ok && ref != "" && ref == c.Ref && serial == serialOf(c.SBOMID)
}

// isSubject reports whether an identifier is the SBOM or what it is about.
func isSubject(id string, c *subjectItem) bool {
	if id == "" {
		return false
	}
	if serial, ref, ok := bomLink(id); ok {
		return ref == "" && serial == serialOf(c.SBOMID)
	}
	return id == c.Subject || id == c.SBOMID || covers(id, c.Subject)
}

// bomLink takes a BOM-Link apart.
func bomLink(id string) (serial, ref string, ok bool) {
	rest, ok := strings.CutPrefix(id, "urn:cdx:")
	if !ok {
		return "", "", false
	}
	rest, ref, _ = strings.Cut(rest, "#")
	serial, _, _ = strings.Cut(rest, "/")
	return strings.ToLower(serial), ref, serial != ""
}

func serialOf(sbomID string) string { return strings.ToLower(strings.TrimPrefix(sbomID, "urn:uuid:")) }

// covers reports whether a package URL is, or covers, another: the same type,
// namespace and name as the ecosystem spells them; the same version, unless the
// first has none; and every qualifier of the first in the second.
func covers(pattern, text string) bool {
	if pattern == "" || text == "" {
		return false
	}
	if pattern == text {
		return true
	}
	a, isA := purl.Split(pattern)
	b, isB := purl.Split(text)
	if !isA || !isB || a.Type != b.Type || a.Version != "" && a.Version != b.Version {
		return false
	}
	eco := ecosystemOf(a)
	if eco != ecosystemOf(b) || normalName(eco, a.PackageName()) != normalName(eco, b.PackageName()) {
		return false
	}
	if eco == "" && a.Namespace != b.Namespace {
		return false
	}
	for name, value := range a.Qualifiers {
		if b.Qualifiers[name] != value {
			return false
		}
	}
	return true
}

// ranks orders statuses of one time from the one that stands: who cannot know
// which of two came last must take the graver one.
var ranks = map[vex.Status]string{vex.Affected: "0", vex.UnderInvestigation: "1", vex.Fixed: "2", vex.NotAffected: "3"}

// precedence makes the texts that order statements about one finding: the later
// first, those without a time last; then by status, then by document digest.
func precedence(s *Statement) []string {
	rank, known := ranks[vex.Status(s.Status)]
	if !known {
		rank = "4"
	}
	return []string{descending(s.At), rank, s.Digest}
}

// descending writes a time so that later ones sort first, and none sorts last.
func descending(at string) string {
	normal := normalTime(at)
	if normal == "" {
		return "~"
	}
	flipped := []byte(normal)
	for i, c := range flipped {
		flipped[i] = 'z' - (c - '-') // '-' to 'Z' are what a time is written with
	}
	return string(flipped)
}

// normalTime gives a time in ledger.ModifiedLayout, "" for what is none.
func normalTime(at string) string {
	parsed, err := time.Parse(time.RFC3339Nano, at)
	if err != nil {
		return ""
	}
	return parsed.UTC().Format(ledger.ModifiedLayout)
}
