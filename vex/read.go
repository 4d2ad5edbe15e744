package vex

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/internal/jsonobject"
	"github.com/stella-ops/exportcenter/internal/notes"
)

// Formats are those that Read knows, in the ledger's words.
var Formats = []string{"csaf", "cyclonedx", "openvex"}

// Document is one document, read.
type Document struct {
	ID string // as the document gives it, "" without one
	// Statements are in the document's order.
	Statements []Statement
	// Unread names what is left out, in words for a person.
	Unread []string
}

// What is taken of one document.
const (
	maxParts = 1_000_000 // products and subcomponents in all
)

// Read makes sense of the canonical form of a document that the ledger took in
// as format. An error says that it is not such a document, and names the field.
// A document without statements, such as an SBOM of CycloneDX, has none.
func Read(format string, canonical []byte) (Document, error) {
	doc, err := jsonobject.Parse("", canonical)
	if err != nil {
		return Document{}, err
	}
	r := reader{}
	switch format {
	case "openvex":
		err = r.openvex(doc)
	case "csaf":
		err = r.csaf(doc)
	case "cyclonedx":
		err = r.cyclonedx(doc)
	default:
		err = fmt.Errorf("no VEX statements are read from format %.40q, but from %s", format, strings.Join(Formats, ", "))
	}
	if err != nil {
		return Document{}, err
	}
	r.found.Unread = r.Notes()
	return r.found, nil
}

// reader gathers what one document states.
type reader struct {
	notes.List
	found Document
	parts int
}

// count takes so many parts of a document, or says that there are too many.
func (r *reader) count(parts int) error {
	if r.parts += parts; r.parts > maxParts {
		return fmt.Errorf("the document has too many products, at most %d are taken", maxParts)
	}
	return nil
}

// state adds a statement, with its sets in order.
func (r *reader) state(s Statement) {
	s.Aliases = set(s.Aliases, s.Vulnerability)
	s.Products, s.Subcomponents = set(s.Products, ""), set(s.Subcomponents, "")
	r.found.Statements = append(r.found.Statements, s)
}

// set is a sorted list of different words without one of them; nil when empty.
func set(words []string, without string) []string {
	words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "" || w == without })
	if len(words) == 0 {
		return nil
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// text gives a string; what is none is left out.
func (r *reader) text(o jsonobject.Object, field string) string {
	value, _, err := o.Text(field)
	if err != nil {
		r.Leave("%s", err)
	}
	return value
}

// firstTime gives the first of several times that is there, in
// jsonobject.TimeLayout, which sorts as text.
func firstTime(times ...timeField) (string, error) {
	for _, t := range times {
		if at, err := t.object.Time(t.field); at != "" || err != nil {
			return at, err
		}
	}
	return "", nil
}

type timeField struct {
	object jsonobject.Object
	field  string
}
