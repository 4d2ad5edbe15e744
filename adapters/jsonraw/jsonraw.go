// Package jsonraw is the adapter of profile json:raw: one canonical JSON line
// per document, an envelope of what the ledger knows around the evidence
// itself. docs/formats/json-raw.md describes the line for other readers.
//
// The evidence sits in content.raw in its canonical form (RFC 8785). Nothing
// in it is changed, added or left out; original.digest names the bytes that
// were imported. The envelope holds no sequence, import time or revision
// counter, so the order of arrival leaves no trace.
package jsonraw

import (
	"fmt"
	"sync"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/ledger"
)

// Version of the line format.
const Version = "1"

// Adapter packs json:raw.
type Adapter struct{}

// Profile is json:raw.
func (Adapter) Profile() (kind, variant string) { return "json", "raw" }

// Version of the line format.
func (Adapter) Version() string { return Version }

var (
	open  = []byte(`{"content":{"raw":`)
	close = []byte(`},`)
)

// envelopes holds idle buffers; keepEnvelope bounds what one may hold on to.
var envelopes = sync.Pool{New: func() any { return new(envelope) }}

const keepEnvelope = 256 << 10

// Write writes doc as one line.
func (Adapter) Write(w adapters.LineWriter, doc ledger.Line) error {
	e := envelopes.Get().(*envelope)
	defer e.release()
	e.write(doc)
	if e.err != nil {
		return fmt.Errorf("envelope of %s %s: %w", doc.Kind, doc.UpstreamID, e.err)
	}
	return w.WriteLine(open, doc.Canonical, close, e.text)
}
