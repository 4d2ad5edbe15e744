// Package tuf holds the documents of The Update Framework (specification 1.0)
// in the form that mirrors have: root, targets, snapshot and timestamp without
// delegations, without consistent snapshots, SHA-256 only.
//
//	root       which keys sign what; a chain, each signed by the one before
//	targets    the files of the mirror: length and digest
//	snapshot   which targets
//	timestamp  which snapshot
//
// Any TUF client reads what is written here. What is read here is less than a
// TUF client reads: a document has one form (RFC 8785 JSON without a member
// more), and every signature in it is one that counts, so no bit of a document
// is free. A stranger's clock, files and network have no part in it; moments
// come in as arguments. The form is in docs/formats/tuf.md.
package tuf
