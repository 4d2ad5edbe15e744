package advisory

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/internal/cvss"
	"github.com/stella-ops/exportcenter/internal/jsonobject"
	"github.com/stella-ops/exportcenter/internal/notes"
)

// Formats are those that Read knows, in the ledger's words.
var Formats = []string{"csaf", "osv"}

// What is taken of one document.
const (
	maxAffected = 20_000
	maxParts    = 1_000_000 // versions, events and products in all
	maxRatings  = 100       // different severities of one thing
)

// Read makes sense of the canonical form of a document that the ledger took in
// as format. An error says that it is not such a document, and names the field.
func Read(format string, canonical []byte) (Advisory, error) {
	doc, err := jsonobject.Parse("", canonical)
	if err != nil {
		return Advisory{}, err
	}
	r := reader{}
	switch format {
	case "osv":
		err = r.osv(doc)
	case "csaf":
		err = r.csaf(doc)
	default:
		err = fmt.Errorf("no advisories are read from format %.40q, but from %s", format, strings.Join(Formats, ", "))
	}
	if err != nil {
		return Advisory{}, err
	}
	r.end()
	return r.found, nil
}

// reader gathers what one document says.
type reader struct {
	notes.List
	found Advisory
	parts int
}

// end brings sets into order.
func (r *reader) end() {
	r.found.Unread = r.Notes()
	a := &r.found
	a.Aliases = set(a.Aliases, a.ID)
	a.Upstream = set(a.Upstream, a.ID)
	a.CWEs = set(a.CWEs, "")
	for i := range a.Affected {
		a.Affected[i].Arches = set(a.Affected[i].Arches, "")
	}
}

// count takes so many parts of a document, or says that there are too many.
func (r *reader) count(parts int) error {
	if r.parts += parts; r.parts > maxParts {
		return fmt.Errorf("the document has too many versions, ranges and products, at most %d are taken", maxParts)
	}
	return nil
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

// texts gives the strings of a list; what is no list of strings is left out.
func (r *reader) texts(o jsonobject.Object, field string) []string {
	list, err := o.Texts(field)
	if err != nil {
		r.Leave("%s", err)
		return nil
	}
	return list
}

// text gives a string; what is none is left out.
func (r *reader) text(o jsonobject.Object, field string) string {
	value, _, err := o.Text(field)
	if err != nil {
		r.Leave("%s", err)
	}
	return value
}

// object gives an inner object; what is none is left out.
func (r *reader) object(o jsonobject.Object, field string) (jsonobject.Object, bool) {
	inner, there, err := o.Object(field)
	if err != nil {
		r.Leave("%s", err)
	}
	return inner, there
}

// each calls yield with every object of a list; what is none is left out.
func (r *reader) each(o jsonobject.Object, field string, yield func(jsonobject.Object)) {
	if err := o.Each(field, func(inner jsonobject.Object) error { yield(inner); return nil }); err != nil {
		r.Leave("%s", err)
	}
}

// time gives a time as RFC 3339 in UTC. The first moment of year one, which some
// sources write for "unknown", is none.
func (r *reader) time(o jsonobject.Object, field string) string {
	value := r.text(o, field)
	if value == "" {
		return ""
	}
	at, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		r.Leave("%s %.60q is not an RFC 3339 time", o.Name(field), value)
		return ""
	}
	if at = at.UTC(); at.IsZero() || at.Year() < 0 || at.Year() > 9999 {
		return ""
	}
	return at.Format(time.RFC3339Nano)
}

// references gives the URLs of a list of {url}, each once.
func (r *reader) references(o jsonobject.Object) []string {
	var urls []string
	seen := map[string]bool{}
	r.each(o, "references", func(ref jsonobject.Object) {
		if url := r.text(ref, "url"); url != "" && !seen[url] {
			seen[url] = true
			urls = append(urls, url)
		}
	})
	return urls
}

// vector gives a CVSS vector with its score; word is the publisher's own, "" for
// that of the score.
func vector(text, word string) (Severity, bool) {
	version, score, err := cvss.Score(text)
	if err != nil {
		return Severity{}, false
	}
	if word = cvss.Word(word); word == "" {
		word = cvss.Rate(version, score)
	}
	return Severity{Version: version, Vector: text, Score: score, Word: word}, true
}

// add appends a severity that is not there yet.
func (r *reader) add(list []Severity, s Severity) []Severity {
	switch {
	case slices.Contains(list, s):
		return list
	case len(list) == maxRatings:
		r.Leave("more than %d different severities", maxRatings)
		return list
	}
	return append(list, s)
}

// isCWE reports whether id has the form "CWE-79".
func isCWE(id string) bool {
	number, ok := strings.CutPrefix(id, "CWE-")
	return ok && number != "" && len(number) <= 10 && strings.Trim(number, "0123456789") == ""
}
