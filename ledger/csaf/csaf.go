// Package csaf reads advisories and VEX documents in the Common Security
// Advisory Framework, version 2.0 (OASIS).
//
// A document of category csaf_vex is VEX; every other category is an advisory.
package csaf

import (
	"fmt"

	"github.com/stella-ops/exportcenter/ledger"
)

// Format is the name of this format, and of the source of documents that do
// not say where they come from.
const Format = "csaf"

var format = ledger.Format{Name: Format, Title: "a CSAF document", Kind: ledger.KindAdvisory, Read: read}

// Parse understands one entry. The observation shares the entry's bytes.
func Parse(e ledger.Entry) (ledger.Observation, error) { return format.Understand(e) }

// Recognise reports whether an object looks like a document in this format.
func Recognise(doc ledger.Object) bool {
	header, found, err := doc.Object("document")
	return err == nil && found && (header.Has("csaf_version") || header.Has("tracking"))
}

func read(doc ledger.Object, o *ledger.Observation, found *ledger.Found) error {
	header, err := doc.RequireObject("document")
	if err != nil {
		return err
	}
	version, err := header.RequireText("csaf_version")
	if err != nil {
		return err
	}
	if version != "2.0" {
		return fmt.Errorf("%s %.40q is not 2.0", header.Name("csaf_version"), version)
	}
	category, err := header.RequireText("category")
	if err != nil {
		return err
	}
	if category == "csaf_vex" {
		o.Kind = ledger.KindVEX
	}
	if err := identify(header, o, found); err != nil {
		return err
	}
	if err := readProductTree(doc, found); err != nil {
		return err
	}
	readAggregate(header, found)
	return doc.Each("vulnerabilities", func(v ledger.Object) error { return readVulnerability(v, found) })
}

// identify makes the upstream id of the publisher's namespace and the tracking
// id: the standard makes a document unique by both. The tracking id alone is
// an alias, so that the document is found by it.
func identify(header ledger.Object, o *ledger.Observation, found *ledger.Found) error {
	publisher, err := header.RequireObject("publisher")
	if err != nil {
		return err
	}
	namespace, err := publisher.RequireText("namespace")
	if err != nil {
		return err
	}
	tracking, err := header.RequireObject("tracking")
	if err != nil {
		return err
	}
	id, err := tracking.RequireText("id")
	if err != nil {
		return err
	}
	if _, err := tracking.RequireText("current_release_date"); err != nil {
		return err
	}
	if o.Modified, err = tracking.Time("current_release_date"); err != nil {
		return err
	}
	o.UpstreamID = namespace + "#" + id
	return found.Alias(id)
}

func readVulnerability(v ledger.Object, found *ledger.Found) error {
	readSeverity(v, found)
	cve, _, err := v.Text("cve")
	if err != nil {
		return err
	}
	if err := found.Alias(cve); err != nil {
		return err
	}
	return v.Each("ids", func(id ledger.Object) error {
		text, err := id.RequireText("text")
		if err != nil {
			return err
		}
		return found.Alias(text)
	})
}
