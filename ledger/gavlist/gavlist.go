// Package gavlist reads lists of Maven artifacts by the SHA-1 of their files, a
// format of our own (docs/formats/evidence.md).
package gavlist

import (
	"strings"

	"github.com/stella-ops/exportcenter/artifact"
	"github.com/stella-ops/exportcenter/internal/purl"
	"github.com/stella-ops/exportcenter/ledger"
)

// Format is the name of this format, and of the source of documents that do
// not say where they come from.
const Format = "gav-list"

var format = ledger.Format{Name: Format, Title: "a list of Maven artifacts", Kind: ledger.KindArtifact, Read: read}

// Parse understands one entry. The observation shares the entry's bytes.
func Parse(e ledger.Entry) (ledger.Observation, error) { return format.Understand(e) }

// Recognise reports whether an object looks like a document in this format.
func Recognise(doc ledger.Object) bool {
	name, _ := ledger.TextOf(doc.Field("format"))
	return strings.HasPrefix(name, family)
}

// family begins the names of this format's versions.
const family = "stellaops.gav-list/"

// read takes every artifact as a product, without its version: what a list is
// looked for by is what it tells the versions of.
func read(doc ledger.Object, o *ledger.Observation, found *ledger.Found) error {
	var err error
	if o.UpstreamID, _, err = doc.Text("id"); err != nil {
		return err
	}
	if o.Modified, err = doc.Time("modified"); err != nil {
		return err
	}
	return artifact.Each(doc, func(a artifact.Artifact) error {
		return found.Product(purl.Derive("Maven", a.GroupID+":"+a.ArtifactID))
	})
}
