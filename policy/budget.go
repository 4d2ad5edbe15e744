package policy

import (
	"errors"
	"fmt"

	"github.com/stella-ops/exportcenter/export"
)

// DefaultScratch bounds what one evaluation writes for sorting, in bytes, before
// runs are merged. All evaluations of a worker share one disk.
const DefaultScratch = 32 << 30

// What one document may make of it: a statement stands there under each of its
// vulnerability's names, an advisory with each package it affects, so a small
// document that repeats itself could fill the disk.
const (
	scratchOfDocument = 64 << 20
	scratchOfByte     = 32 // more for each byte of the document
)

// errRepeats is wrapped by the error of a document that takes more than its part.
var errRepeats = errors.New("what it says takes too much room for sorting")

// budget is what may still be written. It is for one goroutine.
type budget struct {
	whole, left int64
	perDocument int64
	document    int64 // left of the current document's; only while inDocument
	inDocument  bool
}

func newBudget(whole int64) *budget {
	if whole <= 0 {
		whole = DefaultScratch
	}
	return &budget{whole: whole, left: whole, perDocument: scratchOfDocument}
}

// begin gives a document of so many bytes its part, until end.
func (b *budget) begin(bytes int) {
	b.document, b.inDocument = b.perDocument+scratchOfByte*int64(bytes), true
}

func (b *budget) end() { b.inDocument = false }

// take takes so many bytes, or says whose bound they are beyond.
func (b *budget) take(bytes int) error {
	if b.inDocument {
		if b.document -= int64(bytes); b.document < 0 {
			return fmt.Errorf("%w: more than %d bytes and %d for each byte of the document", errRepeats, b.perDocument, scratchOfByte)
		}
	}
	if b.left -= int64(bytes); b.left < 0 {
		return export.Errorf(export.CodeValidation, "the evidence takes more than %d bytes for sorting; select less with the run's selectors, or make several runs", b.whole)
	}
	return nil
}
