// Package policy decides: it matches the components of bills of materials with
// the versions that advisories say are affected, applies what VEX documents
// state, and asks a policy pack - rules in Rego, evaluated by Open Policy Agent
// as a library - what is to be done about each finding.
//
//	read      lines of json:raw -> affected packages, components, statements
//	join      by (ecosystem, package): components with affected packages
//	compare   the component's version with ranges and lists -> candidates
//	join      by vulnerability id: candidates with statements about them
//	order     by (sbom subject, component purl, advisory id)
//	decide    each finding by the pack -> findings, decision trace
//	snapshot  what decided, on what, and how it came out
//
// Evaluate is a pure function of the lines and the pack: no clock, no network,
// no order of arrival. So anybody who has the bundle can call it again and
// compare; Replay does. Every join is by external sort: memory does not grow
// with the number of documents.
//
// docs/formats/json-policy.md describes what is written, docs/policy.md what a
// pack may do.
package policy

import (
	"context"
	"io"

	"github.com/stella-ops/exportcenter/bundle"
	"github.com/stella-ops/exportcenter/export"
	"github.com/stella-ops/exportcenter/ledger"
)

// Version of the lines and of the matching rules. It changes whenever the
// result of the same evidence and pack can.
const Version = "1"

// File is one file of json:raw lines.
type File struct {
	Path          string // data/raw/<type>-<16 hex>.jsonl.zst
	Kind          ledger.Kind
	ContentDigest bundle.Digest // of the lines
	// Open gives the lines, uncompressed, each ended by a line feed.
	Open func(ctx context.Context) (io.ReadCloser, error)
}

// Input is what is decided on, and by what.
type Input struct {
	Files []File
	// Pack is the policy pack, as it was imported.
	Pack []byte
	// SnapshotID and Name are the policy snapshot's.
	SnapshotID string
	Name       string
	// Engine says who decides: EngineOPA, or EngineImported, whose findings are
	// evidence of kind finding among the files.
	Engine string
	// Scratch is an empty directory. What is left in it is the caller's to remove.
	Scratch string
	// MaxScratch bounds what is written for sorting, in bytes; 0 is DefaultScratch.
	MaxScratch int64
	// Memory bounds each sort in bytes; 0 is DefaultMemory.
	Memory int
	// Progress is called with the number of files that were read; it may be nil.
	Progress func(done int)
}

// Engines.
const (
	// EngineOPA evaluates the pack. It is also what "" means.
	EngineOPA = export.PolicyEngineOPA
	// EngineImported takes the findings of another engine as they are.
	EngineImported = export.PolicyEngineImported
)

// DefaultMemory bounds each of at most three sorts at a time.
const DefaultMemory = 16 << 20

// Output takes the files that Evaluate makes.
type Output interface {
	// Lines begins a file of lines.
	Lines(ctx context.Context, path string) (Lines, error)
	// Document stores a file as it is, of so many records.
	Document(ctx context.Context, path string, content []byte, records int64) error
}

// Lines is a file of lines being written.
type Lines interface {
	WriteLine(parts ...[]byte) error
	// Close completes the file. One that is not closed does not exist.
	Close() error
}

// Result is what came of it.
type Result struct {
	Policy   bundle.Policy
	Snapshot Snapshot
	// Sources counts documents and findings by what they came from, sorted by
	// Kind, Source and Stream. A finding is its advisory's.
	Sources []export.SourceCount
}
