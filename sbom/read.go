package sbom

import (
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/stella-ops/exportcenter/internal/jsonobject"
	"github.com/stella-ops/exportcenter/internal/notes"
	"github.com/stella-ops/exportcenter/internal/purl"
)

// Formats are those that Read knows, in the ledger's words.
var Formats = []string{"cyclonedx", "spdx"}

// What is taken of one document.
const (
	maxParts = 1_000_000 // components, hashes and references in all
)

// Read makes sense of the canonical form of a document that the ledger took in
// as format. An error says that it is not such a document, and names the field.
func Read(format string, canonical []byte) (Inventory, error) {
	doc, err := jsonobject.Parse("", canonical)
	if err != nil {
		return Inventory{}, err
	}
	r := reader{}
	switch {
	case format == "cyclonedx":
		err = r.cyclonedx(doc)
	case format == "spdx" && doc.Has("spdxVersion"):
		err = r.spdx(doc)
	case format == "spdx":
		err = r.graph(doc)
	default:
		err = fmt.Errorf("no bills of materials are read from format %.40q, but from %s", format, strings.Join(Formats, ", "))
	}
	if err != nil {
		return Inventory{}, err
	}
	r.found.Unread = r.Notes()
	return r.found, nil
}

// reader gathers what one document holds.
type reader struct {
	notes.List
	found Inventory
	parts int
}

// count takes so many parts of a document, or says that there are too many.
func (r *reader) count(parts int) error {
	if r.parts += parts; r.parts > maxParts {
		return fmt.Errorf("the document has too many components, at most %d are taken with their hashes", maxParts)
	}
	return nil
}

// text gives a string; what is none is left out.
func (r *reader) text(o jsonobject.Object, field string) string {
	value, _, err := o.Text(field)
	if err != nil {
		r.Leave("%s", err)
	}
	return value
}

// purl gives a package URL; what is none is left out.
func (r *reader) purl(o jsonobject.Object, field string) string {
	value := r.text(o, field)
	if value != "" && !strings.HasPrefix(value, purl.Scheme) {
		r.Leave("%s %.80q is not a package URL", o.Name(field), value)
		return ""
	}
	return value
}

// hashes reads a list of hashes by the names of their two fields; of two by one
// algorithm the first stands.
func (r *reader) hashes(o jsonobject.Object, list, algorithm, value string) (map[string]string, error) {
	var found map[string]string
	err := o.Values(list, func(i int, raw []byte) error {
		name := fmt.Sprintf("%s[%d]", o.Name(list), i)
		h, err := jsonobject.Parse(name, raw)
		if err != nil { // SPDX 3.0 may refer to an element of its own
			r.Leave("%s", err)
			return r.count(1)
		}
		kind, digest := algorithmOf(r.text(h, algorithm)), strings.ToLower(r.text(h, value))
		if _, err := hex.DecodeString(digest); err != nil || kind == "" || digest == "" {
			r.Leave("%s is not a hash in hexadecimal", name)
			return r.count(1)
		}
		if found == nil {
			found = map[string]string{}
		}
		if found[kind] == "" {
			found[kind] = digest
		}
		return r.count(1)
	})
	return found, err
}

// algorithmOf makes one spelling of those of CycloneDX ("SHA-256", "SHA3-256"),
// SPDX 2 ("SHA256", "BLAKE2b-256") and SPDX 3 ("sha256", "sha3_256"): "sha256",
// "sha3-256", "blake2b-256".
func algorithmOf(name string) string {
	name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	if number, ok := strings.CutPrefix(name, "sha-"); ok {
		return "sha" + number
	}
	return name
}

// add adds a component, with the source package that its package URL names where
// nothing else did: upstream=name or upstream=name@version (Syft; purl-spec has
// none for Debian and Alpine). That of an RPM is the name of a file.
func (r *reader) add(c Component) error {
	if parts, ok := purl.Split(c.Purl); ok && c.SourceName == "" && (parts.Type == "deb" || parts.Type == "apk") {
		c.SourceName, c.SourceVersion, _ = strings.Cut(parts.Qualifiers["upstream"], "@")
	}
	r.found.Components = append(r.found.Components, c)
	return r.count(1)
}

// first is the first of several words that is there.
func first(words ...string) string {
	for _, w := range words {
		if w != "" {
			return w
		}
	}
	return ""
}
