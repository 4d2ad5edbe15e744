// Package findings reads the findings of another policy engine, a format of our
// own (docs/formats/json-policy.md section 9).
package findings

import (
	"github.com/stella-ops/exportcenter/finding"
	"github.com/stella-ops/exportcenter/internal/purl"
	"github.com/stella-ops/exportcenter/ledger"
)

// Format is the name of this format, and of the source of documents that do
// not say where they come from.
const Format = "findings"

var format = ledger.Format{Name: Format, Title: "a list of findings", Kind: ledger.KindFinding, Read: read}

// Parse understands one entry. The observation shares the entry's bytes.
func Parse(e ledger.Entry) (ledger.Observation, error) { return format.Understand(e) }

// Recognise reports whether an object looks like a document in this format.
func Recognise(doc ledger.Object) bool {
	_, named, err := doc.Text("format")
	return err == nil && named && doc.Has("findings")
}

// read takes every component as a product, without its version, and every
// advisory as an alias.
func read(doc ledger.Object, o *ledger.Observation, found *ledger.Found) error {
	var err error
	if o.UpstreamID, _, err = doc.Text("id"); err != nil {
		return err
	}
	if o.Modified, err = doc.Time("modified"); err != nil {
		return err
	}
	list, err := finding.Read(o.Canonical)
	if err != nil {
		return err
	}
	for _, f := range list.Findings {
		if err := found.Product(purl.Bare(f.Component)); err != nil {
			return err
		}
	}
	return nil
}
