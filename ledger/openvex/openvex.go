// Package openvex reads OpenVEX documents (openvex.dev/ns, up to v0.2.0).
//
// What the ledger selects by is read strictly and named when it is wrong;
// everything else is the author's, and is kept as it came.
package openvex

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/ledger"
)

// Format is the name of this format, and of the source of documents that do
// not say where they come from.
const Format = "openvex"

const namespace = "https://openvex.dev/ns"

var format = ledger.Format{Name: Format, Title: "an OpenVEX document", Kind: ledger.KindVEX, Read: read}

// Parse understands one entry. The observation shares the entry's bytes.
func Parse(e ledger.Entry) (ledger.Observation, error) { return format.Understand(e) }

// Recognise reports whether an object looks like a document in this format.
func Recognise(doc ledger.Object) bool {
	context, _ := ledger.TextOf(doc.Field("@context"))
	return strings.HasPrefix(context, namespace) || doc.Has("@context") && doc.Has("statements")
}

func read(doc ledger.Object, o *ledger.Observation, found *ledger.Found) error {
	context, err := doc.RequireText("@context")
	if err != nil {
		return err
	}
	version, known := strings.CutPrefix(context, namespace)
	if !known || version != "" && version != "/" && !strings.HasPrefix(version, "/v0.") {
		return fmt.Errorf("@context %.80q is not %s or one of its versions 0.x", context, namespace)
	}
	if o.UpstreamID, _, err = doc.Text("@id"); err != nil {
		return err
	}
	if o.Modified, err = modified(doc); err != nil {
		return err
	}
	if raw := doc.Field("statements"); len(raw) == 0 || raw[0] != '[' {
		return fmt.Errorf("statements is missing or not a list")
	}
	return doc.Each("statements", func(s ledger.Object) error { return readStatement(s, found) })
}

// modified is last_updated, or else timestamp. Both are checked.
func modified(doc ledger.Object) (string, error) {
	first, err := doc.Time("timestamp")
	if err != nil {
		return "", err
	}
	last, err := doc.Time("last_updated")
	if err != nil || last == "" {
		return first, err
	}
	return last, nil
}

var statuses = []string{"not_affected", "affected", "fixed", "under_investigation"}

func readStatement(s ledger.Object, found *ledger.Found) error {
	status, err := s.RequireText("status")
	if err != nil {
		return err
	}
	if !slices.Contains(statuses, status) {
		return fmt.Errorf("%s %.40q is not one of %s", s.Name("status"), status, strings.Join(statuses, ", "))
	}
	for _, field := range []string{"timestamp", "last_updated"} {
		if _, err := s.Time(field); err != nil {
			return err
		}
	}
	if err := readVulnerability(s, found); err != nil {
		return err
	}
	return s.Values("products", func(i int, value []byte) error {
		return readProduct(fmt.Sprintf("%s[%d]", s.Name("products"), i), value, found, true)
	})
}

// readVulnerability reads what a statement is about: its name as a text (up to
// v0.0.1) or an object with other names.
func readVulnerability(s ledger.Object, found *ledger.Found) error {
	raw := s.Field("vulnerability")
	if name, ok := ledger.TextOf(raw); ok {
		return found.Alias(name)
	}
	vulnerability, there, err := s.Object("vulnerability")
	switch {
	case err != nil:
		return fmt.Errorf("%s is neither a name nor an object", s.Name("vulnerability"))
	case !there:
		return fmt.Errorf("%s is missing", s.Name("vulnerability"))
	}
	name, _, err := vulnerability.Text("name")
	if err != nil {
		return err
	}
	id, _, err := vulnerability.Text("@id")
	if err != nil {
		return err
	}
	if name == "" && id == "" {
		return fmt.Errorf("%s has neither name nor @id", vulnerability.Name(""))
	}
	if name == "" {
		name = id
	}
	aliases, err := vulnerability.Texts("aliases")
	if err != nil {
		return err
	}
	for _, alias := range append(aliases, name) {
		if err := found.Alias(alias); err != nil {
			return err
		}
	}
	return nil
}

// readProduct reads a product or subcomponent: its identifier as a text (up to
// v0.0.1) or an object. A package URL among the identifiers is preferred to @id.
func readProduct(path string, value []byte, found *ledger.Found, top bool) error {
	if id, ok := ledger.TextOf(value); ok {
		return found.Product(id)
	}
	p, err := ledger.ParseObject(path, bytes.TrimSpace(value))
	if err != nil {
		return fmt.Errorf("%s is neither an identifier nor an object", path)
	}
	id, _, err := p.Text("@id")
	if err != nil {
		return err
	}
	named := false
	identifiers, there, err := p.Object("identifiers")
	if err != nil {
		return err
	}
	if there {
		if named, err = found.Purl(identifiers, "purl"); err != nil {
			return err
		}
	}
	if !named || strings.HasPrefix(id, "pkg:") {
		if err := found.Product(id); err != nil {
			return err
		}
	}
	if !top {
		return nil
	}
	return p.Values("subcomponents", func(i int, value []byte) error {
		return readProduct(fmt.Sprintf("%s[%d]", p.Name("subcomponents"), i), value, found, false)
	})
}
