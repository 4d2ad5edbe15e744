// Package osv reads advisories in the Open Source Vulnerability format (OSV
// schema 1.x, ossf.github.io/osv-schema).
//
// What the ledger selects by is read strictly: a document whose id, times,
// packages, ranges or aliases do not follow the schema is refused with the
// field's name. Everything else is the author's, and is kept as it came.
package osv

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
)

// Format is the name of this format, and of the source of documents that do
// not say where they come from.
const Format = "osv"

// DefaultStream is the stream of documents that belong to no collection.
const DefaultStream = "default"

// Parse understands one entry. The observation shares the entry's bytes.
func Parse(e ledger.Entry) (ledger.Observation, error) {
	none := ledger.Observation{}
	if len(e.Bytes) > ledger.MaxDocument {
		return none, fmt.Errorf("the document has %d bytes, at most %d are taken", len(e.Bytes), ledger.MaxDocument)
	}
	canonical, err := bundle.Canonical(e.Bytes)
	if err != nil {
		return none, fmt.Errorf("not a JSON document: %w", err)
	}
	o := ledger.Observation{
		Kind: ledger.KindAdvisory, Format: Format,
		Source: orDefault(e.Source, Format), Stream: orDefault(e.Stream, DefaultStream),
		Digest: bundle.DigestOf(e.Bytes), Raw: e.Bytes, Canonical: canonical,
	}
	if err := read(canonical, &o); err != nil {
		return none, fmt.Errorf("not an OSV document: %w", err)
	}
	if err := o.Validate(); err != nil {
		return none, err
	}
	return o, nil
}

func orDefault(name, fallback string) string {
	if name == "" {
		return fallback
	}
	return name
}

// read fills in what o is selected by.
func read(canonical []byte, o *ledger.Observation) error {
	doc, err := parseObject("", canonical)
	if err != nil {
		return err
	}
	if o.UpstreamID, err = doc.requireText("id"); err != nil {
		return err
	}
	modified, err := doc.requireText("modified")
	if err != nil {
		return err
	}
	if o.Modified, err = normalTime("modified", modified); err != nil {
		return err
	}
	if err := checkHeader(doc); err != nil {
		return err
	}
	aliases, err := doc.texts("aliases")
	if err != nil {
		return err
	}
	o.Aliases = sortedSet(aliases)
	packages, err := readAffected(doc)
	if err != nil {
		return err
	}
	for _, p := range packages {
		o.Ecosystems = append(o.Ecosystems, p.ecosystem)
		o.Products = append(o.Products, p.product())
	}
	o.Ecosystems, o.Products = sortedSet(o.Ecosystems), sortedSet(o.Products)
	o.Subject = subject(o.Products)
	return nil
}

// checkHeader checks the remaining fields that say what the document is.
func checkHeader(doc object) error {
	version, found, err := doc.text("schema_version")
	if err != nil {
		return err
	}
	if found && !strings.HasPrefix(version, "1.") {
		return fmt.Errorf("schema_version %.40q is not one of 1.x", version)
	}
	for _, field := range []string{"published", "withdrawn"} {
		value, found, err := doc.text(field)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		if _, err := normalTime(field, value); err != nil {
			return err
		}
	}
	return nil
}

// normalTime brings an RFC 3339 time into the ledger's one form.
func normalTime(field, value string) (string, error) {
	t, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		return "", fmt.Errorf("%s %.60q is not an RFC 3339 time", field, value)
	}
	utc := t.UTC()
	if utc.Year() < 0 || utc.Year() > 9999 {
		return "", fmt.Errorf("%s %.60q is outside the years 0000 to 9999", field, value)
	}
	return utc.Format(ledger.ModifiedLayout), nil
}

// subject is the lexically first package URL, or else the first product
// (CONTRACT ruling 6). products is sorted.
func subject(products []string) string {
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

func sortedSet(values []string) []string {
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	return slices.Compact(values)
}
