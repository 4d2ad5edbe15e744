// Package detect tells evidence formats apart by content: one look at the
// top-level fields of a document decides who reads it.
package detect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/ledger"
)

// Format is an evidence format as it is recognised and read.
type Format struct {
	Name string
	// Recognise looks at the fields of a document that may not be valid JSON
	// further down. The first format that claims a document gets it.
	Recognise func(ledger.Object) bool
	Parse     func(ledger.Entry) (ledger.Observation, error)
}

// Reader gives the Parse of whatever of formats a document is in. What is in
// none of them is refused with the reason one would expect.
func Reader(formats ...Format) func(ledger.Entry) (ledger.Observation, error) {
	names := make([]string, len(formats))
	for i, f := range formats {
		names[i] = f.Name
	}
	known := strings.Join(names, ", ")
	return func(e ledger.Entry) (ledger.Observation, error) {
		if len(e.Bytes) > ledger.MaxDocument {
			return ledger.Observation{}, fmt.Errorf("the document has %d bytes, at most %d are taken", len(e.Bytes), ledger.MaxDocument)
		}
		doc, err := e.Open()
		if err != nil { // the fields before what is wrong may still tell what it would be
			doc, err = ledger.ParseObject("", e.Bytes)
		}
		if err != nil {
			return ledger.Observation{}, notAnObject(e.Bytes, err)
		}
		for _, f := range formats {
			if f.Recognise(doc) {
				return f.Parse(e)
			}
		}
		return ledger.Observation{}, unknown(e.Bytes, doc, known)
	}
}

// others are files that lie beside evidence, by the fields they have.
var others = []struct {
	fields []string
	what   string
}{
	{[]string{"ID", "Sources"}, "a VEX hub manifest, not evidence"},
	{[]string{"updated_at", "packages"}, "a VEX repository index, not evidence"},
	{[]string{"name", "description", "versions"}, "a VEX repository description, not evidence"},
	{[]string{"payloadType", "payload", "signatures"}, "a DSSE envelope, not evidence itself; import the document in it"},
	{[]string{"_type", "predicateType"}, "an in-toto statement, which is not supported; import the document in it"},
	{[]string{"mediaType", "verificationMaterial"}, "a Sigstore bundle, not evidence"},
}

func unknown(raw []byte, doc ledger.Object, known string) error {
	if _, err := bundle.Canonical(raw); err != nil {
		return fmt.Errorf("not a JSON document: %w", err)
	}
	for _, other := range others {
		if !slices.ContainsFunc(other.fields, func(f string) bool { return !doc.Has(f) }) {
			return fmt.Errorf("%s", other.what)
		}
	}
	keys := doc.Keys()
	if len(keys) == 0 {
		return fmt.Errorf("an empty object, not evidence")
	}
	more := ""
	if len(keys) > maxShown {
		keys, more = keys[:maxShown], ", ..."
	}
	for i, key := range keys {
		keys[i] = fmt.Sprintf("%.40q", key)
	}
	return fmt.Errorf("in no known evidence format (%s): its fields are %s%s", known, strings.Join(keys, ", "), more)
}

// maxShown bounds the fields that a message names.
const maxShown = 5
