// Package delta is what the two ends of a mirror's delta share: the lines by
// their keys, the lines that say what went, the lines that carry whole entries,
// and the merges. docs/formats/mirror-delta.md has the forms for other readers.
//
// A delta is made of documents, not of shards: its size follows what changed.
// Whoever makes one merges the shards of the base that the target does not have
// with those of the target that the base does not have, by key. Whoever receives
// one merges the same shards of the base with the delta, and so writes exactly
// the target's:
//
//	maker:     changed(base) x changed(target)  ->  lines, tombstones
//	receiver:  changed(base) x (lines, tombstones)  ->  changed(target)
//
// All that is merged streams by in the order of its keys; of each side one line is
// in memory.
package delta
