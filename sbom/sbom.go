// Package sbom says what a software bill of materials holds: its components by
// package URL, and their hashes. It reads the canonical form of CycloneDX and
// SPDX documents that the ledger took in.
package sbom

// Inventory is one SBOM, read.
type Inventory struct {
	// ID is the document's serial number or namespace, "" without one.
	ID string
	// Version is that of a CycloneDX document among those of one serial number,
	// "1" when it has none; "" elsewhere, and for what is no number.
	Version string
	// Subject is what the SBOM is about: its package URL, else its name. Main is
	// a CycloneDX document's reference to it, "" without one.
	Subject string
	Main    string
	// Components are in the document's order; one that is there twice stands
	// here twice. Nested ones follow what they are in.
	Components []Component
	// Unread names what is left out, in words for a person.
	Unread []string
}

// Component is one thing in the inventory.
type Component struct {
	// Ref is the document's own name for it ("bom-ref", "SPDXID"), "" without one.
	Ref     string
	Purl    string // as written, "" without one
	Name    string
	Version string
	// Hashes are by algorithm in the document's spelling made one:
	// "sha1", "sha256", ... lower-case hex.
	Hashes map[string]string
	// Properties a matcher needs of operating system packages, "" elsewhere:
	// source package and version, as the purl's qualifiers or the tools' own
	// properties have them.
	SourceName    string
	SourceVersion string
	// Module is the label of a modular RPM, name:stream:version:context, where a
	// tool's own property has it.
	Module string
}
