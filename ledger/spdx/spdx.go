// Package spdx reads SPDX documents in JSON: 2.2, 2.3, and 3.0 (JSON-LD).
package spdx

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/stella-ops/exportcenter/ledger"
)

// Format is the name of this format, and of the source of documents that do
// not say where they come from.
const Format = "spdx"

var format = ledger.Format{Name: Format, Title: "an SPDX document", Kind: ledger.KindSBOM, Read: read}

// Parse understands one entry. The observation shares the entry's bytes.
func Parse(e ledger.Entry) (ledger.Observation, error) { return format.Understand(e) }

// Recognise reports whether an object looks like a document in this format.
func Recognise(doc ledger.Object) bool {
	if doc.Has("spdxVersion") || doc.Has("SPDXID") {
		return true
	}
	return strings.Contains(string(context(doc)), contextStart)
}

func read(doc ledger.Object, o *ledger.Observation, found *ledger.Found) error {
	if doc.Has("@context") && !doc.Has("spdxVersion") {
		return readGraph(doc, o, found)
	}
	version, err := doc.RequireText("spdxVersion")
	if err != nil {
		return err
	}
	if version != "SPDX-2.2" && version != "SPDX-2.3" {
		return fmt.Errorf("spdxVersion %.40q is neither SPDX-2.2 nor SPDX-2.3", version)
	}
	name, err := doc.RequireText("name")
	if err != nil {
		return err
	}
	if o.UpstreamID, _, err = doc.Text("documentNamespace"); err != nil {
		return err
	}
	info, there, err := doc.Object("creationInfo")
	if err != nil {
		return err
	}
	if !there {
		return fmt.Errorf("creationInfo is missing")
	}
	if _, err := info.RequireText("created"); err != nil {
		return err
	}
	if o.Modified, err = info.Time("created"); err != nil {
		return err
	}
	if err := doc.Each("packages", func(p ledger.Object) error { return readPackage(p, found) }); err != nil {
		return err
	}
	if found.Empty() {
		return found.Product(name)
	}
	return nil
}

func readPackage(p ledger.Object, found *ledger.Found) error {
	if _, there, err := p.Text("name"); err != nil || !there { // empty is what some tools write
		return cmp.Or(err, fmt.Errorf("%s is missing", p.Name("name")))
	}
	return p.Each("externalRefs", func(r ledger.Object) error {
		kind, err := r.RequireText("referenceType")
		if err != nil || kind != "purl" {
			return err
		}
		_, err = found.Purl(r, "referenceLocator")
		return err
	})
}
