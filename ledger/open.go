package ledger

import (
	"bytes"
	"fmt"

	"github.com/stella-ops/exportcenter/bundle"
)

// opened is what one look at a document found: who recognises it and who reads
// it need not look twice.
type opened struct {
	raw, canonical []byte
	doc            Object // of the canonical form
	notObject      error  // why there is no doc
}

// Open looks at the entry's document and remembers what it found. Its error
// says why the document is not a JSON object.
func (e *Entry) Open() (Object, error) {
	opened, err := e.open()
	if err != nil {
		return Object{}, err
	}
	return opened.doc, opened.notObject
}

func (e *Entry) open() (*opened, error) {
	if o := e.opened; o != nil && len(o.raw) == len(e.Bytes) && len(o.raw) > 0 && &o.raw[0] == &e.Bytes[0] {
		return o, nil
	}
	canonical, err := bundle.Canonical(e.Bytes)
	if err != nil {
		return nil, fmt.Errorf("not a JSON document: %w", err)
	}
	if bytes.Equal(canonical, e.Bytes) {
		canonical = e.Bytes // held once
	}
	o := &opened{raw: e.Bytes, canonical: canonical}
	o.doc, o.notObject = ParseObject("", canonical)
	e.opened = o
	return o, nil
}
