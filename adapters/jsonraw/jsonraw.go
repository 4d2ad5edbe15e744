// Package jsonraw is the adapter of profile json:raw: one canonical JSON line
// per document, an envelope of what the ledger knows around the evidence
// itself. docs/formats/json-raw.md describes the line for other readers.
//
// The evidence sits in content.raw in its canonical form (RFC 8785). Nothing
// in it is changed, added or left out; original.digest names the bytes that
// were imported. The envelope holds no sequence, import time or revision
// counter, so the order of arrival leaves no trace.
//
// Under a redaction content.raw holds what the run's allow-list names, the line
// says so, and original.digest still names the bytes that were imported.
package jsonraw

import (
	"fmt"
	"sync"

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/export"
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

// Packer packs the documents of a run.
func (Adapter) Packer(options export.Options) (adapters.Packer, error) {
	if options.Redaction == nil {
		return packer{}, nil
	}
	if err := options.Redaction.Validate(); err != nil {
		return nil, err
	}
	p := packer{redaction: options.Redaction, allowed: map[ledger.Kind]*keep{}}
	for kind, paths := range options.Redaction.Allow {
		tree, err := allowed(paths)
		if err != nil {
			return nil, err
		}
		p.allowed[ledger.Kind(kind)] = tree
	}
	return p, nil
}

// packer packs under a redaction, or, as its zero value, without one.
type packer struct {
	redaction *export.Redaction
	allowed   map[ledger.Kind]*keep
}

var (
	open  = []byte(adapters.RawStart)
	close = []byte(`},`)
)

// envelopes holds idle buffers; keepEnvelope bounds what one may hold on to.
var envelopes = sync.Pool{New: func() any { return new(envelope) }}

const keepEnvelope = 256 << 10

// Write writes doc as one line.
func (p packer) Write(w adapters.LineWriter, doc ledger.Line) (adapters.Written, error) {
	e := envelopes.Get().(*envelope)
	defer e.release()
	raw, written := doc.Canonical, adapters.Written{}
	if p.redaction != nil {
		var err error
		if raw, written, err = p.redact(e, &doc); err != nil {
			return written, err
		}
	}
	e.write(doc)
	if e.err != nil {
		return written, fmt.Errorf("envelope of %s %s: %w", doc.Kind, doc.UpstreamID, e.err)
	}
	return written, w.WriteLine(open, raw, close, e.text)
}

// redact gives what is allowed of doc's evidence, and takes from the envelope's
// lists what is not.
func (p packer) redact(e *envelope, doc *ledger.Line) ([]byte, adapters.Written, error) {
	tree, named := p.allowed[doc.Kind]
	if !named {
		err := export.Errorf(export.CodeValidation, "redaction %s says nothing about kind %s: name its fields in options.redaction.allow.%[2]s, or [%q] for all of them, or select other kinds",
			p.redaction.PolicyID, doc.Kind, export.KeepAll)
		err.Field = "options.redaction.allow"
		return nil, adapters.Written{}, err
	}
	raw, written := doc.Canonical, adapters.Written{}
	if !tree.whole {
		var err error
		if e.raw, written.Dropped, err = tree.redact(e.raw[:0], doc.Canonical); err != nil {
			return nil, written, fmt.Errorf("redact %s %s: %w", doc.Kind, doc.UpstreamID, err)
		}
		if written.Dropped > 0 {
			raw = e.raw
		}
	}
	written.Dropped += p.unlink(doc)
	e.redaction = redactionNote{policyID: p.redaction.PolicyID, dropped: written.Dropped}
	return raw, written, nil
}

// unlink empties the envelope's lists that are not allowed and counts them.
func (p packer) unlink(doc *ledger.Line) (dropped int64) {
	drop := func(list *[]string) {
		if len(*list) > 0 {
			*list, dropped = nil, dropped+1
		}
	}
	if !p.redaction.Keeps("aliases") {
		drop(&doc.Aliases)
	}
	if !p.redaction.Keeps("ecosystems") {
		drop(&doc.Ecosystems)
	}
	if !p.redaction.Keeps("products") {
		drop(&doc.Products)
		if doc.Subject != "" {
			doc.Subject, dropped = "", dropped+1
		}
	}
	return dropped
}
