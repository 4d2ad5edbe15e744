// Package offboarding is what is written down when a tenant leaves: the record of
// what was removed, signed with the installation's key, and how to read it without
// asking anybody. Package removal below it does the removing.
//
// docs/offboarding.md describes the format well enough to write a second reader.
package offboarding
