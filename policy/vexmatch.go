package policy

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/internal/purl"
	"github.com/stella-ops/exportcenter/ledger"
	"github.com/stella-ops/exportcenter/vex"
)

// applies reports whether a statement is about a candidate of the same
// vulnerability. It is, when it is evidence of the same tenant as the SBOM, and a
// product of it is
//
//   - the component, and the statement names no subcomponents or one that is the
//     component too, or
//   - the subject of the SBOM, or the SBOM itself, and the statement names no
//     subcomponents (so it speaks of all that is in the subject), or one that is
//     the component.
func applies(s *statementItem, c *subjectItem) bool {
	if s.Document.Directory != c.Directory {
		return false
	}
	for _, product := range s.Statement.Products {
		if !isComponent(product, s, c) && !isSubject(product, s, c) {
			continue
		}
		if len(s.Statement.Subcomponents) == 0 || slices.ContainsFunc(s.Statement.Subcomponents, func(sub string) bool { return isComponent(sub, s, c) }) {
			return true
		}
	}
	return false
}

// isComponent reports whether an identifier is the component: its package URL,
// one that covers it, or a reference into its SBOM that is its own.
func isComponent(id string, s *statementItem, c *subjectItem) bool {
	if ref, into := reference(id, s, c); into {
		return ref != "" && (ref == c.Ref || isVersioned(ref) && covers(ref, c.Purl))
	}
	return covers(id, c.Purl)
}

// isSubject reports whether an identifier is the SBOM or what it is about. The
// name of a product is no identifier: others call theirs so too.
func isSubject(id string, s *statementItem, c *subjectItem) bool {
	if id == "" {
		return false
	}
	if ref, into := reference(id, s, c); into {
		return ref == "" || ref == c.Main || isVersioned(ref) && covers(ref, c.Subject)
	}
	return id == c.SBOMID || covers(id, c.Subject)
}

// reference takes a reference into the candidate's SBOM apart: that of a
// CycloneDX document to its own components (vex.Local), or
// "urn:cdx:<serial number>/<version>#<bom-ref>" (CycloneDX, "BOM-Link"), with ""
// for the document as a whole. into is false for what leads elsewhere.
func reference(id string, s *statementItem, c *subjectItem) (ref string, into bool) {
	if ref, local := strings.CutPrefix(id, vex.Local); local {
		return ref, ref != "" && s.Document.Digest == c.Digest
	}
	link, ok := strings.CutPrefix(id, "urn:cdx:")
	if !ok || c.SBOMVersion == "" {
		return "", false
	}
	link, ref, _ = strings.Cut(link, "#")
	serial, version, _ := strings.Cut(link, "/")
	if serial == "" || strings.ToLower(serial) != serialOf(c.SBOMID) || version != c.SBOMVersion {
		return "", false
	}
	if plain, err := url.PathUnescape(ref); err == nil && ref != c.Ref {
		ref = plain
	}
	return ref, true
}

// isVersioned reports whether a reference is a package URL that names one
// version: without, it might be several components.
func isVersioned(ref string) bool {
	p, ok := purl.Split(ref)
	return ok && p.Version != ""
}

func serialOf(sbomID string) string { return strings.ToLower(strings.TrimPrefix(sbomID, "urn:uuid:")) }

// covers reports whether a package URL is, or covers, another: the same type,
// namespace and name as the ecosystem spells them; the same version, unless the
// first has none; and every qualifier of the first in the second.
func covers(pattern, text string) bool {
	if !strings.HasPrefix(pattern, purl.Scheme) || text == "" {
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
