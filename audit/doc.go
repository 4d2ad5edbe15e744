// Package audit is the record of who did what: for each tenant a chain of
// entries, each of which names the hash of the one before it, and checkpoints
// in which the installation's key signs how far the chain has come. Whoever has
// a checkpoint can prove that an entry before it was changed or removed, without
// asking anybody.
//
// docs/audit.md describes the format well enough to write a second reader.
package audit
