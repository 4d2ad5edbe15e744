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

	"github.com/stella-ops/exportcenter/adapters"
	"github.com/stella-ops/exportcenter/bundle"
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

// envelope is a line without its first member, "content". Members are in the
// order of RFC 8785, and "content" sorts before all of them.
type envelope struct {
	Format     string   `json:"format"`
	Kind       string   `json:"kind"`
	Linkset    linkset  `json:"linkset"`
	Modified   string   `json:"modified,omitempty"`
	Original   original `json:"original"`
	Source     string   `json:"source"`
	Stream     string   `json:"stream"`
	Subject    string   `json:"subject,omitempty"`
	UpstreamID string   `json:"upstreamId"`
}

type linkset struct {
	Aliases    []string `json:"aliases"`
	Ecosystems []string `json:"ecosystems"`
	Products   []string `json:"products"`
}

type original struct {
	Bytes  int64  `json:"bytes"`
	Digest string `json:"digest"`
}

var (
	open  = []byte(`{"content":{"raw":`)
	close = []byte(`},`)
)

// Write writes doc as one line.
func (Adapter) Write(w adapters.LineWriter, doc ledger.Line) error {
	tail, err := bundle.MarshalCanonical(envelope{
		Format:     doc.Format,
		Kind:       string(doc.Kind),
		Linkset:    linkset{Aliases: list(doc.Aliases), Ecosystems: list(doc.Ecosystems), Products: list(doc.Products)},
		Modified:   doc.Modified,
		Original:   original{Bytes: doc.RawBytes, Digest: doc.Digest.String()},
		Source:     doc.Source,
		Stream:     doc.Stream,
		Subject:    doc.Subject,
		UpstreamID: doc.UpstreamID,
	})
	if err != nil {
		return fmt.Errorf("envelope of %s %s: %w", doc.Kind, doc.UpstreamID, err)
	}
	return w.WriteLine(open, doc.Canonical, close, tail[1:])
}

// list writes an absent list as [] and not as null.
func list(values []string) []string {
	if values == nil {
		return []string{}
	}
	return values
}
