// Package vex says what a VEX document states: that a product is, or is not,
// affected by a vulnerability, and why. It reads the canonical form of OpenVEX,
// CSAF and CycloneDX documents that the ledger took in.
package vex

import "slices"

// Statement is one statement of a document, about one vulnerability.
type Statement struct {
	// Vulnerability is the id the statement names, Aliases its other names,
	// sorted, unique.
	Vulnerability string
	Aliases       []string
	// Products are what it is about: package URLs, with or without a version,
	// or other identifiers as the document writes them; sorted, unique. One that
	// begins with Local is a component of the same document, and of no other.
	// Subcomponents narrow it to these parts of the products; empty is the
	// products themselves.
	Products      []string
	Subcomponents []string
	Status        Status
	// Justification of not_affected, in OpenVEX's words, "" without one.
	Justification string
	// Impact and Action are the publisher's texts.
	Impact string
	Action string
	// At is when it was stated, RFC 3339 UTC with nanoseconds, so that it sorts as
	// text, "" when unknown: of two statements about the same, the later one stands.
	At string
}

// Local begins a product that is a CycloneDX document's own component: "#" and
// its bom-ref, or its package URL with another version. An analysis is made of
// a component as it is used in that product, so it is not about the same package
// elsewhere.
const Local = "#"

// Status is OpenVEX's word (OpenVEX specification 0.2.0, "Status Labels").
type Status string

// The statuses.
const (
	NotAffected        Status = "not_affected"
	Affected           Status = "affected"
	Fixed              Status = "fixed"
	UnderInvestigation Status = "under_investigation"
)

// Statuses are all of them.
var Statuses = []Status{NotAffected, Affected, Fixed, UnderInvestigation}

// Valid reports whether s is one of the statuses.
func (s Status) Valid() bool { return slices.Contains(Statuses, s) }
