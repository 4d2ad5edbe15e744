package ledger

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
)

// DefaultStream is the stream of documents that belong to no collection.
const DefaultStream = "default"

// Format is how documents of one evidence format are read.
type Format struct {
	Name  string // "osv", also the source of documents that name none
	Title string // "an OSV document", for messages
	Kind  Kind
	// Read fills in what the observation is selected by. Without an upstream id
	// the document is known by the SHA-256 of its bytes (CONTRACT ruling 1).
	Read func(doc Object, o *Observation, found *Found) error
}

// Understand makes an observation of an entry. It shares the entry's bytes;
// the canonical form is made once and everything else is read from it.
func (f Format) Understand(e Entry) (Observation, error) {
	none := Observation{}
	if len(e.Bytes) > MaxDocument {
		return none, fmt.Errorf("the document has %d bytes, at most %d are taken", len(e.Bytes), MaxDocument)
	}
	opened, err := e.open()
	if err != nil {
		return none, err
	}
	o := Observation{
		Kind: f.Kind, Format: f.Name, Source: e.Source, Stream: e.Stream,
		Digest: bundle.DigestOf(e.Bytes), Raw: e.Bytes, Canonical: opened.canonical,
	}
	if o.Source == "" {
		o.Source = f.Name
	}
	if o.Stream == "" {
		o.Stream = DefaultStream
	}
	if err := f.read(opened, &o); err != nil {
		return none, fmt.Errorf("not %s: %w", f.Title, err)
	}
	if o.UpstreamID == "" {
		o.UpstreamID = o.Digest.Hex()
	}
	if err := o.check(); err != nil {
		return none, err
	}
	return o, nil
}

func (f Format) read(opened *opened, o *Observation) error {
	if opened.notObject != nil {
		return opened.notObject
	}
	var found Found
	if err := f.Read(opened.doc, o, &found); err != nil {
		return err
	}
	o.Products, o.Ecosystems, o.Aliases = found.products.sorted(), found.ecosystems.sorted(), found.aliases.sorted()
	o.Severities = found.severities.sorted()
	o.Subject = SubjectOf(o.Products)
	return nil
}

// Found collects what a document can be selected by.
type Found struct {
	products, ecosystems, aliases terms
	severities                    severities
}

// Product adds a product; "" adds nothing. Of a package URL it adds the
// ecosystem too.
func (f *Found) Product(product string) error {
	return f.Named(product, EcosystemOf(product))
}

// Named adds a product whose ecosystem the document gives.
func (f *Found) Named(product, ecosystem string) error {
	if err := f.ecosystems.add("ecosystem", ecosystem); err != nil {
		return err
	}
	return f.products.add("product", product)
}

// Purl adds a field that holds a package URL; absent and "" add nothing. It
// tells whether there was one.
func (f *Found) Purl(o Object, field string) (bool, error) {
	value, _, err := o.Text(field)
	if err != nil || value == "" {
		return false, err
	}
	if !strings.HasPrefix(value, purlScheme) {
		return false, fmt.Errorf("%s %.80q is not a package URL", o.Name(field), value)
	}
	return true, f.Product(value)
}

// Alias adds another name of what the document speaks of; "" adds nothing.
func (f *Found) Alias(alias string) error { return f.aliases.add("alias", alias) }

// Empty reports whether no product was found.
func (f *Found) Empty() bool { return len(f.products.list) == 0 }

// terms is a set of bounded size, in the order of arrival.
type terms struct {
	list  []string
	known map[string]struct{} // nil while the list is short enough to look through
}

// fewTerms is what a list is looked through for; most documents have no more.
const fewTerms = 8

func (t *terms) add(name, term string) error {
	if term == "" || t.has(term) {
		return nil
	}
	if len(t.list) == MaxTerms {
		return fmt.Errorf("more than %d different values of %s", MaxTerms, name)
	}
	t.list = append(t.list, term)
	switch {
	case t.known != nil:
		t.known[term] = struct{}{}
	case len(t.list) > fewTerms:
		t.known = make(map[string]struct{}, 4*fewTerms)
		for _, term := range t.list {
			t.known[term] = struct{}{}
		}
	}
	return nil
}

func (t *terms) has(term string) bool {
	if t.known == nil {
		return slices.Contains(t.list, term)
	}
	_, known := t.known[term]
	return known
}

func (t *terms) sorted() []string {
	slices.Sort(t.list)
	return t.list
}

// SubjectOf is the lexically first package URL, or else the first product
// (CONTRACT ruling 6). products is sorted.
func SubjectOf(products []string) string {
	for _, p := range products {
		if strings.HasPrefix(p, purlScheme) {
			return p
		}
	}
	if len(products) > 0 {
		return products[0]
	}
	return ""
}
