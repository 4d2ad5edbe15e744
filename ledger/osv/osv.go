// Package osv reads advisories in the Open Source Vulnerability format (OSV
// schema 1.x, ossf.github.io/osv-schema).
//
// What the ledger selects by is read strictly: a document whose id, times,
// packages, ranges or aliases do not follow the schema is refused with the
// field's name. Everything else is the author's, and is kept as it came.
package osv

import (
	"fmt"
	"strings"

	"github.com/stella-ops/exportcenter/ledger"
)

// Format is the name of this format, and of the source of documents that do
// not say where they come from.
const Format = "osv"

// DefaultStream is the stream of documents that belong to no collection.
const DefaultStream = ledger.DefaultStream

// Parse understands one entry. The observation shares the entry's bytes.
func Parse(e ledger.Entry) (ledger.Observation, error) { return format.Understand(e) }

var format = ledger.Format{Name: Format, Title: "an OSV document", Kind: ledger.KindAdvisory, Read: read}

// Recognise reports whether an object looks like an advisory in this format.
func Recognise(doc ledger.Object) bool {
	return doc.Has("id") && (doc.Has("modified") || doc.Has("affected") || doc.Has("schema_version"))
}

// read fills in what o is selected by.
func read(doc ledger.Object, o *ledger.Observation, found *ledger.Found) error {
	var err error
	if o.UpstreamID, err = doc.RequireText("id"); err != nil {
		return err
	}
	modified, err := doc.RequireText("modified")
	if err != nil {
		return err
	}
	if o.Modified, err = ledger.NormalTime("modified", modified); err != nil {
		return err
	}
	if err := checkHeader(doc); err != nil {
		return err
	}
	aliases, err := doc.Texts("aliases")
	if err != nil {
		return err
	}
	for _, alias := range aliases {
		if err := found.Alias(alias); err != nil {
			return err
		}
	}
	readSeverity(doc, found)
	return readAffected(doc, found)
}

// checkHeader checks the remaining fields that say what the document is.
func checkHeader(doc ledger.Object) error {
	version, found, err := doc.Text("schema_version")
	if err != nil {
		return err
	}
	if found && !strings.HasPrefix(version, "1.") {
		return fmt.Errorf("schema_version %.40q is not one of 1.x", version)
	}
	for _, field := range []string{"published", "withdrawn"} {
		value, found, err := doc.Text(field)
		if err != nil {
			return err
		}
		if !found {
			continue
		}
		if _, err := ledger.NormalTime(field, value); err != nil {
			return err
		}
	}
	return nil
}
